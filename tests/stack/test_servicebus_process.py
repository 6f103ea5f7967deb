"""The server as a process: what survives it, and how it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from local.servicebus.control import Control

pytestmark = pytest.mark.stack

ENTITIES = {"defaults": {"requiresDuplicateDetection": True}, "queues": [{"name": "q"}]}


class Running:
    """A server process and a way to talk about it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        announced: dict[str, Any] = json.loads(process.stdout.readline())
        self.process = process
        self.port: int = announced["port"]
        self.connection_string: str = announced["connection_string"]
        self.control = Control(announced["control_port"])

    def end(self, number: signal.Signals) -> int:
        os.kill(self.process.pid, number)
        return self.process.wait(10)

    def client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.connection_string, retry_total=0)


@pytest.fixture
def entities(tmp_path: Path) -> Path:
    path = tmp_path / "entities.json"
    path.write_text(json.dumps(ENTITIES))
    return path


def command(entities: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "local.servicebus", "--entities", str(entities), *arguments]


@contextlib.contextmanager
def serving(entities: Path, *arguments: str) -> Iterator[Running]:
    full = command(entities, "--control-port", "0", *arguments)
    with subprocess.Popen(full, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        try:
            yield Running(p)
        finally:
            p.kill()


def receive(receiver: ServiceBusReceiver, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        more = receiver.receive_messages(count - len(found), max_wait_time=3)
        assert more, f"only {len(found)} of {count} came"
        found += more
    return found


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_accepted_messages_survive_and_locks_do_not(
    entities: Path, tmp_path: Path, end: signal.Signals
) -> None:
    kept = ("--data-dir", str(tmp_path / "kept"))
    with (
        serving(entities, *kept) as first,
        first.client() as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        names = ("locked", "deferred", "dead", "done", "untouched")
        sender.send_messages([ServiceBusMessage(n, message_id=n) for n in names])
        _, deferred, dead, done = receive(receiver, 4)
        receiver.defer_message(deferred)
        receiver.dead_letter_message(dead, reason="why")
        receiver.complete_message(done)
        first.end(end)
    with serving(entities, *kept) as second:
        counts = second.control.counts()["q"]
        assert counts == {
            "active": 2,
            "scheduled": 0,
            "deferred": 1,
            "dead_letter": 1,
            "locked": 0,
        }
        with second.client() as client, client.get_queue_sender("q") as sender:
            sender.send_messages(ServiceBusMessage("done", message_id="done"))
            with client.get_queue_receiver("q") as receiver:
                got = [(str(m), m.delivery_count) for m in receive(receiver, 2)]
                assert got == [("locked", 1), ("untouched", 0)]
                (back,) = receiver.receive_deferred_messages([deferred.sequence_number])
                assert str(back) == "deferred"
        assert second.control.counts()["q"]["active"] == 2  # the duplicate was known


def test_nothing_accepted_is_lost_when_killed_under_load(entities: Path, tmp_path: Path) -> None:
    kept = ("--data-dir", str(tmp_path / "kept"))
    accepted = 0
    with (
        serving(entities, *kept) as first,
        first.client() as client,
        client.get_queue_sender("q") as sender,
    ):
        killer = threading.Timer(0.3, first.end, [signal.SIGKILL])
        killer.start()
        with contextlib.suppress(ServiceBusError):
            while True:
                sender.send_messages([ServiceBusMessage(b"x" * 500) for _ in range(100)])
                accepted += 100
        killer.join()
    assert accepted > 0
    with serving(entities, *kept) as second:
        # The batch that was under way may have been accepted without an answer, but whole.
        assert second.control.counts()["q"]["active"] in (accepted, accepted + 100)


def test_sigterm_ends_it_cleanly_with_clients_connected(entities: Path) -> None:
    with (
        serving(entities) as server,
        server.client() as client,
        client.get_queue_sender("q") as sender,
    ):
        sender.send_messages(ServiceBusMessage("a"))
        assert server.end(signal.SIGTERM) == 0


def test_a_taken_port_is_said(entities: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command(entities, "--port", port), capture_output=True, text=True, timeout=20
        )
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_directory_serves_one_process(entities: Path, tmp_path: Path) -> None:
    kept = ("--data-dir", str(tmp_path / "kept"))
    with serving(entities, *kept):
        done = subprocess.run(command(entities, *kept), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "locked" in done.stderr
