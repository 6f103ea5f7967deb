"""A functions host in a process of its own, for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

APPS = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HostProcess:
    """One app on one data directory and port; may be started, killed and started again."""

    app: Path
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_port())
    drain_seconds: float = 30.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def keys(self) -> Any:
        return json.loads((self.folder / "data" / "keys.json").read_text())

    def start(self, *, until: str | None = "Running") -> None:
        self.launch()
        if until:
            wait_until(lambda: self._state() == until, self._describe)

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "local.host", "--app-dir", str(self.app)]
        command += ["--data-dir", str(self.folder / "data"), "--port", str(self.port)]
        command += ["--drain-seconds", str(self.drain_seconds)]
        env = {**os.environ, "NOTES": str(self.folder / "notes"), "HUB_NAME": "TestHub", **self.env}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def wait(self) -> int:
        assert self._process
        return self._process.wait(20)

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            self.kill()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, payload: Any = None, **headers: str) -> Answer:
        body = b"" if payload is None else json.dumps(payload).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **headers})

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.read(), _headers(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), _headers(error.headers))

    def _state(self) -> str | None:
        assert self._process
        assert self._process.poll() is None, self.log
        try:
            state: str = self.get("/admin/host/status").json["state"]
        except OSError:
            return None
        return state

    def _describe(self) -> str:
        return self.log


@contextmanager
def running(app: str, folder: Path, **env: str) -> Iterator[HostProcess]:
    """A host that runs the app of that name, gone when the block ends."""
    host = HostProcess(APPS / app, folder, env)
    try:
        host.start()
        yield host
    finally:
        host.end()


def _headers(headers: Any) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Any, describe: Any = lambda: "", seconds: float = 20.0) -> Any:
    """The first true value of ``condition``; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{describe()}"
        time.sleep(0.03)
    return value
