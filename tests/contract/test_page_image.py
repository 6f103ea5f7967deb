"""The memory's page images against the plainest model there is: bytes and a set of pages."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.memory.pages import PageImage
from shared.model.ranges import PAGE_BYTES, Change, PageRange

PAGES = 24


@dataclass(frozen=True)
class Write:
    range: PageRange
    fill: int


@dataclass(frozen=True)
class Clear:
    range: PageRange


def _range(start: int, length: int) -> PageRange:
    end = min(PAGES, start + length)
    return PageRange(start * PAGE_BYTES, end * PAGE_BYTES)


RANGES = st.builds(_range, st.integers(0, PAGES - 1), st.integers(1, 9))
STEPS = st.lists(
    st.builds(Write, RANGES, st.integers(0, 3)) | st.builds(Clear, RANGES), max_size=40
)


class Model:
    """Bytes, which pages are written, and which write each page is from."""

    def __init__(self) -> None:
        self.body = bytearray(PAGES * PAGE_BYTES)
        self.writes: dict[int, int] = {}

    def apply(self, step: Write | Clear, number: int) -> None:
        size = step.range.size_bytes
        fill = step.fill if isinstance(step, Write) else 0
        self.body[step.range.start : step.range.end] = bytes([fill]) * size
        for page in _pages(step.range):
            if isinstance(step, Write):
                self.writes[page] = number
            else:
                self.writes.pop(page, None)


def _pages(range_: PageRange) -> range:
    return range(range_.start // PAGE_BYTES, range_.end // PAGE_BYTES)


def _run(steps: list[Write | Clear], image: PageImage, model: Model, first: int) -> PageImage:
    for number, step in enumerate(steps, first):
        model.apply(step, number)
        if isinstance(step, Write):
            image = image.written(step.range.start, bytes([step.fill]) * step.range.size_bytes)
        else:
            image = image.cleared(step.range)
    return image


@given(STEPS)
def test_it_reads_and_lists_what_was_written(steps: list[Write | Clear]) -> None:
    model = Model()
    image = _run(steps, PageImage(), model, 0)
    assert image.read(PageRange(0, PAGES * PAGE_BYTES)) == bytes(model.body)
    ranges = list(image.allocated())
    assert {page for range_ in ranges for page in _pages(range_)} == set(model.writes)
    assert all(left.end < right.start for left, right in pairwise(ranges))


@given(STEPS, STEPS)
def test_a_diff_names_every_page_of_another_write_and_no_other(
    before: list[Write | Clear], after: list[Write | Clear]
) -> None:
    model = Model()
    older = _run(before, PageImage(), model, 0)
    old_writes, old_body = dict(model.writes), bytes(model.body)
    newer = _run(after, older, model, len(before))
    changes = list(newer.changed_since(older))
    named = {c: set[int]() for c in Change}
    for each in changes:
        named[each.change] |= set(_pages(each.range))
    new_writes = model.writes
    assert named[Change.WRITTEN] == {p for p, w in new_writes.items() if old_writes.get(p) != w}
    assert named[Change.CLEARED] == set(old_writes) - set(new_writes)
    assert [c.range.start for c in changes] == sorted(c.range.start for c in changes)
    assert older.read(PageRange(0, PAGES * PAGE_BYTES)) == old_body
    differing = {page for range_ in newer.differences(older) for page in _pages(range_)}
    assert (
        {
            page
            for page in range(PAGES)
            if old_body[page * 512 : page * 512 + 512] != model.body[page * 512 : page * 512 + 512]
        }
        <= differing
        <= named[Change.WRITTEN] | named[Change.CLEARED]
    )


def test_three_tebibytes_cost_what_was_written() -> None:
    last = 3 * 1024**4 - PAGE_BYTES
    image = PageImage().written(0, b"a" * PAGE_BYTES).written(last, b"z" * PAGE_BYTES)
    assert list(image.allocated()) == [
        PageRange(0, PAGE_BYTES),
        PageRange(last, last + PAGE_BYTES),
    ]
    assert image.read(PageRange(last, last + PAGE_BYTES)) == b"z" * PAGE_BYTES
