"""When a schedule wants its backups: local times of day, whatever the clocks do (invariant 9).

A local time that a clock change skips runs at the first valid instant after it; one that comes
twice runs once, the first time. Local times that a change throws together on one instant are one
slot: a slot is an instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.model.policy import Schedule, Weekday

_DAY = timedelta(days=1)
_DAYS_THAT_HOLD_A_SLOT = 9
"""A week has every weekday; one day more for today, one for a zone that skips a whole day."""
_WEEKDAYS = tuple(Weekday)


def next_slot(schedule: Schedule, time_zone: str, after: datetime) -> datetime:
    """The first slot later than `after` (aware); in UTC."""
    zone = ZoneInfo(time_zone)
    today = after.astimezone(zone).date()
    days = (today + _DAY * offset for offset in range(-1, _DAYS_THAT_HOLD_A_SLOT))
    later = (slot for day in days for slot in _slots_of(schedule, zone, day) if slot > after)
    return next(later)


def latest_slot(
    schedule: Schedule, time_zone: str, not_after: datetime, not_before: datetime | None = None
) -> datetime | None:
    """The last slot at or before `not_after`, in UTC; None where that is before `not_before`."""
    zone = ZoneInfo(time_zone)
    today = not_after.astimezone(zone).date()
    days = (today - _DAY * offset for offset in range(-1, _DAYS_THAT_HOLD_A_SLOT))
    past = (
        slot
        for day in days
        for slot in reversed(list(_slots_of(schedule, zone, day)))
        if slot <= not_after
    )
    latest = next(past)
    return None if not_before is not None and latest < not_before else latest


def slots_between(
    schedule: Schedule, time_zone: str, start: datetime, end: datetime
) -> Iterator[datetime]:
    """Every slot in `[start, end)`, in UTC and in order."""
    slot = next_slot(schedule, time_zone, start - timedelta(microseconds=1))
    while slot < end:
        yield slot
        slot = next_slot(schedule, time_zone, slot)


class Clocks(StrEnum):
    """What a clock change does to a local time of day."""

    SKIPPED = "skipped"
    REPEATED = "repeated"


@dataclass(frozen=True, kw_only=True)
class ClockChange:
    """A scheduled local time that a clock change touches: it runs at `slot` (UTC), and where
    `merged`, as one backup with another time of that day."""

    day: date
    at: time
    clocks: Clocks
    slot: datetime
    merged: bool


def clock_changes(schedule: Schedule, time_zone: str, day: date) -> Iterator[ClockChange]:
    """The scheduled times of that local day that the clocks skip or show twice (invariant 9)."""
    zone = ZoneInfo(time_zone)
    slots = list(_slots_of(schedule, zone, day))
    for at, slot in zip(schedule.at, slots, strict=False):
        clocks = _clocks(day, at, zone)
        if clocks:
            merged = slots.count(slot) > 1
            yield ClockChange(day=day, at=at, clocks=clocks, slot=slot, merged=merged)


def _clocks(day: date, at: time, zone: ZoneInfo) -> Clocks | None:
    """What becomes of a local time that is not there exactly once."""
    first, second = (datetime.combine(day, at.replace(fold=fold), zone) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return None
    shown = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    return Clocks.REPEATED if shown == datetime.combine(day, at) else Clocks.SKIPPED


@lru_cache(maxsize=4096)
def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the zone's clocks first show that time or a later one."""
    wanted = datetime.combine(day, at, zone)
    first = wanted.astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wanted.replace(tzinfo=None):
        return first
    return _end_of_gap(wanted.replace(fold=1).astimezone(UTC), first, zone)


def _slots_of(schedule: Schedule, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    """A local day's slots, in order."""
    if _WEEKDAYS[day.weekday()] in schedule.on:
        for at in schedule.at:
            yield local_instant(day, at, zone)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The clock change between two instants, one second at most from it on either side.

    `zoneinfo` does not tell when its changes are; but only one lies between the two readings of a
    skipped time, so halving finds it.
    """
    changed = after.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == changed:
            high = middle
        else:
            low = middle + 1
    return datetime.fromtimestamp(low, UTC)
