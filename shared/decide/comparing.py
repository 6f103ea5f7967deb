"""Where two images differ, and how that is remembered in little room."""

from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import pairwise

from shared.model.ranges import FAR, PAGE_BYTES, Span, merge

PLACES_KEPT = 100
"""Ranges of a disk that a row remembers; of more it remembers what lies between as well."""
WHOLE: tuple[Span, ...] = ((0, FAR),)
"""All of a disk, whatever its size."""
_BLOCK_BYTES = 64 * 1024


def differing(ours: bytes, theirs: bytes, start: int) -> list[Span]:
    """The pages in which two stretches of a disk differ; both begin at `start`, equally long."""
    if ours == theirs:
        return []
    pages = ((start + at, start + at + PAGE_BYTES) for at in _unequal(ours, theirs))
    return list(merge(pages))


def _unequal(ours: bytes, theirs: bytes) -> Iterator[int]:
    """Where unequal pages begin."""
    for block in _starts(memoryview(ours), memoryview(theirs), 0, len(ours), _BLOCK_BYTES):
        end = min(block + _BLOCK_BYTES, len(ours))
        yield from _starts(memoryview(ours), memoryview(theirs), block, end, PAGE_BYTES)


def _starts(ours: memoryview, theirs: memoryview, start: int, end: int, step: int) -> Iterator[int]:
    for at in range(start, end, step):
        stop = min(at + step, end)
        if ours[at:stop] != theirs[at:stop]:
            yield at


def joined(places: Iterable[Span]) -> Iterator[Span]:
    """The places, which are in order, with those close to each other as one: what lies between is
    the same on both sides, and costs less to copy than another request."""
    first = last = -1
    for start, end in places:
        if first >= 0 and start - last <= _BLOCK_BYTES:
            last = end
            continue
        if first >= 0:
            yield first, last
        first, last = start, end
    if first >= 0:
        yield first, last


def coarse(ranges: Iterable[Span], places: int = PLACES_KEPT) -> tuple[Span, ...]:
    """The ranges, which may come in any order; of more than `places` those closest to each other
    become one."""
    every = list(merge(sorted(ranges)))
    if len(every) <= places:
        return tuple(every)
    gaps = nlargest(places - 1, pairwise(every), key=lambda pair: pair[1][0] - pair[0][1])
    edges = sorted((before[1], after[0]) for before, after in gaps)
    starts = [every[0][0], *(start for _, start in edges)]
    ends = [*(end for end, _ in edges), every[-1][1]]
    return tuple(zip(starts, ends, strict=True))
