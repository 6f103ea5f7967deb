"""A real Azurite with the gap-filler, for any test module that names this one in `pytest_plugins`.

PYTEST_DONT_REWRITE: test modules import its types, too, so it is loaded before it is registered.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.node import find_node
from local.ports import free_ports
from local.storage.azurite import (
    HOST,
    SOURCE,
    STATE,
    VAULT,
    Account,
    StoragePorts,
    blob_endpoint,
    connection_string,
    ensure_installed,
    launch,
)
from local.storage.controls import clear_faults


@dataclass
class RunningStorage:
    """Azurite as a child process on a data folder; it can be stopped and started again."""

    data_dir: Path
    ports: StoragePorts
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return blob_endpoint(self.ports)

    def connection_string(self, account: Account) -> str:
        return connection_string(account, self.ports)

    def blobs(self, account: Account = SOURCE) -> BlobServiceClient:
        """A client that does not retry: a refusal is what a test wants to see."""
        return BlobServiceClient.from_connection_string(
            self.connection_string(account), retry_total=0, max_single_put_size=4 * 1024 * 1024
        )

    def tables(self, account: Account = STATE) -> TableServiceClient:
        return TableServiceClient.from_connection_string(self.connection_string(account))

    def container(self, account: Account = SOURCE) -> ContainerClient:
        """A new, empty container."""
        return self.blobs(account).create_container(f"c{uuid4().hex[:12]}")

    def start(self) -> None:
        command = launch(find_node(), self.ports, self.data_dir, faults=True, tied=True)
        self.process = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.env},
            cwd=command.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self._await_ports()

    def stop(self) -> None:
        """SIGTERM, as the supervisor does; kills what does not end within 20 s."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process = None

    def _await_ports(self) -> None:
        deadline = time.monotonic() + 30
        for port in (self.ports.blob, self.ports.table, self.ports.queue):
            while not _listens(port):
                assert self.process is not None
                assert self.process.poll() is None, "the storage died at start"
                assert time.monotonic() < deadline, "the storage did not start"
                time.sleep(0.05)


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection((HOST, port), timeout=1)):
        return True
    return False


def start_storage(data_dir: Path) -> RunningStorage:
    """A running storage on free ports; the caller stops it."""
    ensure_installed(find_node())
    running = RunningStorage(data_dir, StoragePorts(*free_ports(3)))
    try:
        running.start()
    except BaseException:
        running.stop()
        raise
    return running


@pytest.fixture(scope="session")
def shared_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStorage]:
    """One storage for a whole session; tests keep apart by containers of their own."""
    running = start_storage(tmp_path_factory.mktemp("storage"))
    yield running
    running.stop()


@pytest.fixture
def storage(shared_storage: RunningStorage) -> Iterator[RunningStorage]:
    """The session's storage, left without faults."""
    yield shared_storage
    clear_faults(shared_storage.endpoint)


@pytest.fixture
def own_storage(tmp_path: Path) -> Iterator[RunningStorage]:
    """A storage of the test's own, to stop and restart."""
    running = start_storage(tmp_path / "storage")
    yield running
    running.stop()


__all__ = [
    "SOURCE",
    "STATE",
    "VAULT",
    "RunningStorage",
    "own_storage",
    "shared_storage",
    "start_storage",
    "storage",
]
