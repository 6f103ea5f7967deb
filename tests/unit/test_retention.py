"""What is kept and why: a golden table, and properties over every mixture (invariant 8)."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.policy import parse_policy
from shared.decide.holds import hold, release
from shared.decide.retention import (
    Mark,
    RetentionPlan,
    end_of_day,
    expires_at,
    plan_deletion,
    plan_retention,
    reasons_for,
)
from shared.model.disk import Snapshot
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl, ItemId, JobId, PointId, PolicyName
from shared.model.ledger import Versioned
from shared.model.point import Hold, Kind, Point, Reason
from shared.model.policy import Policy, RetentionRule, Rule, Schedule, Week, Weekday

GOLD = parse_policy(
    """
name: gold
time_zone: Europe/Berlin
schedule: {frequency: daily, at: ["02:00"]}
retention:
  daily:   {keep: 30}
  weekly:  {keep: 104, on: [sunday]}
  monthly: {keep: 120, week: last, on: sunday}
  yearly:  {keep: 99, months: [january], week: first, on: sunday}
"""
)
BY_DAY = parse_policy(
    """
name: by-day
schedule: {frequency: daily, at: ["02:00"]}
retention:
  daily:   {keep: 7}
  monthly: {keep: 1, day: last}
  yearly:  {keep: 1, months: [february, june], day: 1}
"""
)
PLAIN = parse_policy(
    """
