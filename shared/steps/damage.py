"""Which points hold pages that were found damaged: they are marked before anything is repaired."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from shared.decide.comparing import coarse
from shared.decide.decision import Decision
from shared.model.disk import Snapshot
from shared.model.errors import ChainBroken, SourceGone
from shared.model.extents import image_of, layout_of
from shared.model.ids import ItemId, PointId
from shared.model.ledger import update
from shared.model.point import Point
from shared.model.ranges import ChangedRange, Span, intersect, merge, subtract
from shared.ports import Ports
from shared.steps.extents import changed
from shared.steps.transact import transact


async def mark_suspects(
    ports: Ports, item: ItemId, damaged: Snapshot, found: Iterable[Span], why: str
) -> tuple[PointId, ...]:
    """Marks the points whose copy in the vault shares the pages `found` in `damaged`, a snapshot
    of the replica; returns them. Repeatable (invariant 31)."""
    places, marked = tuple(found), []
    async for row in ports.ledger.rows(item, Point):
        replica = row.record.replica
        if replica is not None and await _shares(ports, replica, damaged, places):
            await _mark(ports, row.record, why)
            marked.append(row.record.id)
    return tuple(marked)


async def _shares(
    ports: Ports, replica: Snapshot, damaged: Snapshot, found: tuple[Span, ...]
) -> bool:
    """Whether any of the pages is the same in both: the service says what was written between
    them. Of another replica's snapshot it says nothing, and no page is shared."""
    older, newer = sorted((replica, damaged), key=lambda each: each.id)
    rest = list(intersect(intersect(found, _stretches(older)), _stretches(newer)))
    try:
        async for page in _touched(changed(ports, image_of(newer), image_of(older))):
            rest = list(subtract(rest, page))
            if not rest:
                return False
    except (ChainBroken, SourceGone):
        return False
    return bool(rest)


def _stretches(snapshot: Snapshot) -> list[Span]:
    """Where its disks lie in the image."""
    return [(seat.start, seat.start + seat.size_bytes) for seat in layout_of(snapshot)]


async def places_of(
    pages: AsyncIterator[list[ChangedRange]], besides: tuple[Span, ...] = ()
) -> tuple[Span, ...]:
    """Where a diff says that something changed, in little room, and the places `besides`."""
    places = besides
    async for page in _touched(pages):
        places = coarse([*places, *page])
    return places


async def _touched(pages: AsyncIterator[list[ChangedRange]]) -> AsyncIterator[list[Span]]:
    async for page in pages:
        yield list(merge(sorted((each.range.start, each.range.end) for each in page)))


async def _mark(ports: Ports, point: Point, why: str) -> None:
    async def decide() -> Decision[None]:
        row = await ports.ledger.get(point.item_id, Point, point.id)
        if row is None or row.record.suspect or row.record.replica != point.replica:
            return Decision(None)
        return Decision(None, (update(row, replace(row.record, suspect=why)),))

    await transact(ports, point.item_id, decide)
