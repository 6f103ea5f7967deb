"""What a policy's calendar says: when the next backup runs, and how long a point is kept.

Times of a policy are times of day in its own zone; the date and the `Z` they carry mean nothing.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from local.arm.answers import JsonObject
from local.arm.recovery.formats import parse_time
from local.arm.recovery.policies import Policy
from local.arm.recovery.zones import find_zone

_DAYS_KEPT_IN = {"Days": 1, "Weeks": 7, "Months": 31, "Years": 365}
"""Azure counts a month as 31 days."""
_WEEKS = {"First": 0, "Second": 1, "Third": 2, "Fourth": 3, "Last": -1}
_LOOK_AHEAD_DAYS = 9


def next_run(policy: Policy, after: datetime) -> datetime:
    """The first scheduled time after a moment."""
    zone = find_zone(policy.properties["timeZone"])
    first = after.astimezone(zone).date() - timedelta(days=1)
    days = (first + timedelta(days=ahead) for ahead in range(_LOOK_AHEAD_DAYS))
    schedule = policy.properties["schedulePolicy"]
    runs = (
        datetime.combine(day, time(), zone) + offset
        for day in days
        for offset in _offsets(schedule, day)
    )
    return next(run.astimezone(after.tzinfo) for run in runs if run > after)


def keep_until(policy: Policy, taken: datetime) -> datetime:
    """The latest of the dates that the policy's rules keep a scheduled point until."""
    retention = policy.properties["retentionPolicy"]
    day = taken.astimezone(find_zone(policy.properties["timeZone"])).date()
    rules = [each for name, each in retention.items() if name.endswith("Schedule") and each]
    names = [name for name, each in retention.items() if name.endswith("Schedule") and each]
    kept = [_kept(rule) for name, rule in zip(names, rules, strict=True) if _tags(name, rule, day)]
    return taken + max(kept, default=_kept(rules[0]))


def _kept(rule: JsonObject) -> timedelta:
    duration = rule["retentionDuration"]
    return timedelta(days=int(duration["count"]) * _DAYS_KEPT_IN[duration["durationType"]])


def _offsets(schedule: JsonObject, day: date) -> Iterator[timedelta]:
    """The times of one day's runs, from its midnight on; those of a window may lie in the next."""
    frequency = schedule["scheduleRunFrequency"]
    part: Any = schedule.get(f"{frequency.lower()}Schedule") or schedule
    if frequency == "Hourly":
        start = _time_of_day(part["scheduleWindowStartTime"])
        hours = range(0, int(part["scheduleWindowDuration"]) + 1, int(part["interval"]))
        yield from (start + timedelta(hours=hour) for hour in hours if hour < 24)
    elif frequency == "Daily" or f"{day:%A}" in part["scheduleRunDays"]:
        yield _time_of_day(part["scheduleRunTimes"][0])


def _time_of_day(text: str) -> timedelta:
    at = parse_time(text)
    return timedelta(hours=at.hour, minutes=at.minute)


def _tags(name: str, rule: JsonObject, day: date) -> bool:
    if name == "dailySchedule":
        return True
    if name == "weeklySchedule":
        return f"{day:%A}" in rule["daysOfTheWeek"]
    if name == "yearlySchedule" and f"{day:%B}" not in rule["monthsOfYear"]:
        return False
    if rule["retentionScheduleFormatType"] == "Daily":
        return _is_chosen_date(rule["retentionScheduleDaily"], day)
    weekly = rule["retentionScheduleWeekly"]
    return f"{day:%A}" in weekly["daysOfTheWeek"] and any(
        _is_week(day, week) for week in weekly["weeksOfTheMonth"]
    )


def _is_chosen_date(daily: JsonObject, day: date) -> bool:
    is_last = (day + timedelta(days=1)).month != day.month
    return any(
        (each.get("isLast") and is_last) or each.get("date") == day.day
        for each in daily["daysOfTheMonth"]
    )


def _is_week(day: date, week: str) -> bool:
    if _WEEKS[week] < 0:
        return (day + timedelta(days=7)).month != day.month
    return (day.day - 1) // 7 == _WEEKS[week]
