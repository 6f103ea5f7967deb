"""What becomes of an item that is due, and when its backup starts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.decide.schedule import latest_slot, next_slot
from shared.model.pace import Pace
from shared.model.policy import Policy

SOON = timedelta(seconds=1)
"""A start that is due so soon is sent at once: scheduling it would take as long."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """`wanted` is the slot to back up for now, `following` the next slot; None where there is
    none."""

    wanted: datetime | None
    following: datetime | None


NEVER_AGAIN = Start(wanted=None, following=None)
"""The item is gone, or its protection stopped."""


def plan_start(policy: Policy, slot: datetime, now: datetime) -> Start:
    """Of the slots missed from `slot` on, the latest alone is caught up with: after an outage
    one backup an item, not a storm. None is wanted where the policy has changed since and has no
    slot there any more."""
    return Start(
        wanted=latest_slot(policy.schedule, policy.time_zone, now, not_before=slot),
        following=next_slot(policy.schedule, policy.time_zone, now),
    )


def start_time(nth: int, now: datetime, pace: Pace) -> datetime:
    """When the n-th start of a tick, from 0 on, takes place: one after the other, so that the
    first goes at once and a thousand do not go together."""
    delay = timedelta(seconds=max(0.0, nth * pace.start_interval_seconds))
    return now if delay < SOON else now + delay
