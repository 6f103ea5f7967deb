"""docs/fidelity.md tells how many exchanges of the recordings our client is held to: as many as the
tests say."""

import re
from pathlib import Path

from tests.contract.recordings import test_recordings_compute as compute
from tests.contract.recordings import test_recordings_recovery as recovery

PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"
COLUMNS = ("recording", "ours", "never asked", "what our client is held to")


def test_the_table_has_the_tests_numbers() -> None:
    rows = _rows(PAGE.read_text(encoding="utf-8"))
    cases = (*recovery.CASES, *compute.CASES)
    assert len(rows) > 10
    assert sum(_numbers(row[1]) for row in rows) == sum(case.ours for case in cases)
    assert sum(_numbers(row[2]) for row in rows) == sum(case.never for case in cases)


def _rows(page: str) -> list[list[str]]:
    """Those of the table with these columns."""
    lines = iter(page.splitlines())
    for line in lines:
        if _cells(line) == [*COLUMNS]:
            break
    next(lines)  # the rule below the head
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append(_cells(line))
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _numbers(cell: str) -> int:
    """The sum of what is told of several recordings together."""
    return sum(map(int, re.findall(r"\d+", cell)))
