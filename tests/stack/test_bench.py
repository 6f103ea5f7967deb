"""The bench of the tick, small: what it measures on a real storage, and that it leaves a record."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main

pytestmark = pytest.mark.stack


def test_the_tick_is_measured_on_a_real_storage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--items", "200", "--due", "0", "60", "--rounds", "1"]
    assert main(["tick", *sizes, "--out", str(tmp_path)]) == 0
    first, idle, busy = json.loads((tmp_path / "tick.json").read_text())["samples"]
    assert [(sample["items"], sample["due"]) for sample in (first, idle, busy)] == [
        (200, 0),
        (200, 0),
        (200, 120),
    ]
    assert first["first"]
    assert sum(first["requests"].values()) <= 3
    assert idle["requests"] == {"Table_QueryEntities": 1}
    assert busy["started"] == 120
    assert busy["requests"] == {
        "Table_Batch": 2 + 3,
        "Table_QueryEntities": 1,
        "Table_QueryEntitiesWithPartitionAndRowKey": 120 + 1,
    }
    assert "| 200 | 120 | later | 127 |" in capsys.readouterr().out


def test_the_benches_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.startswith("tick ")
