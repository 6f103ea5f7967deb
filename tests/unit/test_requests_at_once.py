"""How many operations of a part are kept under way: what one blob serves in a moment."""

import pytest

from shared.decide.cost import AHEAD_SECONDS, requests_at_once
from shared.model.pace import Pace
from shared.model.plan import PageOp
from shared.model.ranges import Change, PageRange

KIB, MIB = 1024, 1024**2


def ops(size: int, count: int, change: Change = Change.WRITTEN) -> list[PageOp]:
    starts = range(0, count * 8 * MIB, 8 * MIB)
    return [PageOp(PageRange(start, start + size), change) for start in starts]


@pytest.mark.parametrize(
    ("size", "wanted"), [(4 * KIB, 16), (64 * KIB, 16), (1 * MIB, 7), (4 * MIB, 2)]
)
def test_large_copies_are_fewer_at_once_than_small_ones(size: int, wanted: int) -> None:
    assert requests_at_once(Pace(), ops(size, 100)) == wanted


def test_a_part_under_way_never_asks_for_much_more_than_the_blob_serves_in_a_moment() -> None:
    pace = Pace()
    for size in (4 * KIB, 256 * KIB, MIB, 4 * MIB):
        under_way = requests_at_once(pace, ops(size, 500))
        seconds = under_way * (
            size / pace.blob_bytes_per_second + 1 / pace.blob_requests_per_second
        )
        one = seconds / under_way
        assert under_way == 2 or seconds <= AHEAD_SECONDS + one


def test_a_faster_blob_gets_more() -> None:
    fast = Pace(blob_bytes_per_second=10 * Pace().blob_bytes_per_second)
    assert requests_at_once(fast, ops(4 * MIB, 100)) > 10


def test_clears_move_nothing() -> None:
    assert requests_at_once(Pace(), ops(4 * MIB, 100, Change.CLEARED)) == 16


def test_no_more_than_there_are() -> None:
    assert requests_at_once(Pace(), []) == 0
    assert requests_at_once(Pace(), ops(4 * MIB, 1)) == 1
    assert requests_at_once(Pace(copy_concurrency=1), ops(4 * KIB, 9)) == 1
