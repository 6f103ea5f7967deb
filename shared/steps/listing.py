"""Range listings, read page by page, several of one disk in step with each other.

A window of the disk ends where every listing is known so far, at a multiple of 4 MiB (or at the
disk's end). What is planned window by window needs memory for an answer or two of each listing,
however many ranges there are.
"""

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, TypeVar, cast

from shared.model.plan import Op
from shared.model.ranges import FAR, TRANSFER_UNIT_BYTES, Change, ChangedRange, PageRange, Span

R = TypeVar("R", bound=tuple[int, ...])
T = TypeVar("T")


@dataclass
class Tally:
    """What one step counts while it reads."""

    requests: int = 0
    changed_bytes: int = 0
    strayed_ranges: int = 0

    async def pages(self, pages: AsyncIterator[list[T]]) -> AsyncIterator[list[T]]:
        """The pages themselves; a request each."""
        async for page in pages:
            self.requests += 1
            yield page

    async def all(self, pages: AsyncIterator[list[T]]) -> list[T]:
        """Everything that the pages hold."""
        found: list[T] = []
        async for page in self.pages(pages):
            found += page
        return found


class Listing(Generic[R]):
    """One listing, read only as far as it is asked about."""

    def __init__(self, pages: AsyncIterator[Sequence[R]]) -> None:
        self._pages = pages
        self._held: list[R] = []
        self._known = 0

    async def reach(self, offset: int) -> int:
        """How far the disk is known, in whole units beyond `offset`; reads on until it is."""
        while self._known <= offset:
            page = await anext(self._pages, None)
            if page is None:
                self._known = FAR
            elif page:
                self._hold(page)
        return self._known

    def _hold(self, page: Sequence[R]) -> None:
        """Where an answer ends in the middle of a range, the next one goes on with it."""
        held, following = self._held, page[0]
        if held and (held[-1][1], held[-1][2:]) == (following[0], following[2:]):
            held[-1] = _bounded(following, held[-1][0], following[1])
            page = page[1:]
        held += page
        self._known = held[-1][1] // TRANSFER_UNIT_BYTES * TRANSFER_UNIT_BYTES

    def take(self, end: int) -> list[R]:
        """What lies before `end` and was not taken yet; a range that sticks out is cut."""
        count = bisect_left(self._held, end, key=itemgetter(0))
        taken, self._held = self._held[:count], self._held[count:]
        if taken and taken[-1][1] > end:
            cut = taken[-1]
            taken[-1] = _bounded(cut, cut[0], end)
            self._held.insert(0, _bounded(cut, end, cut[1]))
        return taken


def _bounded(range_: R, start: int, end: int) -> R:
    """The range with other bounds."""
    return cast("R", (start, end, *range_[2:]))


def spans(tally: Tally, pages: AsyncIterator[list[PageRange]]) -> Listing[Span]:
    """A listing of what is allocated."""
    counted = tally.pages(pages)
    return Listing[Span](counted)


def changes(tally: Tally, pages: AsyncIterator[list[ChangedRange]]) -> Listing[Op]:
    """A listing of what has changed."""
    return Listing(_ops(tally.pages(pages)))


async def _ops(pages: AsyncIterator[list[ChangedRange]]) -> AsyncIterator[Sequence[Op]]:
    async for page in pages:
        yield [(each.range.start, each.range.end, each.change is Change.CLEARED) for each in page]


async def windows(
    size_bytes: int, listings: Iterable[Listing[Span] | Listing[Op]]
) -> AsyncIterator[int]:
    """The end of each window of a disk, in order; all the listings may be taken up to there."""
    start, listings = 0, tuple(listings)
    while start < size_bytes:
        start = min([size_bytes, *[await each.reach(start) for each in listings]])
        yield start
