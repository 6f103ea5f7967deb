"""Our policy in the words of a Recovery Services vault, and what cannot be said in them.

A standard policy (Azure's `V1`) runs at one time of day, on all or on some weekdays; an enhanced
one (`V2`) also every few hours of a window, and keeps snapshots for longer. Limits are as
documented. What Azure cannot do becomes the nearest that it can, which keeps points longer rather
than shorter, and a sentence that says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import tz_win, win_tz

from shared.decide.vault_retention import retention_body
from shared.model.policy import Policy, Schedule, Weekday

Json = Mapping[str, Any]

INTERVALS = (4, 6, 8, 12)
"""Hours between the runs of an enhanced policy's window."""
_STANDARD_DAYS = 5
_ENHANCED_DAYS = 30
_WINDOW_DAYS = {4: 17, 6: 22}
_WEEKLY_ENHANCED_DAYS = 20
"""Most days of snapshots: standard; enhanced, by its interval; enhanced and weekly."""
_ANY_DAY = "2020-01-01"
"""The date of a policy's times means nothing."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A policy's `properties` as Azure takes them, and a sentence for each way in which they are
    not what the policy says."""

    body: Json
    losses: tuple[str, ...] = ()

    @property
    def enhanced(self) -> bool:
        """An enhanced policy, and an item under one, never becomes standard again."""
        return self.body.get("policyType") == "V2"


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """Backups at `start`, or every so many hours of a window that begins then."""

    start: time
    on: frozenset[Weekday]
    every_hours: int = 0
    window_hours: int = 0

    @property
    def weekly(self) -> bool:
        return self.on != frozenset(Weekday)

    @property
    def times(self) -> tuple[time, ...]:
        steps = range(0, self.window_hours + 1, self.every_hours or 1)
        return tuple(_later(self.start, hours) for hours in steps)


def translate(policy: Policy, today: date, *, enhanced: bool = False) -> Translation:
    """What a vault is given for the policy, which is one that its contract lets in. `enhanced`
    where the vault, or an item, has it as an enhanced policy already."""
    losses: list[str] = []
    runs = _runs(policy.schedule, losses)
    enhanced = enhanced or bool(runs.every_hours) or policy.instant_restore_days > _STANDARD_DAYS
    at = f"{_ANY_DAY}T{runs.start:%H:%M}:00Z"
    retention, kept_days = retention_body(policy.retention, runs.on, at, losses)
    body = {
        "backupManagementType": "AzureIaasVM",
        **({"policyType": "V2"} if enhanced else {}),
        "schedulePolicy": _enhanced(runs, at) if enhanced else _standard(runs, at),
        "retentionPolicy": retention,
        "instantRpRetentionRangeInDays": _snapshot_days(policy, runs, enhanced, kept_days, losses),
        "timeZone": _zone(policy.time_zone, today, losses),
    }
    _note_checks(policy, losses)
    return Translation(body=body, losses=tuple(losses))


# --- when -----------------------------------------------------------------------------------------


def _runs(schedule: Schedule, losses: list[str]) -> _Runs:
    """The one time, or the window with the most runs, among the schedule's times."""
    times = sorted({_half_hour(at) for at in schedule.at})
    moved = [at for at in schedule.at if _half_hour(at) != at]
    if moved:
        losses.append(
            "schedule: a vault's backups start on the hour or half past it; "
            f"{_listed(moved)} will run at the one before"
        )
    once = _Runs(start=times[0], on=schedule.on)
    windows = [] if once.weekly else _windows(times)
    chosen = max([once, *windows], key=lambda runs: len(runs.times))
    if dropped := set(times) - set(chosen.times):
        losses.append(
            "schedule: a vault runs a backup at one time of day, or each day every 4, 6, 8 or 12 "
            f"hours of a window; nothing will run at {_listed(dropped)}"
        )
    return chosen


def _windows(times: list[time]) -> Iterable[_Runs]:
    """Every window of which each run is one of the times, the earliest and longest first."""
    for start in times:
        for interval in INTERVALS:
            hours = 0
            while hours + interval < 24 and _later(start, hours + interval) in times:
                hours += interval
            if hours:
                yield _Runs(
                    start=start, on=frozenset(Weekday), every_hours=interval, window_hours=hours
                )


