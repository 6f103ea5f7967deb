"""`policy preview`: the same points as clean-ups by hand would leave, and the clocks' doings."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.policy import parse_policy
from shared.decide.preview import UNTIL_CLEAN_UP, preview
from shared.decide.retention import plan_retention
from shared.decide.schedule import clock_changes, slots_between
from shared.model.point import Point
from shared.model.policy import Policy, Schedule
from tests.unit.cli_world import World, world
from tests.unit.test_retention import point_at, rules

__all__ = ["world"]

GOLD = """
name: gold
time_zone: Europe/Berlin
schedule: {frequency: daily, at: ["02:00"]}
retention: {daily: {keep: 30}, weekly: {keep: 4, on: [sunday]}}
"""
WEEKLY = """
name: weekly
schedule: {frequency: weekly, on: [sunday], at: ["02:00"]}
retention: {weekly: {keep: 2, on: [sunday]}}
"""


def clocks(*texts: str) -> Schedule:
    return Schedule(at=tuple(time.fromisoformat(text) for text in texts))


def by_hand(policy: Policy, start: datetime, end: datetime) -> list[datetime]:
    """What is left when every backup is followed by a clean-up of all points."""
    points: list[Point] = []
    for slot in slots_between(policy.schedule, policy.time_zone, start, end):
        points.append(point_at(slot, "v"))
        plan = plan_retention(points, policy, points[-1].id, slot)
        points = list(plan.staying)
    return [point.created_at for point in points]


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
schedules = st.sampled_from([clocks("02:00"), clocks("02:15", "14:00"), clocks("01:45", "02:30")])


@given(
    kept=rules,
    zone=zones,
    schedule=schedules,
    first=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    days=st.integers(1, 50),
)
@settings(max_examples=50, deadline=None)
def test_the_preview_is_what_clean_ups_leave(
    kept: tuple[object, ...], zone: str, schedule: Schedule, first: date, days: int
) -> None:
    policy = Policy(
        name=parse_policy(GOLD).name,
        time_zone=zone,
        schedule=schedule,
        retention=kept,  # type: ignore[arg-type]
    )
    shown = list(preview(policy, first, days))
    start = datetime.combine(first, time(), ZoneInfo(zone)).astimezone(UTC)
    for day in (shown[days // 2], shown[-1]):
        assert [point.slot for point in day.points] == by_hand(policy, start, day.end)
    assert [each.day for each in shown] == [first + timedelta(days=n) for n in range(days)]
    assert len({point.slot for each in shown for point in each.made}) == sum(
        len(each.made) for each in shown
    )


def test_a_point_outlives_its_date_until_the_next_backup() -> None:
    shown = list(preview(parse_policy(WEEKLY), date(2026, 3, 1), 28))
    kept = {f"{day.day:%d}": [point.kept_by(day.end) for point in day.points] for day in shown}
    assert kept["01"] == [("weekly",)]
    assert kept["14"] == [("weekly",), ("weekly",)]
    assert kept["15"] == [("weekly",), ("weekly",)]
    stopped = list(preview(parse_policy(WEEKLY.replace("keep: 2", "keep: 1")), date(2026, 3, 1), 7))
    assert stopped[-1].points[0].kept_by(stopped[-1].end) == ("weekly",)
    assert stopped[-1].points[0].kept_by(stopped[-1].end + timedelta(days=1)) == (UNTIL_CLEAN_UP,)


@pytest.mark.parametrize(
    ("zone", "day", "at", "told"),
    [
        ("Europe/Berlin", "2026-03-29", ["02:30"], ["02:30 skipped 01:00"]),
        ("Europe/Berlin", "2026-03-29", ["02:30", "03:00"], ["02:30 skipped 01:00 merged"]),
        ("Europe/Berlin", "2026-10-25", ["02:30", "03:00"], ["02:30 repeated 00:30"]),
        ("America/New_York", "2026-03-08", ["02:00", "03:30"], ["02:00 skipped 07:00"]),
        ("America/New_York", "2026-11-01", ["01:30"], ["01:30 repeated 05:30"]),
        ("Australia/Lord_Howe", "2026-10-04", ["02:00", "02:30"], ["02:00 skipped 15:30 merged"]),
        ("Australia/Lord_Howe", "2026-04-05", ["01:45"], ["01:45 repeated 14:45"]),
        ("Europe/Berlin", "2026-03-28", ["02:30"], []),
        ("UTC", "2026-03-29", ["02:30"], []),
    ],
)
def test_invariant_9_clock_changes_are_told(
    zone: str, day: str, at: list[str], told: list[str]
) -> None:
    changes = clock_changes(clocks(*at), zone, date.fromisoformat(day))
    assert [
        f"{each.at:%H:%M} {each.clocks} {each.slot:%H:%M}{' merged' * each.merged}"
        for each in changes
    ] == told


# ---------------------------------------------------------------- the command


def test_the_days_as_json(world: World) -> None:
    shown = world.json("policy", "preview", "-", "--from", "2026-03-28", "--days", "3", stdin=GOLD)
    assert (shown["policy"], shown["time_zone"]) == ("gold", "Europe/Berlin")
    first, second, third = shown["days"]
    assert (second["day"], second["ends_at"]) == ("2026-03-29", "2026-03-29T22:00:00Z")
    (made,) = second["backups"]
    assert (made["slot"], made["local"]) == ("2026-03-29T01:00:00Z", "Sun 2026-03-29 03:00")
    assert [reason["rule"] for reason in made["reasons"]] == ["daily", "weekly"]
    (change,) = second["clock_changes"]
    assert (change["at"], change["clocks"], change["merged"]) == ("02:00", "skipped", False)
    assert first["backups"][0]["expires_at"] == "2026-04-27T00:00:00Z"
    assert [point["kept_by"] for point in third["points"]] == [
        ["daily"],
        ["daily", "weekly"],
        ["daily"],
    ]


def test_the_calendar_shows_what_has_become_of_each_days_backups(world: World) -> None:
    args = ("policy", "preview", "-", "--from", "2026-03-20", "--days", "42", "--on", "2026-04-25")
    drawn = world.vaultline(*args, stdin=GOLD).stdout.splitlines()
    assert drawn[0].split() == ["March", "2026", "April", "2026"]
    assert any("20·  21·  22·" in line for line in drawn)
    assert any("29w!" in line for line in drawn)
    assert any(line.endswith("25d") for line in drawn)
    assert "Sun 2026-03-29: 02:00 is skipped by the clocks; the backup runs at 03:00 (01:00Z)." in (
        drawn
    )
    assert "When Sat 2026-04-25 ends in Europe/Berlin, 30 points exist:" in drawn


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--from", "soon"), "--from must be a date such as"),
        (("--from", "0001-01-01"), "1970-01-01 to 9000-12-31"),
        (("--from", "2026-01-01", "--on", "later"), "--on must be a date such as"),
        (("--from", "2026-01-01", "--on", "2026-01-08"), "--on must be one of the days"),
        (("--from", "2026-01-01", "--days", "0"), "--days"),
        (("--from", "2026-01-01", "--days", "3661"), "--days"),
        ((), "--from"),
    ],
)
def test_a_wrong_period_is_refused(world: World, args: tuple[str, ...], words: str) -> None:
    error = world.error("policy", "preview", "-", *args, stdin=GOLD)
    assert words in error["message"]
    assert error["recommended_action"]


def test_a_preview_that_would_be_endless_is_refused(world: World) -> None:
    often = GOLD.replace('["02:00"]', "[" + ", ".join(f'"{n:02}:00"' for n in range(24)) + "]")
    args = ("policy", "preview", "-", "--from", "2026-01-01", "--days", "3660")
    error = world.error(*args, stdin=often)
    assert "at most 20000 backups, and 3660 days have 87840" in error["message"]
    assert "833 days or fewer" in error["recommended_action"]
