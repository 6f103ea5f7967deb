"""Backup policies of virtual machines: standard (V1) and enhanced (V2).

A policy is the document that Azure answers. It is checked and normalised once, on its way in; what
is read off it afterwards is there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.arm.answers import JsonObject, not_supported
from local.arm.recovery.formats import parse_time, utc
from local.arm.recovery.names import MANAGEMENT_TYPE
from local.arm.recovery.refusals import (
    instant_days_exceed_vault,
    invalid_instant_days,
    invalid_policy,
)
from local.arm.recovery.zones import find_zone

MOST_POLICIES = 200

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,148}[A-Za-z0-9]")
_MOST_KEPT = {"Days": 9999, "Weeks": 5163, "Months": 1188, "Years": 99}
_RULES = {
    "dailySchedule": "Days",
    "weeklySchedule": "Weeks",
    "monthlySchedule": "Months",
    "yearlySchedule": "Years",
}
_LEAST_DAYS = 7
_INSTANT_DAYS_STANDARD = 5
_INSTANT_DAYS_ENHANCED = {4: 17, 6: 22}
_INSTANT_DAYS_LONGEST = 30
_INSTANT_DAYS_WEEKLY_ENHANCED = 20
_INTERVALS = (4, 6, 8, 12, 24)
_DEFAULT_INSTANT_DAYS = {"V1": 2, "V2": 7}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Policy:
    """A policy: its name and its `properties`, without the count of items."""

    name: str
    properties: Mapping[str, Any]

    @property
    def is_for_machines(self) -> bool:
        return bool(self.properties["backupManagementType"] == MANAGEMENT_TYPE)

    @property
    def kind(self) -> str:
        """`V1` or `V2`; a document that does not say is V1."""
        return str(self.properties.get("policyType", "V1"))

    @property
    def instant_days(self) -> int:
        """How long points stay in the instant tier."""
        return int(self.properties["instantRpRetentionRangeInDays"])

    @property
    def crash_consistent(self) -> bool:
        return self.properties.get("snapshotConsistencyType") == "OnlyCrashConsistent"

    @property
    def group_affixes(self) -> tuple[str | None, str | None]:
        """What the name of the snapshots' resource group begins and ends with, if it is named."""
        details = self.properties.get("instantRPDetails") or {}
        return details.get("azureBackupRGNamePrefix"), details.get("azureBackupRGNameSuffix")


def read_policy(name: str, body: JsonObject, replaced: Policy | None) -> Policy:
    """The policy of a PUT. Raises ArmError: 400 for what Azure refuses, 501 for other workloads."""
    if not _NAME.fullmatch(name):
        raise invalid_policy("a name has 3 to 150 letters, digits and hyphens, the last no hyphen")
    given = dict(body.get("properties") or {})
    if given.get("backupManagementType") != MANAGEMENT_TYPE:
        raise not_supported("policies for other workloads than virtual machines")
    _check_zone(given)
    _check_kind(given, replaced)
    _check_schedule(given)
    _check_retention(given)
    given.setdefault("instantRPDetails", {})
    given["instantRpRetentionRangeInDays"] = _instant_days(given)
    given.pop("protectedItemsCount", None)
    given.pop("resourceGuardOperationRequests", None)
    return Policy(name, _in_order(_with_utc_times(given)))


def _check_zone(given: JsonObject) -> None:
    name = given.get("timeZone", "UTC")
    if find_zone(name) is None:
        raise invalid_policy(f"'{name}' is no time zone of Windows that is known here")


def _check_kind(given: dict[str, Any], replaced: Policy | None) -> None:
    wanted = {"SimpleSchedulePolicy": "V1", "SimpleSchedulePolicyV2": "V2"}
    kind = wanted.get(str(_part(given, "schedulePolicy").get("schedulePolicyType")))
    if kind is None or given.get("policyType", "V1") != kind:
        raise invalid_policy("schedulePolicyType and policyType do not belong together")
    if replaced is not None and replaced.kind == "V2" and kind == "V1":
        raise invalid_policy("an enhanced policy cannot become a standard one")
    given.setdefault("timeZone", "UTC")


def _part(document: JsonObject, name: str) -> JsonObject:
    part = document.get(name)
    if not isinstance(part, Mapping):
        raise invalid_policy(f"{name} is missing")
    return part


def _check_schedule(given: JsonObject) -> None:
    schedule = _part(given, "schedulePolicy")
    frequency = schedule.get("scheduleRunFrequency")
    enhanced = given.get("policyType") == "V2"
    if frequency == "Hourly" and enhanced:
        _check_hours(_part(schedule, "hourlySchedule"))
    elif frequency == "Daily":
        _one_time(_part(schedule, "dailySchedule") if enhanced else schedule, "scheduleRunTimes")
    elif frequency == "Weekly":
        weekly = _part(schedule, "weeklySchedule") if enhanced else schedule
        _one_time(weekly, "scheduleRunTimes")
        _check_days(weekly.get("scheduleRunDays"))
    else:
        raise invalid_policy(f"scheduleRunFrequency '{frequency}' is not known to this policy type")


def _check_hours(hourly: JsonObject) -> None:
    interval, hours = hourly.get("interval"), hourly.get("scheduleWindowDuration")
    if interval not in _INTERVALS:
        raise invalid_policy(f"interval must be one of {_INTERVALS} hours")
    if not isinstance(hours, int) or not interval <= hours <= 24:
        raise invalid_policy("scheduleWindowDuration lies between the interval and 24 hours")
    _time(hourly.get("scheduleWindowStartTime"))


