"""Programs that outlive their starter: found again by pid and start time, ended whole."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.processes import Program, is_alive, log_tail, recorded, start, stop

pytestmark = pytest.mark.stack

SLEEP = "import time; print('hello', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "run"
    stop(tmp_path / "run", "one", grace_seconds=0.1)


def program(tmp_path: Path, code: str) -> Program:
    return Program(
        "one", (sys.executable, "-c", code), dict(os.environ), tmp_path, tmp_path / "one.log"
    )


def wait_for_output(program: Program) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if text := program.log.read_text().strip():
            return text
        time.sleep(0.02)
    raise AssertionError("the program wrote nothing")


def test_a_started_program_is_alive_until_it_is_stopped(tmp_path: Path, run_dir: Path) -> None:
    record = start(program(tmp_path, SLEEP), run_dir)
    assert is_alive(recorded(run_dir, "one"))
    assert os.getsid(record.pid) == record.pid

    assert stop(run_dir, "one", grace_seconds=5)

    assert not psutil.pid_exists(record.pid)
    assert recorded(run_dir, "one") is None
    assert not stop(run_dir, "one", grace_seconds=5)


def test_a_program_deaf_to_sigterm_is_killed_with_its_children(
    tmp_path: Path, run_dir: Path
) -> None:
    stubborn = program(tmp_path, STUBBORN)
    record = start(stubborn, run_dir)
    child = int(wait_for_output(stubborn))

    stop(run_dir, "one", grace_seconds=0.2)

    assert not psutil.pid_exists(record.pid)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_recycled_pid_is_neither_taken_for_the_program_nor_killed(
    tmp_path: Path, run_dir: Path
) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)
    try:
        record = start(program(tmp_path, SLEEP), run_dir)
        stop(run_dir, "one", grace_seconds=5)
        stale = replace(record, pid=bystander.pid, created=record.created - 3600)
        (run_dir / "one.json").write_text(
            f'{{"pid": {stale.pid}, "created": {stale.created}, "log_offset": 0}}'
        )

        assert not is_alive(recorded(run_dir, "one"))
        assert not stop(run_dir, "one", grace_seconds=0.1)
        assert bystander.poll() is None
        assert recorded(run_dir, "one") is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]"])
def test_a_damaged_record_counts_as_none(run_dir: Path, content: str) -> None:
    run_dir.mkdir()
    (run_dir / "one.json").write_text(content)
    assert recorded(run_dir, "one") is None


def test_the_tail_is_of_this_run_only(tmp_path: Path, run_dir: Path) -> None:
    talkative = program(tmp_path, "print('first')")
    start(talkative, run_dir)
    wait_for_output(talkative)
    second = program(tmp_path, "print('second')")
    record = start(second, run_dir)
    deadline = time.monotonic() + 10
    while "second" not in second.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert log_tail(second, record) == "second"
