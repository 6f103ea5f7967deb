"""Our policies in Azure's words: what they mean there, and what is said to be lost."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.arm.answers import ArmError
from local.arm.recovery.calendar_rules import keep_until, next_run
from local.arm.recovery.policies import Policy as AzurePolicy
from local.arm.recovery.policies import read_policy
from shared.contracts.policy import DEFAULT_DOCUMENT, parse_policy
from shared.contracts.retention import MONTHS
from shared.decide.retention import reasons_for
from shared.decide.schedule import Clocks, clock_changes, slots_between
from shared.decide.vault_policy import translate
from shared.model.policy import Policy, Week, Weekday

TODAY = date(2026, 11, 21)
YEAR = [datetime(2026, 11, 21, tzinfo=UTC), datetime(2027, 11, 21, tzinfo=UTC)]
DAYS_IN = {"daily": 1, "weekly": 7, "monthly": 31, "yearly": 365}
"""As Azure counts."""
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "GMT")


def document(**changes: Any) -> dict[str, Any]:
    return {**DEFAULT_DOCUMENT, **changes}


def daily(*at: str) -> dict[str, Any]:
    return {"frequency": "daily", "at": list(at)}


def weekly(*on: str, at: str = "02:00") -> dict[str, Any]:
    return {"frequency": "weekly", "on": list(on), "at": [at]}


def hourly(every: int, start: str, window: int) -> dict[str, Any]:
    return {
        "frequency": "hourly",
        "every_hours": every,
        "from": start,
        "window_hours": window,
    }


def read_back(policy: Policy, **options: Any) -> tuple[AzurePolicy, tuple[str, ...]]:
    """The policy as the service has it, which must take whatever a translation gives it."""
    translation = translate(policy, TODAY, **options)
    return read_policy("gold", {"properties": translation.body}, None), translation.losses


# --- the forms ------------------------------------------------------------------------------------


def test_the_default_policy_is_azures_own() -> None:
    translation = translate(parse_policy(DEFAULT_DOCUMENT), TODAY)
    at = ["2020-01-01T02:00:00Z"]
    duration = {"count": 30, "durationType": "Days"}
    assert translation.losses == ()
    assert not translation.enhanced
    assert translation.body == {
        "backupManagementType": "AzureIaasVM",
        "schedulePolicy": {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": at,
        },
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": {"retentionTimes": at, "retentionDuration": duration},
        },
        "instantRpRetentionRangeInDays": 2,
        "timeZone": "UTC",
    }


def test_all_forms_of_retention() -> None:
    policy = parse_policy(
        document(
            time_zone="Europe/Berlin",
            retention={
                "daily": {"keep": 30},
                "weekly": {"keep": 104, "on": ["sunday", "monday"]},
                "monthly": {"keep": 120, "day": "last"},
                "yearly": {
                    "keep": 99,
                    "months": ["january", "june"],
                    "week": "last",
                    "on": "sunday",
                },
            },
        )
    )
    azures, losses = read_back(policy)
    retention = azures.properties["retentionPolicy"]
    assert losses == ()
    assert azures.properties["timeZone"] == "W. Europe Standard Time"
    assert retention["weeklySchedule"]["daysOfTheWeek"] == ["Monday", "Sunday"]
    assert retention["monthlySchedule"]["retentionScheduleDaily"] == {
        "daysOfTheMonth": [{"date": 0, "isLast": True}]
    }
    assert retention["yearlySchedule"]["monthsOfYear"] == ["January", "June"]
    assert retention["yearlySchedule"]["retentionScheduleWeekly"] == {
        "daysOfTheWeek": ["Sunday"],
        "weeksOfTheMonth": ["Last"],
    }


def test_a_window_of_hours_is_an_enhanced_policy() -> None:
    policy = parse_policy(document(schedule=hourly(4, "20:00", 12), instant_restore_days=7))
    translation = translate(policy, TODAY)
    assert translation.losses == ()
    assert translation.enhanced
    assert translation.body["schedulePolicy"]["hourlySchedule"] == {
        "interval": 4,
        "scheduleWindowStartTime": "2020-01-01T20:00:00Z",
        "scheduleWindowDuration": 12,
    }


@pytest.mark.parametrize(("every", "most"), [(4, 17), (6, 22), (8, 30), (12, 30)])
def test_the_longest_that_snapshots_stay(every: int, most: int) -> None:
    keep = {"daily": {"keep": 31}}
    schedule = hourly(every, "01:30", 24)
    policy = parse_policy(document(schedule=schedule, retention=keep, instant_restore_days=most))
    azures, losses = read_back(policy)
    assert (azures.instant_days, losses) == (most, ())
    one_more = translate(replace(policy, instant_restore_days=most + 1), TODAY)
    assert one_more.body["instantRpRetentionRangeInDays"] == most
    assert len(one_more.losses) == 1


@pytest.mark.parametrize("schedule", [daily("02:00"), weekly("sunday", "friday")])
def test_what_is_enhanced_stays_so(schedule: dict[str, Any]) -> None:
    """Azure has no way back from an enhanced policy to a standard one."""
    retention = {"weekly": {"keep": 4, "on": ["friday", "sunday"]}, "daily": {"keep": 28}}
    policy = parse_policy(document(schedule=schedule, retention=retention, instant_restore_days=5))
    enhanced = translate(policy, TODAY, enhanced=True)
    assert enhanced.enhanced
    assert enhanced.losses == ()
    known = read_policy("gold", {"properties": enhanced.body}, None)
    standard = translate(policy, TODAY)
    assert not standard.enhanced
    with pytest.raises(ArmError):
        read_policy("gold", {"properties": standard.body}, known)
    read_policy("gold", {"properties": enhanced.body}, known)


# --- what cannot be expressed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"schedule": daily("02:15")}, ["02:15 will run at the one before"]),
        ({"schedule": daily("02:00", "09:00")}, ["nothing will run at 09:00"]),
        ({"schedule": daily("02:00", "09:00", "14:00")}, ["nothing will run at 09:00"]),
        (
            {"schedule": {"frequency": "weekly", "on": "sunday", "at": ["02:00", "14:00"]}},
            ["nothing will run at 14:00", "keeps the points of all", "for 5 days, not for 2"],
        ),
        ({"schedule": weekly("sunday")}, ["these will be 5", "for 5 days, not for 2"]),
        (
            {"schedule": hourly(4, "00:00", 24), "instant_restore_days": 17}
            | {"retention": {"daily": {"keep": 17}}},
            ["for 16 days, not for 17"],
        ),
        ({"checks": {"initial": False}}, ["cannot be compared"]),
        ({"checks": {"every_days": 30}}, ["cannot be compared"]),
        ({"time_zone": "Antarctica/Troll"}, ["no zone with the clocks of Antarctica/Troll"]),
    ],
)
def test_what_is_lost_is_said(changes: dict[str, Any], lost: list[str]) -> None:
    _, losses = read_back(parse_policy(document(**changes)))
    assert len(losses) == len(lost), losses
    assert all(part in loss for part, loss in zip(lost, losses, strict=True)), losses


def test_days_of_two_terms_are_all_kept_for_the_longer() -> None:
    retention = {"daily": {"keep": 7}, "weekly": {"keep": 8, "on": ["sunday"]}}
    policy = parse_policy(
        document(schedule=weekly("sunday", "friday"), retention=retention, instant_restore_days=5)
    )
    azures, losses = read_back(policy)
    kept = azures.properties["retentionPolicy"]["weeklySchedule"]
    assert (kept["daysOfTheWeek"], kept["retentionDuration"]["count"]) == (["Friday", "Sunday"], 8)
    assert len(losses) == 1


# --- the meaning ----------------------------------------------------------------------------------

half_hours = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 30]))
clocks = half_hours | st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
weekdays = st.lists(st.sampled_from([str(day) for day in Weekday]), min_size=1, unique=True)
schedules = st.one_of(
    st.builds(lambda at: daily(*at), st.lists(clocks, min_size=1, max_size=4)),
    st.builds(lambda at: daily(at), half_hours),
    st.builds(lambda on, at: weekly(*on, at=at), weekdays, half_hours),
    st.builds(hourly, st.sampled_from([4, 6, 8, 12]), half_hours, st.sampled_from([12, 17, 24])),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    schedule = draw(schedules)
    on = schedule.get("on") or [str(day) for day in Weekday]
    weeks = draw(st.integers(1, 60))
    rules: dict[str, Any] = {"daily": {"keep": weeks * 7 if "on" in schedule else 7 + weeks}}
    if draw(st.booleans()):
        rules["weekly"] = {"keep": weeks, "on": on if "on" in schedule else draw(weekdays)}
    by_week = {"week": draw(st.sampled_from([str(week) for week in Week])), "on": on[0]}
    by_day: dict[str, Any] = {"day": draw(st.integers(1, 28) | st.just("last"))}
    chosen = by_week if "on" in schedule or draw(st.booleans()) else by_day
    if draw(st.booleans()):
        rules["monthly"] = {"keep": draw(st.integers(1, 60)), **chosen}
    if draw(st.booleans()):
        months = draw(st.lists(st.sampled_from(MONTHS), min_size=1, unique=True))
        rules["yearly"] = {"keep": draw(st.integers(1, 10)), "months": months, **chosen}
    days = 5 if "on" in schedule else draw(st.integers(1, 5))
    zone = draw(st.sampled_from(ZONES))
    return document(time_zone=zone, schedule=schedule, retention=rules, instant_restore_days=days)


@settings(max_examples=80)
@given(documents(), st.booleans())
def test_a_policy_without_losses_means_the_same_in_azure(
    given_document: dict[str, Any], enhanced: bool
) -> None:
    """Its slots of a year, and how long each of their points is kept. Azure takes the others,
    too. (What it does in the hour that a clock change skips, nobody has recorded.)"""
    policy = parse_policy(given_document)
    azures, losses = read_back(policy, enhanced=enhanced)
    if losses:
        return
    ours = list(slots_between(policy.schedule, policy.time_zone, *YEAR))
    theirs = list(runs_between(azures, *YEAR))
    skipped = set(skipped_days(policy))
    assert [at for at in ours if local_day(policy, at) not in skipped] == [
        at for at in theirs if local_day(policy, at) not in skipped
    ]
    for slot in ours[::7]:
        kept = max(rule_days(policy, reason.rule) for reason in reasons_for(slot, policy))
        assert keep_until(azures, slot) == slot + timedelta(days=kept)


def runs_between(policy: AzurePolicy, start: datetime, end: datetime) -> Iterator[datetime]:
    at = next_run(policy, start - timedelta(microseconds=1))
    while at < end:
        yield at
        at = next_run(policy, at)


def skipped_days(policy: Policy) -> Iterator[date]:
    days = (TODAY + timedelta(days=offset) for offset in range(-1, 367))
    for day in days:
        changes = clock_changes(policy.schedule, policy.time_zone, day)
        if any(change.clocks is Clocks.SKIPPED for change in changes):
            yield day


def local_day(policy: Policy, at: datetime) -> date:
    return at.astimezone(ZoneInfo(policy.time_zone)).date()


def rule_days(policy: Policy, name: str) -> int:
    rule = next(rule for rule in policy.retention if rule.rule == name)
    return rule.keep * DAYS_IN[name]
