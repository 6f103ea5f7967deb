"""The plan's blob: what goes in comes out, its parts cover it exactly, its blocks are the whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import plan
from shared.model.plan import (
    BLOCK_BYTES,
    OP_BYTES,
    PART_BYTES,
    PART_OPS,
    Draft,
    Op,
    PageOp,
    decode_index,
    decode_ops,
    encode,
)
from shared.model.ranges import PAGE_BYTES, TRANSFER_UNIT_BYTES, Change, PageRange, size_bytes

MIB = 1024 * 1024
LAST_PAGE = 8 * 1024**4 // PAGE_BYTES
UNIT_PAGES = TRANSFER_UNIT_BYTES // PAGE_BYTES


@st.composite
def plans(draw: st.DrawFn) -> list[Op]:
    """Disjoint operations in disk order, anywhere up to 8 TiB; no copy over 4 MiB."""
    edges = sorted(draw(st.sets(st.integers(0, LAST_PAGE), max_size=60)))
    ops = []
    for first, end in pairwise(edges):
        clear = draw(st.booleans())
        last = end if clear else min(end, first + draw(st.integers(1, UNIT_PAGES)))
        ops.append((first * PAGE_BYTES, last * PAGE_BYTES, clear))
    return ops


def page_ops(ops: list[Op]) -> list[PageOp]:
    kinds = {False: Change.WRITTEN, True: Change.CLEARED}
    return [PageOp(PageRange(start, end), kinds[clear]) for start, end, clear in ops]


def drafted(ops: list[Op], batch: int) -> tuple[Draft, bytes]:
    """The draft, and its blob, made in batches."""
    draft, blob = Draft(), b""
    for at in range(0, len(ops), batch):
        draft.add(ops[at : at + batch])
        blob += b"".join(draft.blocks())
    return draft, blob + draft.rest()


@given(plans(), st.integers(1, 50))
def test_what_goes_in_comes_out(ops: list[Op], batch: int) -> None:
    draft, blob = drafted(ops, batch)
    ref = draft.reference("url")
    assert decode_ops(blob[: ref.ops * OP_BYTES]) == page_ops(ops)
    assert blob == encode(page_ops(ops))
    assert ref.ops == len(ops)
    assert ref.copy_bytes == size_bytes((start, end) for start, end, clear in ops if not clear)
    assert ref.clear_bytes == size_bytes((start, end) for start, end, clear in ops if clear)


@given(plans(), st.integers(1, 5), st.integers(1, 8))
def test_parts_cover_the_plan_exactly_and_are_bounded(
    ops: list[Op], most_ops: int, units: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PART_OPS", most_ops)
        patch.setattr(plan, "PART_BYTES", units * TRANSFER_UNIT_BYTES)
        draft, blob = drafted(ops, 7)
    ref = draft.reference("url")
    offset, length = ref.index_slice
    index = decode_index(blob[offset : offset + length])
    assert len(blob) == offset + length
    assert [at for part in index for at in range(part.first, part.last)] == list(range(len(ops)))
    for part in index:
        work = ops[part.first : part.last]
        moved = size_bytes((start, end) for start, end, clear in work if not clear)
        assert 0 < len(work) <= most_ops
        assert moved <= units * TRANSFER_UNIT_BYTES
    for one, other in pairwise(index):
        following = ops[other.first]
        more = 0 if following[2] else following[1] - following[0]
        work = ops[one.first : one.last]
        moved = size_bytes((start, end) for start, end, clear in work if not clear)
        assert len(work) == most_ops or moved + more > units * TRANSFER_UNIT_BYTES


def test_blocks_come_as_soon_as_they_are_full() -> None:
    """A draft keeps less than a block, however long the plan."""
    draft, written = Draft(), 0
    count = 3 * BLOCK_BYTES // OP_BYTES + 5
    ops = [(at * 1024, at * 1024 + 512, False) for at in range(count)]
    for at in range(0, count, 1000):
        draft.add(ops[at : at + 1000])
        for block in draft.blocks():
            assert len(block) == BLOCK_BYTES
            written += len(block)
        left = at + len(ops[at : at + 1000]) - written // OP_BYTES
        assert left * OP_BYTES < BLOCK_BYTES
    assert written == 3 * BLOCK_BYTES
    rest = draft.rest()
    assert written + len(rest) == sum(draft.reference("").index_slice)


def test_a_part_is_a_few_seconds_of_work() -> None:
    copies = [(at * 4 * MIB, (at + 1) * 4 * MIB, False) for at in range(128)]
    draft, _ = drafted(copies, 9)
    assert draft.reference("").parts == 128 * 4 * MIB // PART_BYTES
    clears = [(at * 1024, at * 1024 + 512, True) for at in range(PART_OPS + 1)]
    draft, _ = drafted(clears, 999)
    assert draft.reference("").parts == 2


def test_nothing_to_do_is_an_empty_plan() -> None:
    draft, blob = drafted([], 1)
    assert blob == b""
    assert (draft.reference("").ops, draft.reference("").parts) == (0, 0)


def test_half_an_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        decode_ops(b"\0" * 24)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (512, 0), (-512, 512), (1, 512), (0, 513)])
def test_a_range_that_is_none_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a page range"):
        PageRange(start, end)
