"""The retention of a policy in the words of a Recovery Services vault."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.model.policy import RetentionRule, Rule, Weekday

Json = Mapping[str, Any]

_LEAST_DAYS = 7
_UNITS = {
    Rule.DAILY: ("dailySchedule", "Days", _LEAST_DAYS, 9999),
    Rule.WEEKLY: ("weeklySchedule", "Weeks", 1, 5163),
    Rule.MONTHLY: ("monthlySchedule", "Months", 1, 1188),
    Rule.YEARLY: ("yearlySchedule", "Years", 1, 99),
}
"""What Azure calls a rule and its unit, and how many of them it takes."""
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def retention_body(
    rules: Sequence[RetentionRule], on: frozenset[Weekday], at: str, losses: list[str]
) -> tuple[Json, int]:
    """Azure's `retentionPolicy`, and for how many days each point is kept at least. `at` is the
    time of the backups, on the days `on`; what cannot be expressed is added to `losses`."""
    by_rule = {rule.rule: rule for rule in rules}
    if on == frozenset(Weekday):
        parts, kept_days = _of_every_day(by_rule, losses)
    else:
        parts, kept_days = _of_weekdays(by_rule, on, losses)
    for name in (Rule.MONTHLY, Rule.YEARLY):
        if rule := by_rule.get(name):
            parts |= _part(name, _keep(rule, losses), _days_of(rule))
    timed = {name: {**part, "retentionTimes": [at]} for name, part in parts.items()}
    return {"retentionPolicyType": "LongTermRetentionPolicy", **timed}, kept_days


def _of_every_day(
    by_rule: Mapping[Rule, RetentionRule], losses: list[str]
) -> tuple[dict[str, Json], int]:
    daily = by_rule.get(Rule.DAILY)
    if daily is None:
        losses.append(f"retention: a vault keeps every day's points for {_LEAST_DAYS} days")
    days = _keep(daily, losses) if daily else _LEAST_DAYS
    parts = _part(Rule.DAILY, days)
    if weekly := by_rule.get(Rule.WEEKLY):
        parts |= _part(Rule.WEEKLY, _keep(weekly, losses), {"daysOfTheWeek": _days(weekly.on)})
    return parts, days


def _of_weekdays(
    by_rule: Mapping[Rule, RetentionRule], on: frozenset[Weekday], losses: list[str]
) -> tuple[dict[str, Json], int]:
    """Azure keeps the points of a weekly schedule all equally long, in whole weeks."""
    daily, weekly = by_rule.get(Rule.DAILY), by_rule.get(Rule.WEEKLY)
    wanted = {_days_kept(day, daily, weekly) for day in on}
    weeks = max(1, -(-max(wanted) // 7))
    if wanted != {weeks * 7}:
        losses.append(
            "retention: a vault with a weekly schedule keeps the points of all its weekdays "
            f"equally long, in whole weeks; these will be {weeks}"
        )
    return _part(Rule.WEEKLY, weeks, {"daysOfTheWeek": _days(on)}), weeks * 7


def _days_kept(day: Weekday, daily: RetentionRule | None, weekly: RetentionRule | None) -> int:
    by_week = weekly.keep * 7 if weekly and day in weekly.on else 0
    return max(by_week, daily.keep if daily else 0)


def _part(rule: Rule, count: int, days: Json | None = None) -> dict[str, Json]:
    name, unit, _, _ = _UNITS[rule]
    duration = {"count": count, "durationType": unit}
    return {name: {**(days or {}), "retentionDuration": duration}}


def _keep(rule: RetentionRule, losses: list[str]) -> int:
    _, unit, least, most = _UNITS[rule.rule]
    count = max(least, min(rule.keep, most))
    if count != rule.keep:
        losses.append(f"retention.{rule.rule}: a vault keeps {count} {unit.lower()}")
    return count


def _days_of(rule: RetentionRule) -> Json:
    """Which days of a month the rule is about, and of which months."""
    months = {"monthsOfYear": [_MONTHS[month - 1] for month in sorted(rule.months)]}
    of_year = months if rule.rule is Rule.YEARLY else {}
    if rule.week is not None:
        weeks = {"daysOfTheWeek": _days(rule.on), "weeksOfTheMonth": [rule.week.capitalize()]}
        return {
            "retentionScheduleFormatType": "Weekly",
            **of_year,
            "retentionScheduleWeekly": weeks,
        }
    chosen = {"date": rule.day or 0, "isLast": rule.day == 0}
    return {
        "retentionScheduleFormatType": "Daily",
        **of_year,
        "retentionScheduleDaily": {"daysOfTheMonth": [chosen]},
    }


def _days(days: frozenset[Weekday]) -> list[str]:
    return [day.capitalize() for day in Weekday if day in days]
