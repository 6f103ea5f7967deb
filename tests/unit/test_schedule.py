"""Schedules against the clocks of four zones (invariant 9)."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.schedule import latest_slot, next_slot, slots_between
from shared.model.policy import Schedule, Weekday

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
GRID = timedelta(minutes=15)
CLOCK_CHANGES = (
    date(2026, 3, 29),  # Berlin skips 02:00
    date(2026, 10, 25),  # Berlin repeats 02:00
    date(2026, 3, 8),  # New York skips 02:00
    date(2026, 11, 1),  # New York repeats 01:00
    date(2026, 10, 4),  # Lord Howe skips half an hour at 02:00
    date(2026, 4, 5),  # Lord Howe repeats half an hour at 01:30
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(*clocks: str) -> Schedule:
    return Schedule(at=tuple(time.fromisoformat(clock) for clock in clocks))


@pytest.mark.parametrize(
    ("zone", "clock", "after", "slot"),
    [
        ("UTC", "02:00", "2026-11-21T02:00", "2026-11-22T02:00"),
        ("UTC", "02:00", "2026-11-21T01:59:59", "2026-11-21T02:00"),
        ("Europe/Berlin", "02:00", "2026-11-21T00:00", "2026-11-21T01:00"),
        # skipped: runs when the clock has jumped
        ("Europe/Berlin", "02:30", "2026-03-29T00:00", "2026-03-29T01:00"),
        ("America/New_York", "02:00", "2026-03-08T00:00", "2026-03-08T07:00"),
        ("Australia/Lord_Howe", "02:15", "2026-10-03T12:00", "2026-10-03T15:30"),
        # comes twice: runs the first time
        ("Europe/Berlin", "02:30", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("Europe/Berlin", "02:30", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("America/New_York", "01:30", "2026-11-01T00:00", "2026-11-01T05:30"),
        ("Australia/Lord_Howe", "01:45", "2026-04-04T12:00", "2026-04-04T14:45"),
        # a whole day skipped
        ("Pacific/Apia", "06:00", "2011-12-29T20:00", "2011-12-30T10:00"),
    ],
)
def test_invariant_9_next_slot(zone: str, clock: str, after: str, slot: str) -> None:
    assert next_slot(daily(clock), zone, utc(after)) == utc(slot)


def test_invariant_9_times_thrown_together_by_a_clock_change_are_one_slot() -> None:
    schedule = daily("02:00", "02:30", "03:00", "04:00")
    slots = slots_between(
        schedule, "Europe/Berlin", utc("2026-03-29T00:00"), utc("2026-03-29T06:00")
    )
    assert list(slots) == [utc("2026-03-29T01:00"), utc("2026-03-29T02:00")]


def test_slots_are_utc_whatever_zone_the_question_is_in() -> None:
    asked = datetime(2026, 11, 21, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
    slot = next_slot(daily("02:00"), "Europe/Berlin", asked)
    assert slot.tzinfo is UTC
    assert slot == utc("2026-11-22T01:00")


def test_weekly_waits_for_its_day() -> None:
    schedule = Schedule(at=(time(2),), on=frozenset({Weekday.SUNDAY}))
    assert next_slot(schedule, "UTC", utc("2026-11-22T02:00")) == utc("2026-11-29T02:00")
    assert latest_slot(schedule, "UTC", utc("2026-11-22T01:59")) == utc("2026-11-15T02:00")


def test_latest_slot_includes_both_ends_and_says_none_before_the_first() -> None:
    schedule = daily("02:00")
    at = utc("2026-11-21T02:00")
    assert latest_slot(schedule, "UTC", at) == at
    assert latest_slot(schedule, "UTC", at, at) == at
    assert latest_slot(schedule, "UTC", at, at + timedelta(seconds=1)) is None


def brute_slots(schedule: Schedule, zone: str, first: date, days: int) -> list[datetime]:
    """By definition: a scheduled local time's slot is the first instant of a 15-minute grid at
    which the zone's clocks show that time or a later one."""
    tz = ZoneInfo(zone)
    start = datetime.combine(first, time(), UTC) - timedelta(days=2)
    grid = [start + GRID * step for step in range((days + 4) * 96)]
    shown = [instant.astimezone(tz).replace(tzinfo=None) for instant in grid]
    wanted = [
        datetime.combine(day, at)
        for day in (first + timedelta(days=offset) for offset in range(days))
        if list(Weekday)[day.weekday()] in schedule.on
        for at in schedule.at
    ]
    return [
        next(instant for instant, clock in zip(grid, shown, strict=True) if clock >= moment)
        for moment in wanted
    ]


clocks = st.integers(0, 95).map(lambda step: time(step // 4, step % 4 * 15))
schedules = st.builds(
    Schedule,
    at=st.sets(clocks, min_size=1, max_size=5).map(lambda times: tuple(sorted(times))),
    on=st.one_of(
        st.just(frozenset(Weekday)),
        st.frozensets(st.sampled_from(Weekday), min_size=1),
    ),
)
first_days = st.one_of(
    st.sampled_from(CLOCK_CHANGES).flatmap(
        lambda day: st.integers(-3, 1).map(lambda offset: day + timedelta(days=offset))
    ),
    st.dates(date(2024, 1, 1), date(2035, 12, 31)),
)


@given(schedule=schedules, zone=st.sampled_from(ZONES), first=first_days)
def test_invariant_9_one_slot_for_every_scheduled_time_and_no_other(
    schedule: Schedule, zone: str, first: date
) -> None:
    days = 9
    expected = sorted(set(brute_slots(schedule, zone, first, days)))
    tz = ZoneInfo(zone)
    start = datetime.combine(first, time(), tz).astimezone(UTC)
    end = datetime.combine(first + timedelta(days=days), time(), tz).astimezone(UTC)
    found = list(slots_between(schedule, zone, start, end))
    assert found == expected
    assert all(earlier < later for earlier, later in pairwise(found))


@given(schedule=schedules, zone=st.sampled_from(ZONES), first=first_days, step=st.integers(0, 191))
def test_latest_and_next_slot_leave_nothing_between_them(
    schedule: Schedule, zone: str, first: date, step: int
) -> None:
    now = datetime.combine(first, time(), UTC) + GRID * step
    latest, following = latest_slot(schedule, zone, now), next_slot(schedule, zone, now)
    assert latest is not None
    assert latest <= now < following
    assert next_slot(schedule, zone, latest) == following
