"""When the demo's schedule fires."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.demo.slots import next_slots, policy_of
from shared.decide.schedule import next_slot

MARGIN = timedelta(seconds=4)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("21 10:00:00", "21 10:01"),
        ("21 10:00:30.5", "21 10:01"),
        ("21 10:00:56", "21 10:01"),
        ("21 10:00:56.1", "21 10:02"),
        ("21 23:58:58", "22 00:00"),
        ("21 23:58:30", "21 23:59"),
        ("30 23:59:59", "30 23:59"),
    ],
)
def test_the_next_two_minutes(now: str, first: str) -> None:
    expected = _at(f"{first}:00")
    if now == "30 23:59:59":
        expected = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
    assert next_slots(_at(now), MARGIN) == (expected, expected + timedelta(minutes=1))


@pytest.mark.parametrize("now", ["21 10:00:30", "21 23:57:58", "21 23:58:30", "21 23:59:30"])
def test_the_policy_fires_at_both_also_around_midnight(now: str) -> None:
    slots = next_slots(_at(now), MARGIN)
    policy = policy_of(slots)
    first = next_slot(policy.schedule, policy.time_zone, _at(now))
    assert (first, next_slot(policy.schedule, policy.time_zone, first)) == slots
