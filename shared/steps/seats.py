"""Seats of a machine's replica whose disks are gone are cleared once no point needs them."""

from collections.abc import Set
from dataclasses import replace

from shared.decide.decision import Decision
from shared.model.extents import Seat, layout_of
from shared.model.item import Item
from shared.model.ledger import update
from shared.ports import Ports
from shared.steps.transact import the, transact


async def clear_seats(ports: Ports, item: Item, held: Set[str]) -> None:
    """Deletes the page blobs of disks that the machine has no more, where none of them is among
    the `held`, whose snapshots a point needs; repeatable. Not while a backup is under way: its
    image may have the disk again. One that begins in this moment finds its blob missing, and
    makes it anew."""
    going = [seat for seat in _empty(item) if not _urls(item, seat) & held]
    if not going or item.at_work:
        return
    for extent in item.replica_of(tuple(going)):
        await ports.images.delete(extent.url)

    async def decide() -> Decision[None]:
        row = await the(ports, item.id, Item)
        if row.record.replica_layout != item.replica_layout or row.record.at_work:
            return Decision(None)
        layout = tuple(seat for seat in item.replica_layout if seat not in going)
        return Decision(None, (update(row, replace(row.record, replica_layout=layout)),))

    await transact(ports, item.id, decide)


def _empty(item: Item) -> list[Seat]:
    """Those that its newest point has nothing in."""
    if item.base is None:
        return []
    taken = dict(layout_of(item.base.replica))
    return [seat for seat in item.replica_layout if seat.number not in taken]


def _urls(item: Item, seat: Seat) -> Set[str]:
    return {extent.url for extent in item.replica_of((seat,))}
