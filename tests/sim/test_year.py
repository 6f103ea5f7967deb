"""A year of backups through the real steps, against a prediction made by other means.

The prediction reads the wall clock of the zone every quarter of an hour and knows no instant
arithmetic, no slot and no plan: a backup starts when the clock first shows a scheduled time or a
later one; a point goes at the first clean-up at which no rule's date is ahead on that clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.memory.clock import START
from shared.model.job import Status
from shared.model.point import Point, Tier
from shared.steps.reconcile import reconcile
from shared.steps.tick import tick
from tests.sim.world import DISK, World

END = START + timedelta(days=366)
QUARTER = timedelta(minutes=15)
RETENTION = """
retention:
  daily:   {keep: 7}
  weekly:  {keep: 4, on: [sunday]}
  monthly: {keep: 3, week: last, on: sunday}
  yearly:  {keep: 2, months: [january], week: first, on: sunday}
"""
INSTANT_DAYS = 2


@dataclass(frozen=True)
class Year:
    """A schedule that the clock changes of its zone in 2026 touch."""

    zone: str
    schedule: str
    times: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.zone} {len(self.times)} a day"

    @property
    def document(self) -> str:
        heading = f"name: gold\ntime_zone: {self.zone}\nschedule: {self.schedule}\n"
        return f"{heading}instant_restore_days: {INSTANT_DAYS}{RETENTION}"


def hourly(start: str, every: int, window: int) -> str:
    return f'{{frequency: hourly, every_hours: {every}, from: "{start}", window_hours: {window}}}'


YEARS = (
    Year("Europe/Berlin", '{frequency: daily, at: ["02:30"]}', ("02:30",)),
    Year("America/New_York", '{frequency: daily, at: ["02:30"]}', ("02:30",)),
    Year("Australia/Lord_Howe", '{frequency: daily, at: ["02:15"]}', ("02:15",)),
    Year("Europe/Berlin", hourly("02:15", 4, 8), ("02:15", "06:15", "10:15")),
    Year("America/New_York", hourly("01:30", 6, 6), ("01:30", "07:30")),
    Year("Australia/Lord_Howe", hourly("01:45", 8, 8), ("01:45", "09:45")),
)


# ---------------------------------------------------------------- the prediction


@dataclass(frozen=True)
class Made:
    """A predicted point: its instant, and what the zone's clocks showed."""

    at: datetime
    clock: datetime

    def kept(self, clock: datetime) -> bool:
        return any(clock < datetime.combine(end, self.clock.time()) for end in self._ends())

    def _ends(self) -> Iterator[date]:
        day = self.clock.date()
        sunday = day.isoweekday() == 7
        yield day + timedelta(days=7)
        if sunday:
            yield day + timedelta(days=28)
        if sunday and (day + timedelta(days=7)).month != day.month:
            yield months_on(day, 3)
        if sunday and day.month == 1 and day.day <= 7:
            yield months_on(day, 24)


def months_on(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    later = day.replace(day=1)
    for _ in range(months):
        later = (later + timedelta(days=31)).replace(day=1)
    end = (later + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return min(later + timedelta(days=day.day - 1), end)


def backups(year: Year) -> Iterator[Made]:
    """One for every scheduled reading of the clock, in order; never two at one instant."""
    zone, times = ZoneInfo(year.zone), [time.fromisoformat(text) for text in year.times]
    first = START.astimezone(zone).date()
    wanted = [
        datetime.combine(first + timedelta(days=n), at) for n in range(-1, 370) for at in times
    ]
    instant, shown = START, START.astimezone(zone).replace(tzinfo=None)
    wanted = [moment for moment in wanted if moment > shown]
    while instant < END:
        instant += QUARTER
        shown = instant.astimezone(zone).replace(tzinfo=None)
        if wanted[0] <= shown:
            wanted = [moment for moment in wanted if moment > shown]
            yield Made(instant, shown)


def prediction(year: Year) -> list[tuple[datetime, bool]]:
    """The points at the year's end, oldest first: their instants, and whether the source's own
    snapshot is still there."""
    standing: list[Made] = []
    for newest in backups(year):
        standing = [*(made for made in standing if made.kept(newest.clock)), newest]
    newest = standing[-1]
    fresh = newest.clock - timedelta(days=INSTANT_DAYS)
    return [(made.at, made.clock > fresh) for made in standing]


# ---------------------------------------------------------------- the pipeline


async def lived(year: Year) -> World:
    """The year, through the steps: a tick at every slot, what follows from it, and the
    reconciler once a while."""
    world = World()
    await world.set_up(year.document)
    world.ports.storage.create(DISK, 512)
    await world.protect()
    await world.settle()
    while slots := [entry.slot async for entry in world.ports.due.slots(END)]:
        world.ports.clock.set(slots[0])
        assert await tick(world.ports) == 1
        await world.settle()
        if slots[0].weekday() == 0:
            await reconcile(world.ports)
    return world


def found(points: list[Point]) -> list[tuple[datetime, bool]]:
    return [(point.created_at.astimezone(UTC), Tier.SNAPSHOT in point.tiers) for point in points]


@pytest.mark.parametrize("year", YEARS, ids=str)
async def test_a_year_ends_with_the_points_that_were_predicted(year: Year) -> None:
    world = await lived(year)
    expected = prediction(year)
    points = await world.points()
    assert found(points) == expected
    assert len(expected) > 9
    assert all(Tier.VAULT in point.tiers for point in points)
    jobs = [job for job in await world.jobs() if job.slot]
    assert [job.slot for job in jobs] == [made.at for made in backups(year)]
    assert {job.status for job in jobs} == {Status.COMPLETED}
    item = await world.item()
    assert item
    assert item.expiry.held == ""


def test_the_years_meet_the_clock_changes() -> None:
    """What makes them worth living: in each zone a time that is skipped and one that comes twice,
    and backups on every day."""
    skipped, repeated = set(), set()
    for year in YEARS:
        made, zone = list(backups(year)), ZoneInfo(year.zone)
        if any(f"{each.clock:%H:%M}" not in year.times for each in made):
            skipped.add(year.zone)
        if any(
            len({each.clock.replace(fold=n, tzinfo=zone).utcoffset() for n in (0, 1)}) > 1
            for each in made
        ):
            repeated.add(year.zone)
        days = {each.clock.date() for each in made}
        assert len(days) in (366, 367), str(year)
        assert abs(len(made) - 366 * len(year.times)) <= len(year.times), str(year)
    assert skipped == repeated == {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}
