"""A sparse page image as a value: extents of written pages, each under the stamp of its write.

Two images agree on a page exactly when one write made both: a rewrite with the same bytes is a
change, as the service counts it. Values share their bytes, so that a snapshot costs nothing and a
sparse image of any size costs what was written to it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge as interleave
from itertools import count, pairwise

from shared.model.ranges import Change, ChangedRange, PageRange, merge, subtract

_stamps = count(1)


@dataclass(frozen=True, slots=True)
class _Extent:
    """Pages `[start, end)` of one write; their bytes begin at `skip` of its body."""

    start: int
    end: int
    stamp: int
    body: bytes
    skip: int = 0

    def part(self, start: int, end: int) -> "_Extent":
        return _Extent(start, end, self.stamp, self.body, self.skip + start - self.start)

    @property
    def content(self) -> bytes:
        return self.body[self.skip : self.skip + self.end - self.start]


class PageImage:
    """Immutable; every change gives a new image."""

    __slots__ = ("_extents",)

    def __init__(self, extents: tuple[_Extent, ...] = ()) -> None:
        self._extents = extents

    def __deepcopy__(self, memo: object) -> "PageImage":
        """A value: it stands for its copies, too."""
        return self

    def written(self, start: int, body: bytes) -> "PageImage":
        """With `body` at `start`; both aligned to pages."""
        extent = _Extent(start, start + len(body), next(_stamps), body)
        return self._replaced(PageRange(extent.start, extent.end), (extent,))

    def cleared(self, range_: PageRange) -> "PageImage":
        """With the range never written."""
        return self._replaced(range_, ())

    def read(self, range_: PageRange) -> bytes:
        """The bytes of the range; zeros where nothing was written."""
        parts, at = list[bytes](), range_.start
        for extent in self._within(range_):
            parts += (bytes(extent.start - at), extent.content)
            at = extent.end
        return b"".join((*parts, bytes(range_.end - at)))

    def allocated(self) -> Iterator[PageRange]:
        """What is written, merged."""
        spans = merge((extent.start, extent.end) for extent in self._extents)
        return (PageRange(*span) for span in spans)

    def changed_since(self, older: "PageImage") -> Iterator[ChangedRange]:
        """What was written or cleared since `older`, in order of offset."""
        now, before = list(self.allocated()), list(older.allocated())
        written = merge(subtract(now, _agreeing(self._extents, older._extents)))
        cleared = subtract(before, now)
        return interleave(
            (ChangedRange(PageRange(*span), Change.WRITTEN) for span in written),
            (ChangedRange(PageRange(*span), Change.CLEARED) for span in cleared),
            key=lambda changed: changed.range.start,
        )

    def differences(self, other: "PageImage") -> Iterator[PageRange]:
        """Where the *bytes* differ: at least the pages named, by runs of one write each."""
        edges = {
            edge for image in (self, other) for e in image._extents for edge in (e.start, e.end)
        }
        ordered = sorted(edges)
        for start, end in pairwise(ordered):
            run = PageRange(start, end)
            if not self._same_write(other, run) and self.read(run) != other.read(run):
                yield run

    def _same_write(self, other: "PageImage", run: PageRange) -> bool:
        return [e.stamp for e in self._within(run)] == [e.stamp for e in other._within(run)]

    def _replaced(self, range_: PageRange, new: tuple[_Extent, ...]) -> "PageImage":
        first, last = self._span(range_)
        touched = self._extents[first:last]
        left = [e.part(e.start, range_.start) for e in touched[:1] if e.start < range_.start]
        right = [e.part(range_.end, e.end) for e in touched[-1:] if e.end > range_.end]
        return PageImage((*self._extents[:first], *left, *new, *right, *self._extents[last:]))

    def _within(self, range_: PageRange) -> Iterator[_Extent]:
        first, last = self._span(range_)
        for extent in self._extents[first:last]:
            yield extent.part(max(extent.start, range_.start), min(extent.end, range_.end))

    def _span(self, range_: PageRange) -> tuple[int, int]:
        """Indexes `[first, last)` of the extents that the range touches."""
        first = bisect_right(self._extents, range_.start, key=lambda extent: extent.end)
        last = bisect_left(self._extents, range_.end, lo=first, key=lambda extent: extent.start)
        return first, last


def _agreeing(left: tuple[_Extent, ...], right: tuple[_Extent, ...]) -> Iterator[PageRange]:
    """Where both hold the pages of one write."""
    i = j = 0
    while i < len(left) and j < len(right):
        a, b = left[i], right[j]
        start, end = max(a.start, b.start), min(a.end, b.end)
        if start < end and a.stamp == b.stamp:
            yield PageRange(start, end)
        if a.end <= b.end:
            i += 1
        else:
            j += 1
