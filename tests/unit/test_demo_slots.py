"""When the demo's schedule fires."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.demo.slots import next_slots, policy_of
from shared.decide.schedule import next_slot

MARGIN = timedelta(seconds=4)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-11-21 10:00:00", "2026-11-21 10:01"),
        ("2026-11-21 10:00:30.5", "2026-11-21 10:01"),
        ("2026-11-21 10:00:56", "2026-11-21 10:01"),
        ("2026-11-21 10:00:56.1", "2026-11-21 10:02"),
        ("2026-11-21 23:58:30", "2026-11-21 23:59"),
        ("2026-11-21 23:58:58", "2026-11-22 00:00"),
        ("2026-12-31 23:59:59", "2027-01-01 00:01"),
    ],
)
def test_the_next_two_minutes(now: str, first: str) -> None:
    assert next_slots(_at(now), MARGIN) == (_at(first), _at(first) + timedelta(minutes=1))


@pytest.mark.parametrize("now", ["10:00:30", "23:57:58", "23:58:30", "23:59:30"])
def test_the_policy_fires_at_both_also_around_midnight(now: str) -> None:
    slots = next_slots(_at(f"2026-11-21 {now}"), MARGIN)
    policy = policy_of(slots)
    first = next_slot(policy.schedule, policy.time_zone, _at(f"2026-11-21 {now}"))
    assert (first, next_slot(policy.schedule, policy.time_zone, first)) == slots
