"""When the demo's schedule fires: at the next two full minutes."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.policy import parse_policy
from shared.model.policy import Policy

POLICY = "demo"
_MINUTE = timedelta(minutes=1)


def next_slots(now: datetime, margin: timedelta) -> tuple[datetime, datetime]:
    """The next two full minutes (UTC), the first at least `margin` away."""
    earliest = (now + margin).astimezone(UTC)
    first = earliest.replace(second=0, microsecond=0)
    if first < earliest:
        first += _MINUTE
    return first, first + _MINUTE


def policy_of(slots: tuple[datetime, ...]) -> Policy:
    """A daily policy with just these slots today: times of day, so midnight may lie between."""
    document: dict[str, Any] = {
        "name": POLICY,
        "time_zone": "UTC",
        "schedule": {"frequency": "daily", "at": [slot.strftime("%H:%M") for slot in slots]},
        "instant_restore_days": 2,
        "retention": {"daily": {"keep": 7}},
    }
    return parse_policy(document)
