"""A job that a Recovery Services vault carries out, with all that a look at it needs."""

from dataclasses import dataclass, replace

from shared.decide.decision import Decision
from shared.decide.errands import errand_of, with_errand
from shared.model.deferral import Deferred
from shared.model.errors import NotFound
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job, Operation
from shared.model.ledger import update
from shared.model.messages import FollowVault
from shared.model.mirroring import Errand
from shared.model.vault import Vault
from shared.ports import Ports
from shared.steps.transact import the, transact


@dataclass(frozen=True, kw_only=True)
class Case:
    """The job as it was when the look began."""

    item: Item
    job: Job
    errand: Errand
    vault: Vault


async def case_of(ports: Ports, item_id: ItemId, job_id: JobId) -> Case | None:
    """None where the job has ended, or its item is gone."""
    item = await ports.ledger.get(item_id, Item)
    job = await ports.ledger.get(item_id, Job, job_id)
    if item is None or job is None or job.record.status.ended:
        return None
    vault = await ports.catalog.vault(item.record.vault)
    return Case(item=item.record, job=job.record, errand=errand_of(job.record), vault=vault)


async def case_of_look(ports: Ports, request: FollowVault) -> Case | None:
    """The same, where the look is still to be taken: a message that was served before is late."""
    case = await case_of(ports, request.item_id, request.job_id)
    return case if case is not None and case.errand.looks == request.look else None


async def note_asking(
    ports: Ports, case: Case, known: tuple[str, ...] | None = None
) -> Errand | None:
    """Writes down that the vault is about to be asked, before it is: whoever comes after a death
    then looks whether it was. None where somebody else has taken this look meanwhile. Raises
    `Deferred` while another restore of the item is being asked for, whose job in the vault is not
    known yet: nobody could tell it from this one's."""
    now = ports.clock.now()
    asking = replace(case.errand, asked_at=case.errand.asked_at or now, tried_at=now, known=known)

    async def decide() -> Decision[Errand | None]:
        row = await the(ports, case.item.id, Job, case.job.id)
        if row.record.status.ended or errand_of(row.record) != case.errand:
            return Decision(None)
        item = await the(ports, case.item.id, Item)
        await _check_alone(ports, item.record, case)
        # The item as it is: of two that ask at the same time one is refused, and looks again.
        changes = (update(item, item.record), update(row, with_errand(row.record, asking)))
        return Decision(asking, changes)

    return await transact(ports, case.item.id, decide)


async def _check_alone(ports: Ports, item: Item, case: Case) -> None:
    others = set(item.restoring) - {case.job.id}
    for id_ in others if case.job.operation is Operation.RESTORE else ():
        row = await ports.ledger.get(item.id, Job, id_)
        if row is None or row.record.mirrors:
            continue
        if errand_of(row.record).asked_at is not None:
            raise Deferred(
                f"restore {id_} is just being asked for",
                retry_after=ports.pace.vault_look_seconds,
            )


async def not_asked(ports: Ports, case: Case) -> Errand:
    """The errand as it was before a try that the vault refused: nothing was begun."""
    row = await ports.ledger.get(case.item.id, Job, case.job.id)
    if row is None:
        raise NotFound(f"there is no job {case.job.id}")
    before = case.errand
    return replace(
        errand_of(row.record), asked_at=before.asked_at, known=before.known, tried_at=None
    )
