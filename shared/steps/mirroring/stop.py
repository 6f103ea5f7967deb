"""The end of a mirrored item's protection, its data's deletion, and how it is had back: each a
change that the vault makes, followed to its end."""

from shared.decide.decision import Decision
from shared.decide.errands import begin_change, with_errand
from shared.decide.protection import check_deleted, check_not_deleted
from shared.model.ids import request_job
from shared.model.item import Item
from shared.model.job import Job
from shared.model.messages import StopProtection, Undelete
from shared.model.mirroring import Errand
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.requests import STOP, UNDELETE, new_job
from shared.steps.transact import the, transact, watch


async def stop_mirrored(ports: Ports, command: StopProtection) -> Accepted:
    """No more backups; with `delete_data`, its points go, softly where the vault does so."""
    job_id = request_job(command.item_id, STOP, command.request_id)
    job = new_job(command.item_id, job_id, command, ports.clock.now())
    errand = Errand(deletes=command.delete_data)
    return await change_protection(ports, with_errand(job, errand), deleted=False)


async def undelete_mirrored(ports: Ports, command: Undelete) -> Accepted:
    """The softly deleted item, whole; its protection stays stopped."""
    job_id = request_job(command.item_id, UNDELETE, command.request_id)
    job = new_job(command.item_id, job_id, command, ports.clock.now())
    return await change_protection(ports, with_errand(job, Errand()), deleted=True)


async def change_protection(ports: Ports, job: Job, *, deleted: bool) -> Accepted:
    """The job, its place and its first look in one transaction (invariant 21); repeatable. Raises
    `Invalid` where another change is under way, or the item is not deleted as it should be."""
    await watch(ports, job.item_id)
    await ports.catalog.note_job(job.id, job.started_at)

    async def decide() -> Decision[None]:
        row = await the(ports, job.item_id, Item)
        if await ports.ledger.get(job.item_id, Job, job.id) is not None:
            return Decision(None)
        (check_deleted if deleted else check_not_deleted)(row.record)
        return begin_change(row, job)

    await transact(ports, job.item_id, decide)
    return Accepted(item_id=job.item_id, job_id=job.id)
