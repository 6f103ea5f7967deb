"""The limits of managed disks: no snapshot too many in any five minutes, and none too late."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.decide.governor import LIMITS, diff_is_told, is_full, may_grant, next_snapshot_at

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
GIBIBYTE = 1024**3
moments = st.integers(0, 600).map(lambda seconds: START + timedelta(seconds=seconds))


def test_the_eighth_waits_until_the_first_is_five_minutes_old() -> None:
    taken = [START + timedelta(seconds=number) for number in range(7)]
    now = START + timedelta(minutes=1)
    assert next_snapshot_at(taken[:6], now) == now
    assert next_snapshot_at(taken, now) == START + timedelta(minutes=5)
    assert next_snapshot_at(taken, START + timedelta(minutes=5)) == START + timedelta(minutes=5)


@given(st.lists(moments, max_size=40))
def test_whoever_waits_as_told_breaks_no_limit(wishes: list[datetime]) -> None:
    taken: list[datetime] = []
    for wish in sorted(wishes):
        now = max([wish, *taken])
        taken.append(next_snapshot_at(taken, now))
    for at in taken:
        window = [each for each in taken if at <= each < at + LIMITS.window]
        assert len(window) <= LIMITS.snapshots_in_window


@given(st.lists(moments, max_size=40), moments)
def test_nobody_waits_longer_than_needed(taken: list[datetime], now: datetime) -> None:
    past = [at for at in taken if at <= now]
    at = next_snapshot_at(past, now)
    assert now <= at <= now + LIMITS.window
    if at > now:
        just_before = at - timedelta(microseconds=1)
        recent = [each for each in past if just_before - each < LIMITS.window]
        assert len(recent) >= LIMITS.snapshots_in_window


def test_a_disk_has_five_hundred_snapshots_and_five_readers() -> None:
    assert not is_full(499)
    assert is_full(500)
    assert may_grant(4)
    assert not may_grant(5)


def test_a_diff_is_told_on_one_side_of_four_tebibytes() -> None:
    small, large = 4095 * GIBIBYTE, 4096 * GIBIBYTE
    assert diff_is_told(GIBIBYTE, small)
    assert diff_is_told(large, 32 * 1024 * GIBIBYTE)
    assert not diff_is_told(small, large)
    assert not diff_is_told(large, small)
