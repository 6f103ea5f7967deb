"""From what is to be copied and cleared to as few requests as the cost model wants.

A copy takes a gap along only where the source has all of it allocated, a clear only where it has
none of it (invariant 17). So joining never changes what is allocated in the image, and no audit
need know of it.
"""

from collections.abc import Iterable, Iterator, Sequence

from shared.decide.cost import CostModel
from shared.model.extents import SEAT_BYTES
from shared.model.plan import Op
from shared.model.ranges import FAR, TRANSFER_UNIT_BYTES, Span, split


class Coalescer:
    """Makes the operations of one window after the other into requests.

    A window ends at a multiple of 4 MiB, which no copy crosses; a clear that ends with its window
    is kept back, since the next one may go on with it.
    """

    def __init__(self, cost: CostModel) -> None:
        self._cost = cost
        self._held: list[Op] = []

    def requests(self, ops: Sequence[Op], source: Sequence[Span] | None) -> list[Op]:
        """The requests for `ops`, which are in disk order. `source` is what the source has
        allocated from the first of them to the last; None where nobody has asked."""
        joined = [*self._held, *join(ops, source, self._cost)]
        if self._held and len(joined) > 1 and _touch(*joined[:2]):
            joined[:2] = [(joined[0][0], joined[1][1], True)]
        self._held = [joined.pop()] if joined and joined[-1][2] else []
        return joined

    def rest(self) -> list[Op]:
        """What was kept back, when no window follows."""
        held, self._held = self._held, []
        return held


def _touch(clear: Op, following: Op) -> bool:
    return following[2] and clear[1] == following[0]


def join(ops: Iterable[Op], source: Sequence[Span] | None, cost: CostModel) -> Iterator[Op]:
    """The same work in fewer requests, no copy longer than it may be, and none of two disks."""
    if source is None:
        yield from _pieces(ops)
        return
    allocation, joins = _Allocation(source), cost.joins
    first = last = run = limit = 0
    clear = False
    for start, end, clears in _pieces(ops):
        if clears is not clear or start >= limit:
            joined = False
        elif clear:
            joined = allocation.spares(last, start)
        else:
            joined = joins(start - last, last - run, end - start) and allocation.fills(last, start)
        if joined:
            run = run if start == last else start
        else:
            if last:
                yield first, last, clear
            first = run = start
            clear = clears
            most = SEAT_BYTES if clear else TRANSFER_UNIT_BYTES
            limit = (start // most + 1) * most
        last = end
    if last:
        yield first, last, clear


def _pieces(ops: Iterable[Op]) -> Iterator[Op]:
    """Copies cut at multiples of 4 MiB; a clear may have any length."""
    for op in ops:
        start, end, clear = op
        if clear or end <= (start // TRANSFER_UNIT_BYTES + 1) * TRANSFER_UNIT_BYTES:
            yield op
        else:
            for piece in split([(start, end)], TRANSFER_UNIT_BYTES):
                yield *piece, False


class _Allocation:
    """What the source has allocated, asked about gaps in disk order."""

    __slots__ = ("_end", "_spans", "_start")

    def __init__(self, source: Sequence[Span]) -> None:
        self._spans = iter(source)
        self._start = self._end = 0

    def fills(self, start: int, end: int) -> bool:
        """All of the gap is allocated."""
        while self._end <= start:
            self._start, self._end = next(self._spans, _NOWHERE)
        return self._start <= start and end <= self._end

    def spares(self, start: int, end: int) -> bool:
        """Nothing of the gap is allocated."""
        while self._end <= start:
            self._start, self._end = next(self._spans, _NOWHERE)
        return end <= self._start


_NOWHERE = (FAR, FAR)