name: plain
schedule: {frequency: daily, at: ["02:00"]}
instant_restore_days: 2
retention: {daily: {keep: 7}}
"""
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def snapshot(name: str, at: datetime) -> Snapshot:
    url = DiskUrl(f"https://acct.example/c/{name}")
    return Snapshot(disk=url, id=at.isoformat(), taken_at=at, size_bytes=512, chain="1")


def point(day: str, tiers: str = "sv", **more: object) -> Point:
    """A point of 02:00 on a day of November 2026, e.g. `point("21", "v")`: vault tier only."""
    return point_at(utc(f"2026-11-{day}T02:00"), tiers, **more)


def point_at(at: datetime, tiers: str = "sv", **more: object) -> Point:
    name = f"{at:%Y%m%dt%H%M%Sz}"
    known = Point(
        id=PointId(f"disk-1.point-{name}"),
        item_id=ItemId("disk-1"),
        job_id=JobId(f"disk-1.backup-{name}"),
        created_at=at,
        kind=Kind.INCREMENTAL,
        source=snapshot("source", at) if "s" in tiers else None,
        replica=snapshot("replica", at) if "v" in tiers else None,
        size_bytes=512,
    )
    return replace(known, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "created", "reasons"),
    [
        # Saturday: the daily rule alone; the local hour is kept over the clock change.
        (GOLD, "2026-10-10T00:00", {"daily": "2026-11-09T01:00"}),
        # A Sunday in the middle of its month.
        (GOLD, "2026-11-15T01:00", {"daily": "2026-12-15T01:00", "weekly": "2028-11-12T01:00"}),
        # Saturday evening in UTC is Sunday in Berlin, the last one of its month.
        (
            GOLD,
            "2026-11-28T23:30",
            {
                "daily": "2026-12-28T23:30",
                "weekly": "2028-11-25T23:30",
                "monthly": "2036-11-28T23:30",
            },
        ),
        # The first Sunday of January.
        (
            GOLD,
            "2026-01-04T01:00",
            {
                "daily": "2026-02-03T01:00",
                "weekly": "2028-01-02T01:00",
                "yearly": "2125-01-04T01:00",
            },
        ),
        # A month from 31 January ends on February's last day.
        (BY_DAY, "2027-01-31T02:00", {"daily": "2027-02-07T02:00", "monthly": "2027-02-28T02:00"}),
        (BY_DAY, "2026-11-29T02:00", {"daily": "2026-12-06T02:00"}),
        (BY_DAY, "2026-06-01T02:00", {"daily": "2026-06-08T02:00", "yearly": "2027-06-01T02:00"}),
        (BY_DAY, "2026-07-01T02:00", {"daily": "2026-07-08T02:00"}),
    ],
)
def test_golden_reasons(policy: Policy, created: str, reasons: dict[str, str]) -> None:
    found = reasons_for(utc(created), policy)
    assert {reason.rule: reason.until for reason in found} == {
        rule: utc(until) for rule, until in reasons.items()
    }
    assert expires_at(found) == max(utc(until) for until in reasons.values())


def test_a_year_from_29_february_ends_on_the_28th() -> None:
    leap = replace(
        BY_DAY, retention=(RetentionRule(rule=Rule.YEARLY, keep=1, day=29, months=frozenset({2})),)
    )
    assert expires_at(reasons_for(utc("2028-02-29T02:00"), leap)) == utc("2029-02-28T02:00")


@pytest.mark.parametrize(
    ("week", "days"),
    [
        (Week.FIRST, [2, 7]),
        (Week.SECOND, [9, 14]),
        (Week.THIRD, [16, 21]),
        (Week.FOURTH, [23, 28]),
        (Week.LAST, [28, 30]),
    ],
)
def test_weeks_of_a_month_count_the_weekday(week: Week, days: list[int]) -> None:
    on = frozenset({Weekday.MONDAY, Weekday.SATURDAY})
    rule = RetentionRule(rule=Rule.MONTHLY, keep=1, on=on, week=week)
    policy = replace(PLAIN, retention=(rule,))
    tagged = [day for day in range(1, 31) if reasons_for(utc(f"2026-11-{day:02}T02:00"), policy)]
    assert tagged == days


def test_on_demand_points_have_their_own_reason() -> None:
    created = utc("2026-11-21T02:00")
    assert reasons_for(created, PLAIN, on_demand=True)[-1] == Reason(
        rule="on-demand", until=utc("2026-12-21T02:00")
    )
    asked = utc("2027-03-01T00:00")
    found = reasons_for(created, PLAIN, asked, on_demand=True)
    assert [reason.rule for reason in found] == ["daily", "retain-until"]
    assert expires_at(found) == asked


def test_expires_at_knows_no_date_where_a_reason_has_none() -> None:
    dated = Reason(rule="daily", until=utc("2026-11-21T02:00"))
    assert expires_at([dated, Reason(rule="hold")]) is None
    assert expires_at([]) is None


def test_end_of_day_is_the_next_local_midnight() -> None:
    assert end_of_day(date(2026, 12, 31), "Europe/Berlin") == utc("2026-12-31T23:00")


def marks(plan: RetentionPlan) -> dict[str, str]:
    """Day of the month → mark, with `+release` where the source snapshot goes."""
    return {
        f"{decision.point.created_at:%d}": decision.mark + ("+release" if decision.release else "")
        for decision in plan.decisions
    }


NOW = utc("2026-11-21T12:00")


def test_golden_plan() -> None:
    points = [
        point("21"),
        point("20"),
        point("19"),
        point("18", "v"),
        point("14"),
        point("13", "v"),
        point("12", "v", pins=(JobId("disk-1.restore-1"),)),
        point("11", "v", retain_until=utc("2026-12-01T00:00")),
        point("10", "v", retain_until=utc("2026-11-20T00:00")),
        point("09", "s"),
        point("08", "s", retain_until=utc("2026-12-01T00:00")),
    ]
    plan = plan_retention(points, PLAIN, points[0].id, NOW)
    assert marks(plan) == {
        "08": "keep",
        "09": "expire",
        "10": "expire",
        "11": "keep",
        "12": "protected",
        "13": "expire",
        "14": "expire",
        "18": "keep",
        "19": "keep+release",
        "20": "keep",
        "21": "keep",
    }
    assert [f"{p.created_at:%d}" for p in plan.release] == ["19"]


def test_invariant_8_the_newest_the_base_and_the_pinned_outlive_their_dates() -> None:
    base, skipped, pinned = point("10"), point("11", "s"), point("09", "v", pins=(JobId("j"),))
    plan = plan_retention([base, skipped, pinned], PLAIN, base.id, utc("2030-01-01T00:00"))
    assert marks(plan) == {"09": "protected", "10": "protected", "11": "expire"}
    assert plan.release == ()


def test_invariant_8_the_newest_is_the_newest_in_the_vault() -> None:
    plan = plan_retention(
        [point("10", "v"), point("11", "v"), point("12", "s")], PLAIN, None, utc("2030-01-01T00:00")
    )
    assert marks(plan) == {"10": "expire", "11": "protected", "12": "expire"}


HOLD = Hold(since=utc("2026-11-01T00:00"), reason="audit")


def test_invariant_8_a_held_point_keeps_both_tiers() -> None:
    old, newest = point("01", hold=HOLD), point("21")
    plan = plan_retention([old, newest, point("02")], PLAIN, newest.id, utc("2030-01-01T00:00"))
    assert marks(plan) == {"01": "keep", "02": "expire", "21": "protected"}
    assert plan.decisions[0].why == "kept by hold"
    assert plan.decisions[0].release_why == "kept: the point is held"


def test_a_hold_is_a_reason_without_an_end_until_it_is_released() -> None:
    row = Versioned(point("01", reasons=(Reason(rule="daily", until=NOW),), expires_at=NOW), "1")
    held = hold(row, "audit", NOW).result
    assert (held.hold, held.expires_at) == (Hold(since=NOW, reason="audit"), None)
    assert held.reasons[-1] == Reason(rule="hold")
    again = hold(Versioned(held, "2"), "audit", NOW + timedelta(days=1))
    assert (again.result, again.changes) == (held, ())
    assert release(Versioned(held, "2")).result == row.record
    assert release(row).changes == ()
    with pytest.raises(Invalid, match="is being removed: begun"):
        hold(Versioned(point("01", expiring="begun"), "1"), "", NOW)


def test_deleting_an_items_data_spares_what_is_held_or_read() -> None:
    pin = (JobId("disk-1.restore-1"),)
    points = [point("01"), point("02", hold=HOLD), point("03", "v", pins=pin), point("04", "s")]
    plan = plan_deletion(reversed(points))
    assert marks(plan) == {"01": "expire", "02": "keep", "03": "protected", "04": "expire"}
    assert plan.decisions[0].why == "protection was stopped and its data is deleted"


def test_what_a_restore_overwrote_keeps_its_name_for_it() -> None:
    before = Reason(rule="before a restore", until=utc("2026-12-21T02:00"))
    kept = point("21", "s", reasons=(before,), retain_until=before.until)
    (decision,) = plan_retention([kept], PLAIN, None, NOW).decisions
    assert [reason.rule for reason in decision.reasons] == [
        "instant-restore",
        "retain-until",
        "before a restore",
    ]


def test_a_plan_is_the_same_whatever_its_points_say_of_their_reasons() -> None:
    """Reasons are the policy's as it is now: those recorded are for people."""
    stale = point("01", reasons=(Reason(rule="yearly", until=utc("2099-01-01T00:00")),))
    plan = plan_retention([stale, point("21")], PLAIN, None, NOW)
    assert marks(plan)["01"] == "expire"


