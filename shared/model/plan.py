"""A plan: the page operations that turn one disk image into another.

The plan lies beside the replica as one compact blob, so that messages carry only where a part's
operations begin and end (fault 30). First come the operations, two little-endian 64-bit words
each: the start, and the length in pages doubled, plus one where it is a clear. Then the index:
one word a part, the number of operations up to its end.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.model.ranges import PAGE_BYTES, TRANSFER_UNIT_BYTES, Change, PageRange, split

OP_BYTES = 16
PART_BYTES = 256 * 1024 * 1024
PART_OPS = 2000
"""A part's bounds: at a blob's 60 MiB/s and 500 requests/s both take about 4 s, far from the
2 minutes that a message's work may last."""

_OP = struct.Struct("<QQ")
_WORD = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class PageOp:
    """Copy a range from the source snapshot (WRITTEN), or clear it (CLEARED). ≤ 4 MiB a copy."""

    range: PageRange
    change: Change


@dataclass(frozen=True, slots=True)
class Part:
    """Operations `[first, last)` of a plan: the work of one message."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class PlanRef:
    """Where a written plan lies, and what it amounts to."""

    url: str
    ops: int
    parts: int
    copy_bytes: int
    clear_bytes: int

    @property
    def index_slice(self) -> tuple[int, int]:
        """Where the index lies in the blob: offset and length in bytes."""
        return self.ops * OP_BYTES, self.parts * _WORD.size


def operations(copies: Iterable[PageRange], clears: Iterable[PageRange]) -> list[PageOp]:
    """The operations for two disjoint sets of ranges, in disk order; copies split at 4 MiB."""
    ops = [PageOp(piece, Change.WRITTEN) for piece in split(copies, TRANSFER_UNIT_BYTES)]
    ops += [PageOp(piece, Change.CLEARED) for piece in clears]
    return sorted(ops, key=lambda op: op.range.start)


def parts(ops: Sequence[PageOp]) -> Iterator[Part]:
    """The operations cut into parts of bounded work. A clear costs a request and no bytes."""
    first = moved = 0
    for index, op in enumerate(ops):
        cost = op.range.size_bytes if op.change is Change.WRITTEN else 0
        if index > first and (moved + cost > PART_BYTES or index - first >= PART_OPS):
            yield Part(first, index)
            first, moved = index, 0
        moved += cost
    if ops:
        yield Part(first, len(ops))


def encode(ops: Sequence[PageOp]) -> bytes:
    """The plan as it is stored: the operations, then the index of its parts."""
    body = [_OP.pack(op.range.start, _length_word(op)) for op in ops]
    index = [_WORD.pack(part.last) for part in parts(ops)]
    return b"".join([*body, *index])


def decode_ops(slice_: bytes) -> list[PageOp]:
    """Some operations of a plan. Raises `ValueError` where the bytes are no whole operations."""
    if len(slice_) % OP_BYTES:
        raise ValueError(f"a plan's slice has {len(slice_)} bytes, not a multiple of {OP_BYTES}")
    return [_op(start, word) for start, word in _OP.iter_unpack(slice_)]


def decode_index(slice_: bytes) -> list[Part]:
    """The parts of a plan, from its index."""
    ends = [end for (end,) in _WORD.iter_unpack(slice_)]
    return [Part(first, last) for first, last in pairwise([0, *ends])]


def reference(url: str, ops: Sequence[PageOp]) -> PlanRef:
    """What to remember of a plan written to `url`."""
    return PlanRef(
        url=url,
        ops=len(ops),
        parts=sum(1 for _ in parts(ops)),
        copy_bytes=sum(op.range.size_bytes for op in ops if op.change is Change.WRITTEN),
        clear_bytes=sum(op.range.size_bytes for op in ops if op.change is Change.CLEARED),
    )


def _length_word(op: PageOp) -> int:
    return op.range.size_bytes // PAGE_BYTES * 2 + (op.change is Change.CLEARED)


def _op(start: int, word: int) -> PageOp:
    end = start + (word >> 1) * PAGE_BYTES
    return PageOp(PageRange(start, end), Change.CLEARED if word & 1 else Change.WRITTEN)
