"""A plan: the page operations that turn one disk image into another.

The plan lies beside the replica as one compact blob, so that messages carry only where a part's
operations begin and end (fault 30). First come the operations, two little-endian 64-bit words
each: the start, and the length in pages doubled, plus one where it is a clear. Then the index:
two words a part, where on the disk it begins, and the number of operations up to its end.
"""

import struct
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.model.ranges import FAR, PAGE_BYTES, Change, PageRange, Span

OP_BYTES = 16
PART_BYTES = 256 * 1024 * 1024
PART_OPS = 2000
"""A part's bounds: at a blob's 60 MiB/s and 500 requests/s both take about 4 s, far from the
2 minutes that a message's work may last."""
BLOCK_BYTES = 1024 * 1024
"""A plan under way is written whenever so much of it has come together."""

_OP = struct.Struct("<QQ")
_INDEXED = struct.Struct("<QQ")
_WORD_BYTES = 8
_HALF_PAGES = PAGE_BYTES.bit_length() - 2
"""A length in bytes, shifted right by this, is twice its length in pages."""

Op = tuple[int, int, bool]
"""An operation as the planner handles it: `(start, end, clear)`. What a diff says of a range is
one as well: what was written is to be copied, what was cleared is to be cleared."""


@dataclass(frozen=True, slots=True)
class PageOp:
    """Copy a range from the source snapshot (WRITTEN), or clear it (CLEARED). ≤ 4 MiB a copy."""

    range: PageRange
    change: Change


@dataclass(frozen=True, slots=True)
class Part:
    """Operations `[first, last)` of a plan: the work of one message. The first of them begins at
    `start`, in bytes of the disk."""

    first: int
    last: int
    start: int = 0


@dataclass(frozen=True, kw_only=True)
class PlanRef:
    """Where a written plan lies, and what it amounts to."""

    url: str
    ops: int
    parts: int
    copy_bytes: int
    clear_bytes: int
    extents: tuple[int, ...] = ()
    """Where the extents begin that its operations write to."""

    @property
    def index_slice(self) -> tuple[int, int]:
        """Where the index lies in the blob: offset and length in bytes."""
        return self.ops * OP_BYTES, self.parts * _INDEXED.size


class Draft:
    """A plan while it is made: operations go in, in disk order; the blob comes out in blocks.

    It keeps what is not yet taken, two words a part, and which extents of its image it writes:
    `extents` are their bounds, in order."""

    def __init__(self, extents: Sequence[Span] = ((0, FAR),)) -> None:
        self._ahead = deque(extents)
        self._written: list[int] = []
        self._edge = 0
        self._words = array("Q")
        self._index = array("Q")
        self._part_start = 0
        self._ops = self._first = self._moved = 0
        self._copy_bytes = self._clear_bytes = 0

    def add(self, ops: Iterable[Op]) -> None:
        """Takes the next operations, and cuts parts of bounded work: a clear costs a request and
        no bytes."""
        append, count, first, moved = self._words.append, self._ops, self._first, self._moved
        copied, cleared, edge = 0, 0, self._edge
        for start, end, clear in ops:
            size = end - start
            if end > edge:
                edge = self._note_extents(start, end)
            if clear:
                cleared += size
                cost = 0
            else:
                copied += size
                cost = size
            if count > first and (moved + cost > PART_BYTES or count - first >= PART_OPS):
                self._close_part(count)
                first, moved = count, 0
            if count == first:
                self._part_start = start
            moved += cost
            count += 1
            append(start)
            append(size >> _HALF_PAGES | clear)
        self._ops, self._first, self._moved, self._edge = count, first, moved, edge
        self._copy_bytes += copied
        self._clear_bytes += cleared

    def _close_part(self, end: int) -> None:
        self._index.extend((self._part_start, end))

    def _note_extents(self, start: int, end: int) -> int:
        """Where the last extent ends that the operation writes to; up to there all are noted,
        since operations come in disk order."""
        edge = self._edge
        while self._ahead and self._ahead[0][0] < end:
            first, edge = self._ahead.popleft()
            if edge > start:
                self._written.append(first)
        return max(edge, end)

    def blocks(self) -> Iterator[bytes]:
        """What has come together, in blocks; a last part smaller than one stays."""
        while len(self._words) * _WORD_BYTES >= BLOCK_BYTES:
            full = BLOCK_BYTES // _WORD_BYTES
            yield _stored(self._words[:full])
            del self._words[:full]

    def rest(self) -> bytes:
        """The last operations, and the index; nothing where there were no operations at all."""
        if self._ops > self._first:
            self._close_part(self._ops)
            self._first = self._ops
        return _stored(self._words + self._index)

    def reference(self, url: str) -> PlanRef:
        """What to remember of the plan, once `rest` has been taken and all is written to `url`."""
        return PlanRef(
            url=url,
            ops=self._ops,
            parts=len(self._index) // 2,
            copy_bytes=self._copy_bytes,
            clear_bytes=self._clear_bytes,
            extents=tuple(self._written),
        )


def encode(ops: Iterable[PageOp]) -> bytes:
    """A whole plan as it is stored: the operations, then the index of its parts."""
    draft = Draft()
    draft.add((*op.range, op.change is Change.CLEARED) for op in ops)
    return b"".join([*draft.blocks(), draft.rest()])


def decode_ops(slice_: bytes) -> list[PageOp]:
    """Some operations of a plan. Raises `ValueError` where the bytes are no whole operations."""
    if len(slice_) % OP_BYTES:
        raise ValueError(f"a plan's slice has {len(slice_)} bytes, not a multiple of {OP_BYTES}")
    return [_op(start, word) for start, word in _OP.iter_unpack(slice_)]


def decode_index(slice_: bytes) -> list[Part]:
    """The parts of a plan, from its index."""
    index = list(_INDEXED.iter_unpack(slice_))
    firsts = [0, *[last for _, last in index]]
    return [Part(first, last, start) for first, (start, last) in zip(firsts, index, strict=False)]


def _stored(words: "array[int]") -> bytes:
    """Words as they are stored; the array may be changed by it."""
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _op(start: int, word: int) -> PageOp:
    end = start + (word >> 1) * PAGE_BYTES
    return PageOp(PageRange(start, end), Change.CLEARED if word & 1 else Change.WRITTEN)