def _one_time(document: JsonObject, name: str) -> datetime:
    times = document.get(name)
    if not isinstance(times, list) or len(times) != 1:
        raise invalid_policy(f"{name} must hold exactly one time")
    return _time(times[0])


def _time(text: object) -> datetime:
    try:
        at = parse_time(str(text))
    except ValueError as error:
        raise invalid_policy(f"'{text}' is not a time") from error
    if at.minute % 30 or at.second or at.microsecond:
        raise invalid_policy("times are on the hour or half past it")
    return at


def _check_days(days: object) -> None:
    if not isinstance(days, list) or not days or not set(days) <= set(_DAYS):
        raise invalid_policy("days must be English names of weekdays, at least one")


def _check_retention(given: JsonObject) -> None:
    retention = _part(given, "retentionPolicy")
    if retention.get("retentionPolicyType") != "LongTermRetentionPolicy":
        raise invalid_policy("retentionPolicyType must be LongTermRetentionPolicy")
    frequency = given["schedulePolicy"]["scheduleRunFrequency"]
    if frequency == "Weekly" and retention.get("dailySchedule"):
        raise invalid_policy("a weekly schedule has no daily retention")
    _part(retention, "weeklySchedule" if frequency == "Weekly" else "dailySchedule")
    for rule, unit in _RULES.items():
        if retention.get(rule):
            _check_rule(rule, unit, _part(retention, rule))


def _check_rule(rule: str, unit: str, document: JsonObject) -> None:
    _one_time(document, "retentionTimes")
    duration = _part(document, "retentionDuration")
    least = _LEAST_DAYS if unit == "Days" else 1
    count = duration.get("count")
    if duration.get("durationType") != unit or not isinstance(count, int):
        raise invalid_policy(f"retentionDuration of {rule} is a number of {unit}")
    if not least <= count <= _MOST_KEPT[unit]:
        raise invalid_policy(f"{rule} keeps between {least} and {_MOST_KEPT[unit]} {unit}")
    if rule == "weeklySchedule":
        _check_days(document.get("daysOfTheWeek"))
    if rule in ("monthlySchedule", "yearlySchedule"):
        _check_format(document)


def _check_format(document: JsonObject) -> None:
    form = document.get("retentionScheduleFormatType")
    if form not in ("Daily", "Weekly"):
        raise invalid_policy("retentionScheduleFormatType must be Daily or Weekly")
    chosen = _part(document, f"retentionSchedule{form}")
    if form == "Weekly":
        _check_days(chosen.get("daysOfTheWeek"))
    if not chosen.get("weeksOfTheMonth" if form == "Weekly" else "daysOfTheMonth"):
        raise invalid_policy(f"retentionSchedule{form} chooses nothing")


def _instant_days(given: JsonObject) -> int:
    least, most = _instant_bounds(given)
    default = max(least, _DEFAULT_INSTANT_DAYS[given.get("policyType", "V1")])
    days = given.get("instantRpRetentionRangeInDays") or default
    if not isinstance(days, int) or not least <= days <= most:
        raise invalid_instant_days(days, least, most)
    kept = _days_in_vault(given["retentionPolicy"])
    if days >= kept:
        raise instant_days_exceed_vault(days, kept)
    return days


def _instant_bounds(given: JsonObject) -> tuple[int, int]:
    """Least and most days; a standard policy that is weekly has the most, and no choice."""
    standard = given.get("policyType", "V1") == "V1"
    if given["schedulePolicy"]["scheduleRunFrequency"] == "Weekly":
        most = _INSTANT_DAYS_STANDARD if standard else _INSTANT_DAYS_WEEKLY_ENHANCED
        return _INSTANT_DAYS_STANDARD, most
    if standard:
        return 1, _INSTANT_DAYS_STANDARD
    hourly = given["schedulePolicy"].get("hourlySchedule") or {}
    return 1, _INSTANT_DAYS_ENHANCED.get(hourly.get("interval", 24), _INSTANT_DAYS_LONGEST)


def _days_in_vault(retention: JsonObject) -> int:
    if daily := retention.get("dailySchedule"):
        return int(daily["retentionDuration"]["count"])
    return int(retention["weeklySchedule"]["retentionDuration"]["count"]) * 7


_TIMES = frozenset({"scheduleRunTimes", "retentionTimes", "scheduleWindowStartTime"})


def _with_utc_times(value: Any, name: str = "") -> Any:
    """Times without milliseconds, as the service answers those it was given with them."""
    if isinstance(value, Mapping):
        return {key: _with_utc_times(each, key) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_with_utc_times(each, name) for each in value]
    return utc(parse_time(value)) if name in _TIMES else value


_ORDER = (
    "backupManagementType",
    "policyType",
    "instantRPDetails",
    "schedulePolicy",
    "retentionPolicy",
    "tieringPolicy",
    "instantRpRetentionRangeInDays",
    "timeZone",
    "snapshotConsistencyType",
)


def _in_order(given: JsonObject) -> dict[str, Any]:
    known = {name: given[name] for name in _ORDER if name in given}
    schedule = known["schedulePolicy"]
    if schedule["schedulePolicyType"] == "SimpleSchedulePolicy":
        known["schedulePolicy"] = {**schedule, "scheduleWeeklyFrequency": 0}
    return known
