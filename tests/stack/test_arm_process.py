"""The fake ARM as a program: start, announce, stop, start again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.stack.arm_fixtures import GROUP, REGION, SUBSCRIPTION
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack

GROUP_PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
DISK = f"{GROUP_PATH}/providers/Microsoft.Compute/disks/d1"


@contextmanager
def program(storage: RunningStorage, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m local.arm`, ended whatever happens."""
    argv = [sys.executable, "-m", "local.arm", "--blob-endpoint", storage.endpoint, *options]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def announced(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    return ready


def call(endpoint: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    request = Request(
        f"{endpoint}{path}?api-version=2024-03-02",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": "Bearer x", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as answer:
        answered: dict[str, Any] = json.load(answer)
        return answered


def stopped(process: subprocess.Popen[str]) -> int:
    process.terminate()
    return process.wait(timeout=10)


def test_it_starts_stops_and_remembers(storage: RunningStorage, tmp_path: Path) -> None:
    with program(storage, "--data", str(tmp_path), "--time-factor", "100") as process:
        endpoint = announced(process)["endpoint"]
        call(endpoint, "PUT", GROUP_PATH, {"location": REGION})
        creation = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}
        call(endpoint, "PUT", DISK, {"location": REGION, "properties": creation})
        made = call(endpoint, "GET", DISK)
        assert stopped(process) == 0
    with program(storage, "--data", str(tmp_path), "--no-throttling") as process:
        assert call(announced(process)["endpoint"], "GET", DISK)["id"] == made["id"]
        assert stopped(process) == 0


def test_it_remembers_after_a_kill(storage: RunningStorage, tmp_path: Path) -> None:
    with program(storage, "--data", str(tmp_path)) as process:
        call(announced(process)["endpoint"], "PUT", GROUP_PATH, {"location": REGION})
        process.kill()
        process.wait()
    with program(storage, "--data", str(tmp_path)) as process:
        endpoint = announced(process)["endpoint"]
        assert call(endpoint, "GET", GROUP_PATH)["location"] == REGION
        assert stopped(process) == 0


def test_a_taken_port_is_named(storage: RunningStorage) -> None:
    with program(storage) as first:
        port = announced(first)["port"]
        with program(storage, "--port", str(port)) as second:
            _, said = second.communicate(timeout=20)
            assert second.returncode == 1
            assert str(port) in said
        assert stopped(first) == 0
