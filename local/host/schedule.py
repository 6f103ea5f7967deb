"""When a timer function is due: NCRONTAB and TimeSpan schedules, and past-due decisions. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from croniter import croniter

from local.host.settings import SettingsError, parse_timespan

NextAfter = Callable[[datetime], datetime]

_MONITORED_INTERVAL = timedelta(minutes=1)
_SAMPLES = 6


@dataclass(frozen=True)
class ScheduleStatus:
    """What is remembered of a timer between runs; times are aware UTC."""

    schedule: str
    last: datetime | None
    next: datetime
    updated: datetime


def parse_schedule(text: str) -> NextAfter:
    """Read a schedule: six NCRONTAB fields (seconds first), five, or a TimeSpan interval.

    Raises SettingsError. Occurrences are UTC, as in Azure without ``WEBSITE_TIME_ZONE``.
    """
    fields = text.split()
    if len(fields) == 1 and ":" in text:
        interval = parse_timespan(text)
        if interval <= timedelta(0):
            raise SettingsError(f"'{text}' is not a schedule: the interval must be positive")
        return lambda after: after + interval
    # NCRONTAB has at most six fields; croniter would take a seventh, the year.
    if len(fields) not in (5, 6) or not _is_cron(text):
        raise SettingsError(f"'{text}' is not a schedule (NCRONTAB or time span)")
    return lambda after: _next_occurrence(text, after)


def is_monitored(use_monitor: bool | None, next_after: NextAfter, now: datetime) -> bool:
    """Whether the status is kept: the extension does not for intervals below a minute."""
    if use_monitor is False:
        return False
    occurrences = [now := next_after(now) for _ in range(_SAMPLES)]
    return all(later - earlier >= _MONITORED_INTERVAL for earlier, later in pairwise(occurrences))


def is_past_due(status: ScheduleStatus | None, schedule: str, now: datetime) -> bool:
    """Whether an occurrence was missed while the host was away.

    A schedule that has changed since starts afresh: its old occurrence says nothing.
    """
    return status is not None and status.schedule == schedule and status.next < now


def _is_cron(text: str) -> bool:
    valid: bool = croniter.is_valid(text, second_at_beginning=True)  # type: ignore[no-untyped-call]
    return valid


def _next_occurrence(text: str, after: datetime) -> datetime:
    # In NCRONTAB a day must satisfy both day fields; classic cron takes either.
    occurrences: Any = croniter(
        text, after, ret_type=datetime, second_at_beginning=True, day_or=False
    )
    following: datetime = occurrences.get_next()
    return following
