"""The benches, small: what they measure on a real storage, and that they leave a record."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import kill
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


def measured(name: str, folder: Path, *options: str) -> list[dict[str, Any]]:
    """The samples of a bench's run."""
    assert main([name, *options, "--out", str(folder)]) == 0
    samples: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text())["samples"]
    return samples


def test_backups_are_measured_against_a_loop_of_their_own_requests(tmp_path: Path) -> None:
    full, increment = measured(
        "transfer", tmp_path, "--image", "32", "--percent", "2", "--run", "64", "--rounds", "1"
    )
    assert (full["kind"], increment["kind"]) == ("full", "incremental")
    assert full["copied_bytes"] >= 8 * 2**20
    assert increment["changed_bytes"] == 10 * 65536
    assert increment["copied_bytes"] == increment["changed_bytes"]
    assert increment["cleared_bytes"] == 65536
    requests = increment["requests"]
    assert increment["page_requests"] == requests["copies"] + requests["clears"]
    assert increment["page_requests"] == increment["fewest_requests"]
    assert 0 < increment["copy_seconds"] < increment["whole_seconds"]
    assert increment["loop_seconds"] > 0
    assert requests["ledger transactions"] >= 5


def test_restores_are_measured_against_a_loop_of_their_own_requests(tmp_path: Path) -> None:
    [sample] = measured("restore", tmp_path, "--image", "32", "--rounds", "1")
    assert sample["copied_bytes"] >= 8 * 2**20
    assert sample["page_requests"] == sample["requests"]["copies"]
    assert sample["worker_bytes"] < 2**20


def test_refused_requests_are_counted_and_made_good(tmp_path: Path) -> None:
    clean, refused, _ = measured("goodput", tmp_path, "--image", "128", "--rounds", "1")
    assert clean["refused"] == 0
    assert refused["refused"] > 0
    assert refused["copied_bytes"] == clean["copied_bytes"]
    assert clean["copied_bytes"] / clean["copy_seconds"] < 61 * 2**20, "no limit was in force"


def test_killed_workers_are_replaced_and_the_backup_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kill, "TRIALS", [kill.Trial("worker", every) for every in (0, 4)])
    small = ("--image", "1024", "--rounds", "1", "--workers", "2")
    clean, killed = measured("kill", tmp_path, *small)
    assert clean["kills"] == 0
    assert clean["asked_bytes"] == clean["copied_bytes"]
    assert killed["kills"] > 0
    assert killed["copied_bytes"] == clean["copied_bytes"]
    assert killed["asked_bytes"] >= killed["copied_bytes"]


def test_the_benches_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.startswith("tick ")