def test_a_removal_that_has_begun_goes_on_though_the_policy_would_keep_it_now() -> None:
    half_gone = point("20", "v", expiring="no longer kept: daily until …")
    plan = plan_retention([point("19", "v"), half_gone], PLAIN, None, utc("2030-01-01T00:00"))
    assert marks(plan) == {"19": "protected", "20": "expire"}
    assert marks(plan_retention([half_gone, point("21")], PLAIN, None, NOW))["20"] == "expire"


def test_a_changed_policy_applies_to_points_that_exist() -> None:
    old = point("01", "v", reasons=(Reason(rule="daily", until=utc("2026-11-08T02:00")),))
    longer = replace(PLAIN, retention=(RetentionRule(rule=Rule.DAILY, keep=60),))
    assert marks(plan_retention([old, point("21")], PLAIN, None, NOW))["01"] == "expire"
    assert marks(plan_retention([old, point("21")], longer, None, NOW))["01"] == "keep"


def test_on_demand_points_are_known_by_their_recorded_reason() -> None:
    asked = point("01", "v", reasons=(Reason(rule="on-demand", until=utc("2026-12-01T02:00")),))
    assert marks(plan_retention([asked, point("21")], PLAIN, None, NOW))["01"] == "keep"


def test_while_protection_is_stopped_points_stay_and_idle_snapshots_go() -> None:
    points = [point("01"), point("02", "s"), point("03")]
    plan = plan_retention(points, PLAIN, points[2].id, utc("2030-01-01T00:00"), stopped=True)
    assert marks(plan) == {"01": "keep+release", "02": "keep", "03": "keep"}


def test_a_date_is_kept_up_to_and_not_including_its_instant() -> None:
    old, newest = point("10"), point("21")
    end, day = utc("2026-11-17T02:00"), timedelta(days=1)
    moment = timedelta(microseconds=1)
    assert marks(plan_retention([old, newest], PLAIN, None, end - moment))["10"] == "keep+release"
    assert marks(plan_retention([old, newest], PLAIN, None, end))["10"] == "expire"
    released = end - 5 * day
    assert marks(plan_retention([old, newest], PLAIN, None, released - moment))["10"] == "keep"
    assert marks(plan_retention([old, newest], PLAIN, None, released))["10"] == "keep+release"


def test_a_plan_explains_every_point() -> None:
    points = [point("10", "v"), point("18"), point("21")]
    lines = plan_retention(points, PLAIN, points[2].id, NOW).explain()
    snapshot = "; source snapshot:"
    assert lines == [
        "disk-1.point-20261110t020000z  expire  no longer kept: daily until 2026-11-17 02:00:00Z",
        (
            "disk-1.point-20261118t020000z  keep  kept by daily until 2026-11-25 02:00:00Z"
            f"{snapshot} released: instant restore ended 2026-11-20 02:00:00Z"
        ),
        (
            "disk-1.point-20261121t020000z  keep  kept by daily until 2026-11-28 02:00:00Z"
            f"{snapshot} kept: the next increment is computed against it"
        ),
    ]


moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)).map(  # noqa: DTZ001
    lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
)
a_point = st.builds(
    point_at,
    moments,
    st.sampled_from(["sv", "v", "s"]),
    retain_until=st.none() | moments,
    pins=st.sampled_from([(), (), (JobId("disk-1.restore-1"),)]),
    hold=st.sampled_from([None, None, None, HOLD]),
    expiring=st.sampled_from(["", "", "", "planned before"]),
    reasons=st.sampled_from([(), (Reason(rule="on-demand", until=NOW),)]),
)
some_points = st.lists(a_point, max_size=12, unique_by=lambda found: found.id)
weekdays = st.frozensets(st.sampled_from(Weekday), min_size=1, max_size=3)
rules = st.lists(
    st.one_of(
        st.builds(RetentionRule, rule=st.just(Rule.DAILY), keep=st.integers(7, 400)),
        st.builds(RetentionRule, rule=st.just(Rule.WEEKLY), keep=st.integers(1, 60), on=weekdays),
        st.builds(
            RetentionRule,
            rule=st.just(Rule.MONTHLY),
            keep=st.integers(1, 14),
            on=weekdays,
            week=st.sampled_from(Week),
        ),
        st.builds(
            RetentionRule,
            rule=st.just(Rule.YEARLY),
            keep=st.integers(1, 2),
            day=st.integers(0, 28),
            months=st.frozensets(st.integers(1, 12), min_size=1),
        ),
    ),
    max_size=4,
).map(tuple)
policies = st.builds(
    Policy,
    name=st.just(PolicyName("any")),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    schedule=st.just(Schedule(at=(time(2),))),
    instant_restore_days=st.integers(1, 5),
    retention=rules,
)
bases = st.integers(0, 20)


def base_of(points: list[Point], choice: int) -> PointId | None:
    in_vault = [found.id for found in points if found.replica and not found.expiring]
    return in_vault[choice] if choice < len(in_vault) else None


@pytest.mark.fault(12)
@given(points=some_points, policy=policies, now=moments, choice=bases, stopped=st.booleans())
def test_invariant_8_every_point_is_judged_once_and_none_in_use_is_removed(
    points: list[Point], policy: Policy, now: datetime, choice: int, stopped: bool
) -> None:
    base = base_of(points, choice)
    plan = plan_retention(points, policy, base, now, stopped=stopped)
    judged = [*plan.keep, *plan.protected, *plan.expire]
    assert sorted(p.id for p in judged) == sorted(p.id for p in points)
    standing = [p for p in points if p.replica and not p.expiring]
    gone = {p.id for p in plan.expire}
    if standing:
        assert max(standing, key=lambda p: (p.created_at, p.id)).id not in gone
    for found in points:
        if found.pins or found.id == base:
            assert found.id not in gone
        if found.hold and not found.expiring:
            assert found.id not in gone
            assert found.id not in {p.id for p in plan.release}
        if found.retain_until and found.retain_until > now and not found.expiring:
            assert found.id not in gone
        if stopped and not found.expiring:
            assert found.id not in gone


@given(points=some_points, policy=policies, now=moments, choice=bases)
def test_invariant_8_snapshots_in_use_stay(
    points: list[Point], policy: Policy, now: datetime, choice: int
) -> None:
    base = base_of(points, choice)
    plan = plan_retention(points, policy, base, now)
    for released in plan.release:
        assert released.source
        assert released.replica
        assert released.id != base
        assert not released.pins
        assert released.created_at + timedelta(days=policy.instant_restore_days - 1) < now
    assert not {p.id for p in plan.release} & {p.id for p in plan.expire}


@given(points=some_points, policy=policies, now=moments, choice=bases, data=st.data())
def test_the_order_of_the_points_does_not_matter(
    points: list[Point], policy: Policy, now: datetime, choice: int, data: st.DataObject
) -> None:
    base = base_of(points, choice)
    shuffled = data.draw(st.permutations(points))
    assert plan_retention(shuffled, policy, base, now) == plan_retention(points, policy, base, now)


@given(points=some_points, policy=policies, now=moments, choice=bases, days=st.integers(0, 900))
def test_what_has_expired_stays_expired(
    points: list[Point], policy: Policy, now: datetime, choice: int, days: int
) -> None:
    base = base_of(points, choice)
    before = plan_retention(points, policy, base, now)
    later = plan_retention(points, policy, base, now + timedelta(days=days))
    assert {p.id for p in before.expire} <= {p.id for p in later.expire}
    assert {p.id for p in later.keep} <= {p.id for p in before.keep}


@given(points=some_points, policy=policies, now=moments, choice=bases)
def test_every_decision_says_why(
    points: list[Point], policy: Policy, now: datetime, choice: int
) -> None:
    plan = plan_retention(points, policy, base_of(points, choice), now)
    assert len(plan.explain()) == len(points)
    for decision in plan.decisions:
        assert decision.why
        stands = any(r.until is None or r.until > now for r in decision.reasons)
        if decision.mark is Mark.KEEP:
            assert stands
        elif not decision.point.expiring:
            assert not stands
