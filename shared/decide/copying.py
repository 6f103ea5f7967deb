"""Which page operations turn an image into another. Pure: listings in, operations out.

The rule behind all of them (invariants 2 and 4): for every page of a region in which image and
source may differ, copy it where the source has it allocated, clear it where it has not.
"""

from collections.abc import Iterable, Sequence

from shared.model.plan import PageOp, operations
from shared.model.ranges import (
    Change,
    ChangedRange,
    PageRange,
    clip,
    intersect,
    merge,
    subtract,
    union,
)


def plan_whole(source: Sequence[PageRange], image: Sequence[PageRange]) -> list[PageOp]:
    """Everything the source has is copied; what the image has besides is cleared."""
    return operations(source, subtract(image, source))


def plan_audit(source: Sequence[PageRange], image: Sequence[PageRange]) -> list[PageOp]:
    """Only what the one has allocated and the other has not."""
    return operations(subtract(source, image), subtract(image, source))


def plan_region(region: Sequence[PageRange], source: Sequence[PageRange]) -> list[PageOp]:
    """Within the region the image becomes like the source, whose allocated ranges are given."""
    return operations(intersect(region, source), subtract(region, source))


def plan_changes(changes: Sequence[ChangedRange], size_bytes: int) -> list[PageOp]:
    """What the source's diff says, within the disk's size."""
    return operations(
        clip(ranges_of(changes, Change.WRITTEN), size_bytes),
        clip(ranges_of(changes, Change.CLEARED), size_bytes),
    )


def ranges_of(changes: Iterable[ChangedRange], change: Change) -> list[PageRange]:
    """The written, or the cleared, ranges of a diff."""
    return list(merge(sorted(each.range for each in changes if each.change is change)))


def touched(changes: Iterable[ChangedRange]) -> list[PageRange]:
    """Every range of a diff, written or cleared."""
    return list(merge(sorted(each.range for each in changes)))


def strayed(
    diverged: Iterable[ChangedRange], changes: Iterable[ChangedRange], size_bytes: int
) -> list[PageRange]:
    """What somebody wrote into the replica since its base and the source's diff does not cover:
    the traces of an abandoned transfer (invariant 4)."""
    return list(subtract(clip(touched(diverged), size_bytes), touched(changes)))


def region_of(*diffs: Iterable[ChangedRange]) -> list[PageRange]:
    """Wherever any of the diffs says that something changed."""
    region: list[PageRange] = []
    for diff in diffs:
        region = union(region, touched(diff))
    return region
