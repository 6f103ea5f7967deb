"""Long-running programs that outlive the command that starts them.

A program leaves a record `<run dir>/NAME.json` with its pid and the moment it started, so that a
recycled pid is never taken for it, nor ever killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

# psutil derives start times from the boot time, which moves a little as the clock is corrected.
SAME_START_SECONDS = 1.0

# Children of this very process, kept so that they are reaped as they end.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Program:
    """What to run: `env` is the whole environment; output is appended to `log`."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path


@dataclass(frozen=True)
class ProcessRecord:
    """A started process: `created` in seconds since the epoch, as the system tells it.

    `log_offset` is where this run's output begins in the log.
    """

    pid: int
    created: float
    log_offset: int

    @property
    def since(self) -> datetime:
        """When the process started, UTC."""
        return datetime.fromtimestamp(self.created, UTC)


def start(program: Program, run_dir: Path) -> ProcessRecord:
    """Starts the program in a session of its own and records it."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    run_dir.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        offset = log.tell()
        child = subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    record = ProcessRecord(child.pid, _created(child.pid), offset)
    _path(run_dir, program.name).write_text(json.dumps(asdict(record)))
    return record


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return time.time()


def recorded(run_dir: Path, name: str) -> ProcessRecord | None:
    """The record that the last start left, if it was not stopped since."""
    try:
        return ProcessRecord(**json.loads(_path(run_dir, name).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def is_alive(record: ProcessRecord | None) -> bool:
    """Whether the recorded process itself still runs."""
    return record is not None and _process(record) is not None


def _process(record: ProcessRecord) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) < SAME_START_SECONDS
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def stop(run_dir: Path, name: str, grace_seconds: float) -> bool:
    """Ends the recorded process: SIGTERM, then after the grace SIGKILL to its whole group.

    Answers whether it was running. Its record is gone afterwards.
    """
    record = recorded(run_dir, name)
    process = _process(record) if record else None
    if process is not None:
        _terminate(process, grace_seconds)
    if record is not None:
        _reap(record.pid)
    _path(run_dir, name).unlink(missing_ok=True)
    return process is not None


def _terminate(process: psutil.Process, grace_seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        with suppress(psutil.TimeoutExpired):
            process.wait(timeout=grace_seconds)
    # The group keeps its number while any member lives, so this reaches nobody else.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
        _await_end_of_group(process.pid)


def _await_end_of_group(group: int) -> None:
    """Waits, a few seconds at most, until no member of the killed group runs."""
    deadline = time.monotonic() + 5
    while any(_runs_in(each, group) for each in psutil.process_iter()):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _runs_in(process: psutil.Process, group: int) -> bool:
    with suppress(ProcessLookupError, psutil.Error):
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    return False


def _reap(pid: int) -> None:
    child = _children.pop(pid, None)
    if child is not None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=5)


def log_tail(program: Program, record: ProcessRecord, lines: int = 20) -> str:
    """The last lines that this run of the program wrote."""
    with suppress(FileNotFoundError), program.log.open("rb") as log:
        log.seek(record.log_offset)
        written = log.read().decode(errors="replace").splitlines()
        return "\n".join(written[-lines:]) or "(nothing was written)"
    return "(there is no log)"


def python() -> str:
    """The interpreter that runs us: the components share its packages."""
    return sys.executable


def _path(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.json"
