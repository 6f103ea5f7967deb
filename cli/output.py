"""How answers are printed: JSON for programs, tables for people. Answers go to standard output,
progress and errors to standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

View = Mapping[str, Any]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_ROOM = 10_000
"""Tables are not broken to fit a terminal: ids and URLs stay whole, to be copied."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_DECIMAL_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Column:
    """A table's column: the view's field, and how its value reads."""

    title: str
    field: str
    read: Callable[[Any], str] = str


def terminal(*, errors: bool = False) -> Console:
    """The terminal, made anew for each use: tests replace the streams."""
    stream = sys.stderr if errors else sys.stdout
    return Console(file=stream, highlight=False, markup=False)


def say(text: str) -> None:
    """Words for people, on standard output."""
    sys.stdout.write(text + "\n")


def show_json(value: Any) -> None:
    """The answer as JSON; the only thing on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def show_list(
    views: Sequence[View], columns: Sequence[Column], *, as_json: bool, empty: str
) -> None:
    """A listing; `empty` is said where there is nothing to list."""
    if as_json:
        show_json(list(views))
    elif views:
        say(_lines(table_of(views, columns)))
    else:
        say(empty)


def show_one(view: View, columns: Iterable[Column], *, as_json: bool) -> None:
    """One thing, a line a field; fields that the view lacks are left out."""
    if as_json:
        show_json(view)
        return
    table = Table.grid(padding=(0, 2))
    for column in columns:
        if column.field in view:
            table.add_row(column.title, _cell(view, column))
    say(_lines(table))


def table_of(views: Iterable[View], columns: Sequence[Column]) -> Table:
    """The views as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.title, no_wrap=True)
    for view in views:
        table.add_row(*(_cell(view, column) for column in columns))
    return table


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def decimal(count: int) -> str:
    """Bytes in the decimal unit that suits them: what storage is sold in."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_DECIMAL_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.4g} {_DECIMAL_UNITS[unit]}"


def moment(text: str) -> str:
    """A view's time, to the second and in UTC."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%SZ")


def utc(at: datetime) -> str:
    """A time as views have it: UTC, with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _lines(table: Table) -> str:
    """The table as text, a line a row, as wide as it must be."""
    paper = Console(file=StringIO(), width=_ROOM, highlight=False, markup=False)
    with paper.capture() as written:
        paper.print(table)
    return "\n".join(line.rstrip() for line in written.get().splitlines())


def _cell(view: View, column: Column) -> str:
    value = view.get(column.field)
    return "-" if value is None or value in ("", []) else column.read(value)
