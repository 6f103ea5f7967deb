"""Seats of a machine's replica whose disks are gone are cleared once no point needs them."""

from collections.abc import Iterable, Set
from dataclasses import replace

from shared.decide.decision import Decision
from shared.model.extents import Seat, layout_of
from shared.model.item import RETIRED, Item
from shared.model.ledger import update
from shared.ports import Ports
from shared.steps.transact import the, transact


async def clear_seats(ports: Ports, item: Item, held: Set[str]) -> None:
    """Deletes the page blobs of disks that the machine has no more, where none of them is among
    the `held`, whose snapshots a point needs; repeatable. `item` is as it was when its points were
    read. Their seats are retired first: whoever has such a disk again meanwhile, and however far
    that has come, it is not these page blobs that are written to."""
    going = [seat for seat in _empty(item) if not _urls(item, seat) & held]
    if not going or not await _retire(ports, item, going):
        return
    for extent in item.replica_of(tuple(going)):
        await ports.images.delete(extent.url)

    async def decide() -> Decision[None]:
        row = await the(ports, item.id, Item)
        layout = tuple(seat for seat in row.record.replica_layout if seat not in going)
        return Decision(None, (update(row, replace(row.record, replica_layout=layout)),))

    await transact(ports, item.id, decide)


async def _retire(ports: Ports, item: Item, going: Iterable[Seat]) -> bool:
    """Whether the seats are nobody's from now on. Not while anything is under way, nor where a
    point has been made since: its image may have them."""
    gone = {seat.number for seat in going}

    async def decide() -> Decision[bool]:
        row = await the(ports, item.id, Item)
        if row.record.at_work or row.record.base != item.base:
            return Decision(False)
        seats = tuple(RETIRED if n in gone else chain for n, chain in enumerate(row.record.seats))
        return Decision(True, (update(row, replace(row.record, seats=seats)),))

    return await transact(ports, item.id, decide)


def _empty(item: Item) -> list[Seat]:
    """Those that its newest point has nothing in."""
    if item.base is None:
        return []
    taken = dict(layout_of(item.base.replica))
    return [seat for seat in item.replica_layout if seat.number not in taken]


def _urls(item: Item, seat: Seat) -> Set[str]:
    return {extent.url for extent in item.replica_of((seat,))}
