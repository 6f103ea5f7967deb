"""Page ranges: half-open `[start, end)` byte intervals of a disk, aligned to 512.

All functions take and give ranges sorted by start, without overlap, and stream: none needs the
whole list in memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

PAGE_BYTES = 512
TRANSFER_UNIT_BYTES = 4 * 1024 * 1024
"""Most that one Put Page or Put Page From URL moves (Azure's limit)."""


@dataclass(frozen=True, slots=True, order=True)
class PageRange:
    """Half-open `[start, end)` in bytes, both multiples of 512, never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end or self.start % PAGE_BYTES or self.end % PAGE_BYTES:
            raise ValueError(f"not a page range: [{self.start}, {self.end})")

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


def merge(ranges: Iterable[PageRange]) -> Iterator[PageRange]:
    """Sorted ranges with neighbours and overlaps joined."""
    pending: PageRange | None = None
    for current in ranges:
        if pending is None:
            pending = current
        elif current.start <= pending.end:
            pending = PageRange(pending.start, max(pending.end, current.end))
        else:
            yield pending
            pending = current
    if pending is not None:
        yield pending


def union(left: Iterable[PageRange], right: Iterable[PageRange]) -> list[PageRange]:
    """What is in either."""
    return list(merge(sorted([*left, *right])))


def subtract(left: Iterable[PageRange], right: Iterable[PageRange]) -> Iterator[PageRange]:
    """What is in `left` and not in `right`; both merged."""
    cuts = iter(right)
    cut = next(cuts, None)
    for current in left:
        start = current.start
        while cut is not None and cut.end <= start:
            cut = next(cuts, None)
        while cut is not None and cut.start < current.end:
            if start < cut.start:
                yield PageRange(start, cut.start)
            start = cut.end
            if cut.end >= current.end:
                break
            cut = next(cuts, None)
        if start < current.end:
            yield PageRange(start, current.end)


def intersect(left: Iterable[PageRange], right: Iterable[PageRange]) -> Iterator[PageRange]:
    """What is in both; both merged."""
    lefts, rights = iter(left), iter(right)
    a, b = next(lefts, None), next(rights, None)
    while a is not None and b is not None:
        start, end = max(a.start, b.start), min(a.end, b.end)
        if start < end:
            yield PageRange(start, end)
        if a.end < b.end:
            a = next(lefts, None)
        else:
            b = next(rights, None)


def clip(ranges: Iterable[PageRange], size_bytes: int) -> Iterator[PageRange]:
    """What lies within the first `size_bytes` of the disk."""
    for current in ranges:
        if current.start >= size_bytes:
            return
        yield PageRange(current.start, min(current.end, size_bytes))


def split(ranges: Iterable[PageRange], unit_bytes: int) -> Iterator[PageRange]:
    """The same bytes in pieces that never cross a multiple of `unit_bytes`."""
    for current in ranges:
        start = current.start
        while start < current.end:
            end = min(current.end, (start // unit_bytes + 1) * unit_bytes)
            yield PageRange(start, end)
            start = end


def size_bytes(ranges: Iterable[PageRange]) -> int:
    """How many bytes the ranges cover."""
    return sum(current.size_bytes for current in ranges)
