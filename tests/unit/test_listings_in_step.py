"""Listings read in step: whatever the service's answers are cut into, windows lose nothing."""

from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.windows import FULL_ANSWER, halves
from shared.model.ranges import (
    PAGE_BYTES,
    TRANSFER_UNIT_BYTES,
    Change,
    ChangedRange,
    PageRange,
    merge,
)
from shared.steps.listing import Tally, changes, spans, windows

UNITS = 6
STEP = TRANSFER_UNIT_BYTES // 4

edges = st.sets(st.integers(0, 4 * UNITS)).map(sorted)
cuts = st.lists(st.integers(0, 4), max_size=12)


def ranges_of(marks: list[int]) -> list[PageRange]:
    """Every second stretch between the marks."""
    return [PageRange(a * STEP, b * STEP) for a, b in list(pairwise(marks))[::2]]


async def pages(items: list[object], counts: list[int]) -> AsyncIterator[list[object]]:
    """Answers of these lengths, empty ones included, and the rest."""
    rest = list(items)
    for count in counts:
        yield rest[:count]
        rest = rest[count:]
    yield rest


@given(edges, edges, cuts, cuts, st.integers(0, 4 * UNITS))
async def test_windows_give_every_byte_once(
    ours: list[int], theirs: list[int], some: list[int], others: list[int], size: int
) -> None:
    tally = Tally()
    ranges = ranges_of(ours)
    changed = [ChangedRange(r, list(Change)[at % 2]) for at, r in enumerate(ranges_of(theirs))]
    left = spans(tally, pages(ranges, some))  # type: ignore[arg-type]
    right = changes(tally, pages(changed, others))  # type: ignore[arg-type]
    start, left_taken, right_taken = 0, [], []
    async for end in windows(size * STEP, (left, right)):
        assert end > start
        assert end % TRANSFER_UNIT_BYTES == 0 or end == size * STEP
        for taken in (lefts := left.take(end), rights := right.take(end)):
            assert all(start <= each[0] < each[1] <= end for each in taken)
        left_taken += lefts
        right_taken += rights
        start = end
    assert start == size * STEP
    kept = [(r.start, min(r.end, size * STEP)) for r in ranges if r.start < size * STEP]
    assert list(merge(left_taken)) == list(merge(kept))
    for change in Change:
        told = [each.range for each in changed if each.change is change]
        kept = [(r.start, min(r.end, size * STEP)) for r in told if r.start < size * STEP]
        clears = change is Change.CLEARED
        found = [(a, b) for a, b, clear in right_taken if clear is clears]
        assert list(merge(found)) == list(merge(kept))
    assert tally.requests <= len(some) + len(others) + 2


async def test_a_run_that_two_answers_share_is_one_again() -> None:
    ranges = [PageRange(0, 512), PageRange(512, 1024), PageRange(1024, 1536)]
    told = [ChangedRange(ranges[0], Change.WRITTEN), ChangedRange(ranges[1], Change.WRITTEN)]
    told.append(ChangedRange(ranges[2], Change.CLEARED))
    listing = changes(Tally(), pages(told, [1, 1]))  # type: ignore[arg-type]
    async for end in windows(4096, [listing]):
        assert listing.take(end) == [(0, 1024, False), (1024, 1536, True)]


async def test_only_what_is_needed_is_read() -> None:
    """Beyond the disk's end nobody asks."""
    tally = Tally()
    ranges = [
        PageRange(at * TRANSFER_UNIT_BYTES, at * TRANSFER_UNIT_BYTES + 512) for at in range(9)
    ]
    listing = spans(tally, pages(ranges, [1] * 9))  # type: ignore[arg-type]
    async for end in windows(2 * TRANSFER_UNIT_BYTES, [listing]):
        listing.take(end)
    assert tally.requests == 3


class CutOff:
    """A service that answers with the first few ranges, and says nothing of the others."""

    def __init__(self, written: set[int], full: int) -> None:
        self.written, self.full = written, full

    def answer(self, window: PageRange) -> list[int]:
        first, last = window.start // PAGE_BYTES, window.end // PAGE_BYTES
        return sorted(self.written & set(range(first, last)))[: self.full]

    def walk(self, window: PageRange) -> Iterator[int]:
        found = self.answer(window)
        parts = halves(window, len(found), self.full)
        if not parts:
            yield from found
        for part in parts:
            yield from self.walk(part)


@pytest.mark.fault(48)
@given(st.sets(st.integers(0, 199)), st.integers(1, 20), st.integers(1, 200))
def test_a_cut_off_listing_is_walked_to_its_end(written: set[int], full: int, size: int) -> None:
    service = CutOff({page for page in written if page < size}, full)
    assert list(service.walk(PageRange(0, size * PAGE_BYTES))) == sorted(service.written)


@pytest.mark.parametrize("ranges", [0, 1, FULL_ANSWER - 1])
def test_an_answer_with_room_left_is_whole(ranges: int) -> None:
    assert halves(PageRange(0, 1024**4), ranges) == ()


def test_halves_are_the_window() -> None:
    window = PageRange(0, 20_001 * PAGE_BYTES)
    left, right = halves(window, FULL_ANSWER)
    assert (left.start, left.end, right.end) == (window.start, right.start, window.end)
