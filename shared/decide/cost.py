"""What requests and bytes cost: the one place that says when a gap is moved along.

A page blob serves about 500 requests and 60 MiB a second (Azure's published targets). One request
more therefore takes as long as moving about 123 KiB more: the *break-even*. Two copies become one
across a gap that is smaller; the gap's bytes come from the same snapshot, so they are right.

Time is not all that a gap costs: the replica's next snapshot stores, and bills, every page that
was written, were it with the same bytes. So a gap has to be small beside its neighbours as well:
all gaps together are at most `gap_share` of what had to be copied.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from shared.model.pace import Pace
from shared.model.plan import Op, PageOp
from shared.model.ranges import Change

AHEAD_SECONDS = 0.125
"""A part keeps so much under way as one page blob serves in this time, about as long as a request
takes to be answered. More would wait there, or be refused, and be lost with a worker that dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """The figures come from `Pace`, and so from settings."""

    break_even_bytes: float
    gap_share: float
    listing_gaps: int

    def joins(self, gap: int, before: int, after: int) -> bool:
        """Whether to copy a gap along with the runs `before` and `after` it, all in bytes.

        Each run vouches for half its share on either side, which bounds the sum of all gaps. The
        answer depends on one gap and its two runs, so that going from left to right is optimal.
        """
        return gap <= self.break_even_bytes and 2 * gap <= self.gap_share * (before + after)

    def worth_listing(self, ops: Sequence[Op]) -> bool:
        """Whether a listing of what is allocated around the operations may save more requests
        than it costs."""
        if len(ops) <= self.listing_gaps:
            return False
        joinable = (
            True
            for (start, end, clear), (next_start, next_end, next_clear) in pairwise(ops)
            if clear is next_clear
            and (clear or self.joins(next_start - end, end - start, next_end - next_start))
        )
        return sum(islice(joinable, self.listing_gaps)) == self.listing_gaps


def cost_model(pace: Pace) -> CostModel:
    """The model by the figures of `pace`."""
    return CostModel(
        break_even_bytes=pace.blob_bytes_per_second / pace.blob_requests_per_second,
        gap_share=pace.gap_share,
        listing_gaps=pace.listing_gaps,
    )


def requests_at_once(pace: Pace, ops: Sequence[PageOp]) -> int:
    """How many of a part's operations to keep under way: up to `copy_concurrency` where they are
    small, as few as fill the blob's bandwidth where they are large; two at least."""
    if len(ops) < 2:
        return len(ops)
    copied = sum(op.range.size_bytes for op in ops if op.change is Change.WRITTEN)
    seconds = copied / pace.blob_bytes_per_second + len(ops) / pace.blob_requests_per_second
    ahead = math.ceil(AHEAD_SECONDS * len(ops) / seconds)
    return min(len(ops), pace.copy_concurrency, max(2, ahead))
