"""The end of protection: stopped, deleted softly, had back, deleted for good."""

from datetime import timedelta

from shared.decide.decision import Decision
from shared.decide.protection import begin_deletion, stop, undelete
from shared.model.ids import request_job
from shared.model.item import Item
from shared.model.job import Job
from shared.model.messages import StopProtection, Undelete
from shared.ports import DueSlot, Ports
from shared.steps.accepted import Accepted
from shared.steps.mirroring.stop import stop_mirrored, undelete_mirrored
from shared.steps.requests import STOP, UNDELETE, done_job
from shared.steps.transact import the, transact, watch

LOOK_AGAIN = timedelta(hours=1)
"""When a deletion that has begun is looked after again."""


async def stop_protection(ports: Ports, command: StopProtection) -> Accepted:
    """No more backups. The points stay; deleted ones, for a while (invariant 19)."""
    item_id, now = command.item_id, ports.clock.now()
    if (await the(ports, item_id, Item)).record.mirrors:
        return await stop_mirrored(ports, command)
    job_id = request_job(item_id, STOP, command.request_id)
    grace = timedelta(days=ports.pace.soft_delete_days) if command.delete_data else None
    await watch(ports, item_id)
    await ports.catalog.note_job(job_id, now)
    if grace is not None:
        # Before the item says so: no deletion is ever forgotten, and a slot too many does no harm.
        await ports.due.put_slot(DueSlot(item=item_id, slot=now + grace))

    async def decide() -> Decision[None]:
        row = await the(ports, item_id, Item)
        if await ports.ledger.get(item_id, Job, job_id) is not None:
            return Decision(None)
        return stop(row, done_job(item_id, job_id, command, now), now, grace)

    await transact(ports, item_id, decide)
    return Accepted(item_id=item_id, job_id=job_id)


async def undelete_item(ports: Ports, command: Undelete) -> Accepted:
    """Brings a soft-deleted item back, whole; its protection stays stopped."""
    if (await the(ports, command.item_id, Item)).record.mirrors:
        return await undelete_mirrored(ports, command)
    job_id = request_job(command.item_id, UNDELETE, command.request_id)
    await ports.catalog.note_job(job_id, ports.clock.now())

    async def decide() -> Decision[None]:
        row = await the(ports, command.item_id, Item)
        if await ports.ledger.get(command.item_id, Job, job_id) is not None:
            return Decision(None)
        done = done_job(command.item_id, job_id, command, ports.clock.now())
        return undelete(row, done)

    await transact(ports, command.item_id, decide)
    return Accepted(item_id=command.item_id, job_id=job_id)


async def delete_when_due(ports: Ports, item: Item) -> None:
    """Begins the deletion of a stopped item whose time is over; nothing where it is not.

    Retention carries it out. It cannot while a restore reads a point or a person holds one, so
    the deletion is due again until the item is gone.
    """
    now = ports.clock.now()
    if item.mirrors:  # its vault deletes, by its own clock
        return
    if item.delete_after is None or item.delete_after > now:
        return
    await watch(ports, item.id)
    await ports.due.put_slot(DueSlot(item=item.id, slot=now + LOOK_AGAIN))

    async def decide() -> Decision[None]:
        return begin_deletion(await ports.ledger.get(item.id, Item), now)

    await transact(ports, item.id, decide)
