"""The deletion guard: golden cases, and what it may never do (invariant 8)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.policy import parse_policy
from shared.decide.guard import guard_plan, remember, version_of
from shared.decide.retention import Mark, RetentionPlan, plan_retention
from shared.model.expiry import Expiry, Guard
from shared.model.point import Point
from shared.model.policy import Policy
from tests.unit.test_retention import point_at, policies, some_points

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAILY = parse_policy(
    "{name: abc, schedule: {frequency: daily, at: ['02:00']}, retention: {daily: {keep: 10}}}"
)
WEEKLY = parse_policy(
    "{name: abc, schedule: {frequency: weekly, on: saturday, at: ['02:00']}, "
    "retention: {weekly: {keep: 1, on: saturday}}}"
)
HOURLY = parse_policy(
    "{name: abc, schedule: {frequency: hourly, every_hours: 4}, retention: {daily: {keep: 10}}}"
)


def plan(ages: str, policy: Policy = DAILY, now: datetime = NOW) -> RetentionPlan:
    """Of points so many days old: `plan("0 1 12")`; a range is `0-9`, made at each day's slot."""
    days = [day for part in ages.split() for day in _days(part)]
    slot = NOW.replace(hour=2)
    points = [point_at(slot - timedelta(days=day), "v") for day in days]
    newest = max(points, key=lambda each: each.created_at)
    return plan_retention(points, policy, newest.id, now)


def _days(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def judged(
    made: RetentionPlan,
    policy: Policy = DAILY,
    past: Expiry | None = None,
    now: datetime = NOW,
    **guard: float,
) -> str:
    """Why the plan is held; empty where it is not. The policy is the one of the last run."""
    known = past or Expiry(policy=version_of(policy))
    return guard_plan(made, policy, known, Guard(**guard), now).held  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ages", "policy", "why"),
    [
        # rotation, and what follows outages
        ("0-10", DAILY, ""),
        ("0 3-12", DAILY, ""),
        ("0 9-18", DAILY, ""),
        ("0 7", WEEKLY, ""),
        # nothing would go
        ("0-3", DAILY, ""),
        ("0", DAILY, ""),
        # all but the newest would go
        ("0 10-12", DAILY, "it would leave 1 of 4 points, under 2"),
        # the clock stood, or jumped
        ("0 20-29", DAILY, "20 days went by without a new point: the clock may have jumped"),
        ("30-40", DAILY, "30 days went by without a new point: the clock may have jumped"),
        # a policy shortened
        ("0-39", DAILY, ""),
        ("0-40", DAILY, "it would make 31 removals in a day, over 30"),
    ],
)
def test_golden_plans(ages: str, policy: Policy, why: str) -> None:
    assert judged(plan(ages, policy), policy) == why


def test_a_changed_policy_must_leave_the_minimum_even_where_it_keeps_less() -> None:
    made = plan("0 7 8", WEEKLY)
    assert judged(made, WEEKLY) == ""
    before = Expiry(policy=version_of(replace(WEEKLY, version=7)))
    assert judged(made, WEEKLY, before) == "it would leave 1 of 3 points, under 2"


def test_a_busy_schedule_may_remove_a_week_of_its_own_backups() -> None:
    points = [point_at(NOW - timedelta(hours=4 * n), "v") for n in range(6 * 16)]
    made = plan_retention(points, HOURLY, points[0].id, NOW)
    assert len(made.begins) > 30
    assert judged(made, HOURLY) == ""
    assert judged(made, replace(HOURLY, schedule=DAILY.schedule)) != ""


def test_removals_of_the_day_add_up() -> None:
    made = plan("0-11")
    today = Expiry(policy=version_of(DAILY), removed_on=NOW.date(), removed=29)
    assert len(made.begins) == 2
    assert judged(made, past=today) == "it would make 31 removals in a day, over 30"
    yesterday = replace(today, removed_on=NOW.date() - timedelta(days=1))
    assert judged(made, past=yesterday) == ""
    assert yesterday.counting(date(2026, 11, 21)).removed == 1


@pytest.mark.fault(13, 57)
def test_a_clock_that_went_back_holds_everything() -> None:
    made = plan("0-11")
    assert len(made.begins) == 2
    early = NOW - timedelta(hours=11, minutes=30)
    assert "later than now: a clock jumped" in judged(made, now=early)
    assert judged(made, now=NOW.replace(hour=1, minute=50)) == ""


def test_what_was_held_stays_held_until_it_is_confirmed() -> None:
    made = plan("0-10")
    past = Expiry(policy=version_of(DAILY), held="it was abnormal")
    assert judged(made, past=past) == "it was abnormal"
    assert judged(made, past=replace(past, confirmed="another plan")) == "it was abnormal"
    through = replace(past, confirmed=made.signature)
    assert judged(made, past=through) == ""
    assert remember(through, guard_plan(made, DAILY, through, Guard(), NOW), DAILY).held == ""


def test_the_signature_stands_for_what_goes_held_or_not() -> None:
    made = plan("0-12")
    assert made.hold_back("why").signature == made.signature
    assert plan("0-13").signature != made.signature
    assert plan("0-12", now=NOW + timedelta(hours=1)).signature == made.signature


def test_a_held_plan_removes_and_releases_nothing() -> None:
    points = [point_at(NOW - timedelta(days=day)) for day in (0, 5, 20, 30)]
    begun = replace(points[3], expiring="begun before")
    made = plan_retention([*points[:3], begun], DAILY, points[0].id, NOW)
    assert made.release
    held = made.hold_back("why")
    assert [each.mark for each in held.decisions] == [
        Mark.EXPIRE,
        Mark.HELD,
        Mark.KEEP,
        Mark.KEEP,
    ]
    assert held.release == ()
    assert held.expire == (begun,)
    assert "held: why" in held.explain()[1]


@given(points=some_points, policy=policies, days=st.integers(0, 900))
def test_invariant_8_a_plan_is_carried_out_or_nothing_of_it_begins(
    points: list[Point], policy: Policy, days: int
) -> None:
    now = NOW + timedelta(days=days)
    made = plan_retention(points, policy, None, now)
    seen = guard_plan(made, policy, Expiry(), Guard(), now)
    assert seen == made if not seen.held else seen.begins == ()
    assert [each.point for each in seen.decisions] == [each.point for each in made.decisions]
    confirmed = Expiry(held=seen.held, confirmed=seen.signature)
    assert guard_plan(made, policy, confirmed, Guard(), now) == made


@given(points=some_points, policy=policies)
def test_a_plan_that_removes_nothing_is_never_held(points: list[Point], policy: Policy) -> None:
    made = plan_retention(points, policy, None, NOW)
    past = Expiry(held="before")
    assert bool(guard_plan(made, policy, past, Guard(), NOW).held) == bool(made.begins)