def _standard(runs: _Runs, at: str) -> Json:
    return {"schedulePolicyType": "SimpleSchedulePolicy", **_once(runs, at)}


def _enhanced(runs: _Runs, at: str) -> Json:
    kind = {"schedulePolicyType": "SimpleSchedulePolicyV2"}
    if runs.every_hours:
        window = {
            "interval": runs.every_hours,
            "scheduleWindowStartTime": at,
            "scheduleWindowDuration": runs.window_hours,
        }
        return {**kind, "scheduleRunFrequency": "Hourly", "hourlySchedule": window}
    once = dict(_once(runs, at))
    frequency = once.pop("scheduleRunFrequency")
    place = "weeklySchedule" if runs.weekly else "dailySchedule"
    return {**kind, "scheduleRunFrequency": frequency, place: once}


def _once(runs: _Runs, at: str) -> Json:
    if not runs.weekly:
        return {"scheduleRunFrequency": "Daily", "scheduleRunTimes": [at]}
    days = [day.capitalize() for day in Weekday if day in runs.on]
    return {
        "scheduleRunFrequency": "Weekly",
        "scheduleRunDays": days,
        "scheduleRunTimes": [at],
    }


def _half_hour(at: time) -> time:
    """The half hour that the time is in."""
    return at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)


def _later(at: time, hours: int) -> time:
    return at.replace(hour=(at.hour + hours) % 24)


def _listed(times: Iterable[time]) -> str:
    return ", ".join(f"{at:%H:%M}" for at in sorted(times))


# --- how long snapshots stay ----------------------------------------------------------------------


def _snapshot_days(
    policy: Policy, runs: _Runs, enhanced: bool, kept_days: int, losses: list[str]
) -> int:
    """The days of instant restore, within what Azure allows; shorter than points are kept."""
    least, most = _bounds(runs, enhanced)
    wanted = policy.instant_restore_days
    days = max(least, min(wanted, most, kept_days - 1))
    if days != wanted:
        losses.append(
            f"instant_restore_days: with this schedule and retention a vault keeps snapshots for "
            f"{days} days, not for {wanted}"
        )
    return days


def _bounds(runs: _Runs, enhanced: bool) -> tuple[int, int]:
    if runs.weekly:
        return _STANDARD_DAYS, _WEEKLY_ENHANCED_DAYS if enhanced else _STANDARD_DAYS
    if not enhanced:
        return 1, _STANDARD_DAYS
    return 1, _WINDOW_DAYS.get(runs.every_hours, _ENHANCED_DAYS)


# --- where the clocks are, and what is left -------------------------------------------------------


def _zone(name: str, today: date, losses: list[str]) -> str:
    """The Windows name of a zone, by Unicode's table or, where that has none or one with other
    clocks, of one whose clocks show the same."""
    known = tz_win.get(name)
    names = [known, *win_tz] if known else list(win_tz)
    for windows in names:
        if _same_clocks(name, win_tz[windows], today):
            return windows
    nearest = known or "UTC"
    losses.append(f"time_zone: Azure knows no zone with the clocks of {name}, but '{nearest}'")
    return nearest


@lru_cache(maxsize=256)
def _same_clocks(name: str, other: str, today: date) -> bool:
    """Whether two zones' clocks show the same, hour by hour, for a year."""
    zones = ZoneInfo(name), ZoneInfo(other)
    midnight = datetime.combine(today, time(), UTC)
    hours = (midnight + timedelta(hours=hour) for hour in range(366 * 24))
    return name == other or all(
        at.astimezone(zones[0]).utcoffset() == at.astimezone(zones[1]).utcoffset() for at in hours
    )


def _note_checks(policy: Policy, losses: list[str]) -> None:
    if policy.checks.every_days is not None or "checks" in policy.document:
        losses.append("checks: what is in a vault of Azure's cannot be compared with its source")
