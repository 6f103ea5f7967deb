"""Page ranges: half-open `[start, end)` byte intervals of a disk, aligned to 512.

All functions take and give ranges sorted by start, without overlap, and stream: none needs the
whole list in memory. Inside the planner, where millions pass, a range is the bare pair
`(start, end)`; a `PageRange` is such a pair, checked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

PAGE_BYTES = 512
TRANSFER_UNIT_BYTES = 4 * 1024 * 1024
"""Most that one Put Page or Put Page From URL moves (Azure's limit)."""

Span = tuple[int, int]
"""A page range as the planner handles it: `(start, end)`, unchecked."""


class _Bounds(NamedTuple):
    start: int
    end: int


class PageRange(_Bounds):
    """Half-open `[start, end)` in bytes, both multiples of 512, never empty."""

    __slots__ = ()

    def __new__(cls, start: int, end: int) -> "PageRange":
        if not 0 <= start < end or start % PAGE_BYTES or end % PAGE_BYTES:
            raise ValueError(f"not a page range: [{start}, {end})")
        return super().__new__(cls, start, end)

    @property
    def size_bytes(self) -> int:
        return self.end - self.start


class Change(StrEnum):
    """What became of a range since the base."""

    WRITTEN = "written"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class ChangedRange:
    """A range that differs from the base."""

    range: PageRange
    change: Change


def merge(ranges: Iterable[Span]) -> Iterator[Span]:
    """Sorted ranges with neighbours and overlaps joined."""
    first = last = -1
    for start, end in ranges:
        if start > last:
            if last > first:
                yield first, last
            first, last = start, end
        elif end > last:
            last = end
    if last > first:
        yield first, last


def union(left: Iterable[Span], right: Iterable[Span]) -> list[Span]:
    """What is in either."""
    return list(merge(sorted([*left, *right])))


def subtract(left: Iterable[Span], right: Iterable[Span]) -> Iterator[Span]:
    """What is in `left` and not in `right`; both merged."""
    cuts = iter(right)
    cut_start, cut_end = next(cuts, _NOWHERE)
    for start, end in left:
        while cut_end <= start:
            cut_start, cut_end = next(cuts, _NOWHERE)
        rest = start
        while cut_start < end:
            if rest < cut_start:
                yield rest, cut_start
            rest = cut_end
            if cut_end >= end:
                break
            cut_start, cut_end = next(cuts, _NOWHERE)
        if rest < end:
            yield rest, end


def intersect(left: Iterable[Span], right: Iterable[Span]) -> Iterator[Span]:
    """What is in both; both merged."""
    others = iter(right)
    other_start, other_end = next(others, _NOWHERE)
    for start, end in left:
        while other_end <= start:
            other_start, other_end = next(others, _NOWHERE)
        while other_start < end:
            yield max(start, other_start), min(end, other_end)
            if other_end > end:
                break
            other_start, other_end = next(others, _NOWHERE)


def split(ranges: Iterable[Span], unit_bytes: int) -> Iterator[Span]:
    """The same bytes in pieces that never cross a multiple of `unit_bytes`."""
    for start, end in ranges:
        cut = start
        while cut < end:
            piece = cut
            cut = min(end, (piece // unit_bytes + 1) * unit_bytes)
            yield piece, cut


def size_bytes(ranges: Iterable[Span]) -> int:
    """How many bytes the ranges cover."""
    return sum(end - start for start, end in ranges)


FAR = 1 << 63
"""Beyond every disk."""
_NOWHERE = (FAR, FAR)
