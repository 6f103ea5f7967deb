"""What a vault says of an item and its points, taken over into the ledger."""

from collections.abc import Sequence

from shared.decide.decision import Decision
from shared.decide.expiry import end_run
from shared.decide.mirroring import Made, Mirrored, mirror_item, mirror_points
from shared.model.errors import VaultGone
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import TRANSACTION_ROWS, Delete, RowChange, update
from shared.model.point import Point
from shared.model.vault import Vault
from shared.ports import DueSlot, Ports
from shared.steps.mirroring.adopting import adopt_backups, note_seen
from shared.steps.mirroring.again import looked_at_again
from shared.steps.transact import still, the, transact

CHUNK = TRANSACTION_ROWS - 10
"""Rows that one transaction changes of the points; the item's own comes with the last."""


async def take_over(ports: Ports, item: Item, vault: Vault, made: Sequence[Made] = ()) -> Mirrored:
    """Item and points as the vault has them now; repeatable. The next time is entered first, so
    that a death leaves nobody unasked."""
    told = await _told(ports, item, vault)
    await ports.due.put_slot(DueSlot(item=item.id, slot=looked_at_again(ports, ports.clock.now())))
    while await transact(ports, item.id, lambda: _write(ports, item.id, told, made)):
        pass
    return told


async def _told(ports: Ports, item: Item, vault: Vault) -> Mirrored:
    """A vault that is gone has neither."""
    try:
        found = await ports.recovery.item(vault, item.source)
        if found is None or found.deleted:
            return Mirrored(item=found, points=() if found is None else None)
        pages = ports.recovery.points(vault, item.source)
        points = tuple([point async for page in pages for point in page])
    except VaultGone:
        return Mirrored(item=None)
    return Mirrored(item=found, points=points)


async def _write(
    ports: Ports, item_id: ItemId, told: Mirrored, made: Sequence[Made]
) -> Decision[bool]:
    """Whether there is more to write than fits into one transaction."""
    row = await ports.ledger.get(item_id, Item)
    if row is None:
        return Decision(False)
    changes: list[RowChange] = []
    if told.points is not None:
        rows = [each async for each in ports.ledger.rows(item_id, Point)]
        changes = mirror_points(item_id, rows, told.points, made)
    if len(changes) > CHUNK:
        return Decision(True, tuple(changes[:CHUNK]))
    mirrored = mirror_item(row.record, told, ports.clock.now())
    return Decision(False, (*changes, update(row, mirrored)))


async def expire_mirrored(ports: Ports, item: Item) -> int:
    """A retention run of a mirrored item: its vault makes and removes points, we note which. How
    many went. An item whose data was deleted goes with it."""
    before = await _count(ports, item.id)
    asked_for = item.expiry.job
    vault = await ports.catalog.vault(item.vault)
    adopted = await adopt_backups(ports, item, vault)
    told = await take_over(ports, item, vault, adopted.made)
    await note_seen(ports, item, adopted)
    left = await still(ports, item.id)
    if left is None:
        pass  # another run has seen to it
    elif told.item is None and left.delete_after is not None and not left.at_work:
        await forget(ports, left)
    else:
        await transact(ports, left.id, lambda: _end_run(ports, left.id, asked_for))
    return max(0, before - await _count(ports, item.id))


async def _count(ports: Ports, item: ItemId) -> int:
    return len([row async for row in ports.ledger.rows(item, Point)])


async def _end_run(ports: Ports, item_id: ItemId, begun_for: JobId | None) -> Decision[None]:
    row = await the(ports, item_id, Item)
    asked_for = row.record.expiry.job
    job = await ports.ledger.get(item_id, Job, asked_for) if asked_for else None
    return end_run(row, job, begun_for, ports.clock.now())


async def forget(ports: Ports, item: Item) -> None:
    """The item goes: its claim and its listing first, as with any other."""
    await ports.inventory.release(item.source, item.id)
    await ports.catalog.forget_item(item.id)

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Item)
        if row is None or row.record.at_work:
            return Decision(None)
        return Decision(None, (Delete(row.record, row.etag),))

    await transact(ports, item.id, decide)
