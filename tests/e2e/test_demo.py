"""The real `vaultline demo`: what it prints, what it proves, and that nothing of it stays."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.test_demo_filesystem import needs_tools

pytestmark = [pytest.mark.e2e, pytest.mark.stack, needs_tools]

SIZE_MIB = 64
STORY_SECONDS = 240
VM_STORY_SECONDS = 420
RESTORES = ["disks", "alternate", "original"]
HEX_DIGITS = set("0123456789abcdef")


def test_the_demo_proves_the_pipeline_right(tmp_path: Path) -> None:
    with _demo(tmp_path, "--json", "--size", str(SIZE_MIB)) as demo:
        out, err = demo.communicate(timeout=STORY_SECONDS)
    assert _left(tmp_path) == []
    assert (demo.returncode, err) == (0, ""), out + err
    proof = json.loads(out)
    assert json.loads((tmp_path / "demo-proof.json").read_text()) == proof
    assert proof["ok"] is True
    assert proof["problems"] == []
    assert proof["image_bytes"] == SIZE_MIB * 1024 * 1024
    assert proof["worker_bytes"] == 0
    assert proof["server_side_copies"] > 0
    assert 60 < proof["seconds"] < STORY_SECONDS
    _check_points(proof["points"])
    _check_original(proof)


def test_the_demo_of_machines_proves_every_disk(tmp_path: Path) -> None:
    with _demo(tmp_path, "--json", "--vm") as demo:
        out, err = demo.communicate(timeout=VM_STORY_SECONDS)
    assert _left(tmp_path) == []
    assert (demo.returncode, err) == (0, ""), out + err
    proof = json.loads(out)
    assert json.loads((tmp_path / "demo-proof.json").read_text()) == proof
    assert (proof["ok"], proof["problems"]) == (True, [])
    ours, azures = proof["machines"]
    assert [machine["vault"] for machine in (ours, azures)] == ["storage", "recovery-services"]
    for machine, disks in ((ours, 3), (azures, 2)):
        assert {backup["trigger"] for backup in machine["backups"]} == {"schedule", "request"}
        assert [restore["kind"] for restore in machine["restores"]] == RESTORES
        for restore in machine["restores"]:
            assert len(restore["disks"]) == disks
            assert len({disk["sha256_source"] for disk in restore["disks"]}) == disks
            for disk in restore["disks"]:
                assert HEX_DIGITS.issuperset(disk["sha256_source"])
                assert disk["sha256_restored"] == disk["sha256_source"]
                assert disk["fsck"] == "clean"
    first, second = ours["backups"]
    assert [first["kind"], second["kind"]] == ["full", "incremental"]
    assert 0 < second["copied_bytes"] < first["copied_bytes"] / 2
    assert {backup["consistency"] for backup in ours["backups"]} == {"file-system"}


def test_a_demo_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    with _demo(tmp_path, "--size", "32") as demo:
        _await_host(tmp_path)
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert _left(tmp_path) == []
    assert not (tmp_path / "demo-proof.json").exists()


def _check_points(points: list[dict[str, Any]]) -> None:
    assert len(points) == 5
    assert [point["kind"] for point in points] == ["full"] + ["incremental"] * (len(points) - 1)
    triggers = [point["trigger"] for point in points]
    assert min(triggers.count("schedule"), triggers.count("request")) >= 2
    assert len({point["id"] for point in points}) == len(points)
    assert len({point["sha256_source"] for point in points[:4]}) == 4
    for point in points:
        _check_restored(point)
        assert point["requests"] > 0
        assert point["seconds"] > 0
        assert 0 < point["copied_bytes"] <= 1.25 * point["changed_bytes"]
    for point in points[1:4]:
        assert point["copied_bytes"] <= 1.25 * point["written_bytes"]
        assert point["cleared_bytes"] > 0
        assert point["changed_bytes"] < points[0]["changed_bytes"] / 4
    added = [[point["files"][f"added-{number}/0.bin"] for point in points] for number in (1, 3)]
    assert added == [
        ["absent", "equal", "equal", "equal", "absent"],
        ["absent", "absent", "absent", "equal", "absent"],
    ]
    deleted = [path for path, found in points[3]["files"].items() if found == "absent"]
    assert len(deleted) == 3
    assert all(points[0]["files"][path] == "equal" for path in deleted)


def _check_original(proof: dict[str, Any]) -> None:
    original, points = proof["original"], proof["points"]
    assert original["point"] == points[0]["id"]
    assert original["sha256_source"] == points[0]["sha256_source"]
    assert original["next_point"] == points[-1]["id"]
    assert points[-1]["sha256_restored"] == points[0]["sha256_source"]
    assert original["safety_point"]["sha256_source"] == points[3]["sha256_source"]
    _check_restored(original)
    _check_restored(original["safety_point"])


def _check_restored(view: dict[str, Any]) -> None:
    assert view["sha256_restored"] == view["sha256_source"]
    assert len(view["sha256_source"]) == len(hashlib.sha256().hexdigest())
    assert set(view["sha256_source"]) <= HEX_DIGITS
    assert view["fsck"] == "clean"
    assert set(view["files"].values()) <= {"equal", "absent"}


@contextmanager
def _demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, run in `folder`; it and all that names the folder is gone afterwards."""
    argv = [sys.executable, "-m", "cli", "demo", *options, "--data-dir", str(folder / "demo")]
    started = subprocess.Popen(
        argv, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
            started.communicate()
            for left in _left(folder):
                with suppress(psutil.NoSuchProcess):
                    left.kill()


def _left(folder: Path) -> list[psutil.Process]:
    """Processes that name the folder in their command line."""
    named = str(folder)
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if any(named in word for word in each.info["cmdline"] or ())]


def _await_host(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "demo" / "run" / "host.json").exists():
        assert time.monotonic() < deadline, "the demo started no host"
        time.sleep(0.1)
    assert len(_left(folder)) >= 4
