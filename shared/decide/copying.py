"""Which pages are to be copied and cleared to turn an image into another. Pure: listings in,
operations out, for the whole disk or for any window of it.

The rule behind all of them (invariants 2 and 4): for every page of a region in which image and
source may differ, copy it where the source has it allocated, clear it where it has not.
"""

from collections.abc import Iterable, Iterator, Sequence

from shared.model.plan import Op
from shared.model.ranges import (
    Change,
    ChangedRange,
    PageRange,
    Span,
    intersect,
    merge,
    subtract,
    union,
)


def plan_whole(source: Sequence[Span], image: Sequence[Span]) -> list[Op]:
    """Everything the source has is copied; what the image has besides is cleared."""
    return weave(source, subtract(image, source))


def plan_within(region: Sequence[Span], source: Sequence[Span], image: Sequence[Span]) -> list[Op]:
    """The same, but only in the region."""
    return weave(intersect(region, source), intersect(region, subtract(image, source)))


def plan_reading(region: Sequence[Span], source: Sequence[Span], image: Sequence[Span]) -> list[Op]:
    """Whatever either has in the region is to be read."""
    return weave(intersect(region, union(source, image)), ())


def plan_audit(source: Sequence[Span], image: Sequence[Span]) -> list[Op]:
    """Only what the one has allocated and the other has not."""
    return weave(subtract(source, image), subtract(image, source))


def plan_region(region: Sequence[Span], source: Sequence[Span]) -> list[Op]:
    """Within the region the image becomes like the source, whose allocated ranges are given."""
    return weave(intersect(region, source), subtract(region, source))


def plan_increment(
    changes: Sequence[Op], stray: Sequence[Span], source: Sequence[Span]
) -> Sequence[Op]:
    """What the source's diff says, and beside it the strays made like the source."""
    return sorted([*changes, *plan_region(stray, source)]) if stray else changes


def strayed(diverged: Sequence[Op], changes: Sequence[Op]) -> list[Span]:
    """What somebody wrote into the replica since its base and the source's diff does not cover:
    the traces of an abandoned transfer (invariant 4)."""
    return list(subtract(_spans(diverged), _spans(changes))) if diverged else []


def region_of(*diffs: Iterable[Op]) -> list[Span]:
    """Wherever any of the diffs says that something changed."""
    region: list[Span] = []
    for diff in diffs:
        region = union(region, touched(diff))
    return region


def touched(changes: Iterable[Op]) -> list[Span]:
    """Every range of a diff, written or cleared."""
    return list(merge(_spans(changes)))


def _spans(changes: Iterable[Op]) -> Iterator[Span]:
    return ((start, end) for start, end, _ in changes)


def weave(copies: Iterable[Span], clears: Iterable[Span]) -> list[Op]:
    """Two sets of ranges that have nothing in common, in disk order."""
    ops = [(start, end, False) for start, end in copies]
    ops += [(start, end, True) for start, end in clears]
    ops.sort()
    return ops


def ranges_of(changes: Iterable[ChangedRange], change: Change) -> list[PageRange]:
    """The written, or the cleared, ranges of a diff."""
    ranges = sorted(each.range for each in changes if each.change is change)
    return [PageRange(*span) for span in merge(ranges)]
