"""A preview as a picture: months of days, each with what its backups have become."""

import calendar
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import zip_longest

from shared.decide.preview import UNTIL_CLEAN_UP, PreviewedDay
from shared.model.policy import Rule

LEGEND = "d daily  w weekly  m monthly  y yearly  + until the next clean-up  · gone  ! clock change"
MONTH_WIDTH = 35
_GAP = 4
_CELL = MONTH_WIDTH // 7
_LETTERS = {rule.value: rule.value[0] for rule in Rule} | {UNTIL_CLEAN_UP: "+"}
_STRONGEST_FIRST = [rule.value for rule in reversed(Rule)]


def draw(days: Sequence[PreviewedDay], on: PreviewedDay, width: int) -> list[str]:
    """The months side by side as `width` allows: each day's strongest rule when `on` ends."""
    cells = {each.day: _cell(each, on) for each in days if each.day <= on.day}
    months = sorted({(day.year, day.month) for day in cells})
    blocks = [_month(year, month, cells) for year, month in months]
    beside = max(1, (width + _GAP) // (MONTH_WIDTH + _GAP))
    rows = (blocks[start : start + beside] for start in range(0, len(blocks), beside))
    return [line for row in rows for line in (*_side_by_side(row), "")]


def _side_by_side(blocks: Iterable[list[str]]) -> Iterator[str]:
    for lines in zip_longest(*blocks, fillvalue=""):
        yield (" " * _GAP).join(line.ljust(MONTH_WIDTH) for line in lines).rstrip()


def _month(year: int, month: int, cells: dict[date, str]) -> list[str]:
    """A month's lines: its name, the weekdays, the weeks; days outside the period are blank."""
    title = f"{calendar.month_name[month]} {year}".center(MONTH_WIDTH).rstrip()
    weekdays = "".join(f"{name[:2]:>2}".ljust(_CELL) for name in calendar.day_abbr)
    weeks = calendar.Calendar().monthdatescalendar(year, month)
    lines = (
        "".join(_day(day, month, cells).ljust(_CELL) for day in week).rstrip() for week in weeks
    )
    return [title, weekdays.rstrip(), *(line for line in lines if line)]


def _day(day: date, month: int, cells: dict[date, str]) -> str:
    return f"{day.day:>2}{cells[day]}" if day.month == month and day in cells else ""


def _cell(day: PreviewedDay, on: PreviewedDay) -> str:
    """What follows the day's number."""
    kept = {rule for point in day.made if point.exists(on.end) for rule in point.kept_by(on.end)}
    strongest = next((rule for rule in (*_STRONGEST_FIRST, UNTIL_CLEAN_UP) if rule in kept), "")
    mark = _LETTERS.get(strongest, "·" if day.made else " ")
    return f"{mark}!" if day.clock_changes else mark
