"""Queue functions over the local Service Bus, with the real SDK on both sides."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from tests.stack.host_apps.process import HostProcess, free_port, running, wait_until

pytestmark = pytest.mark.stack

ENTITIES = {
    "defaults": {
        "lockDuration": "PT2S",
        "maxDeliveryCount": 2,
        "defaultMessageTimeToLive": "P1D",
        "requiresDuplicateDetection": False,
        "duplicateDetectionHistoryTimeWindow": "PT10M",
        "deadLetteringOnMessageExpiration": True,
    },
    "queues": [{"name": "work"}, {"name": "texts"}],
}


@dataclass
class Bus:
    """The local Service Bus in a process; may be stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def connection(self) -> str:
        keys = "SharedAccessKeyName=x;SharedAccessKey=y;UseDevelopmentEmulator=true"
        return f"Endpoint=sb://127.0.0.1:{self.port};{keys}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        entities = self.folder / "entities.json"
        entities.write_text(json.dumps(ENTITIES))
        command = [sys.executable, "-m", "local.servicebus", "--port", str(self.port)]
        command += ["--entities", str(entities), "--data-dir", str(self.folder / "data")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline()

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdout
            self._process.stdout.close()

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        with (
            ServiceBusClient.from_connection_string(self.connection) as client,
            client.get_queue_sender(queue) as sender,
        ):
            sender.send_messages(list(messages))

    def dead_letters(self, queue: str) -> list[Any]:
        with (
            ServiceBusClient.from_connection_string(self.connection) as client,
            client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):
            return receiver.peek_messages(10)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Bus, HostProcess]]:
    bus = Bus(folder / "bus")
    try:
        bus.start()
        with running("bus", folder / "host", Bus=bus.connection, QUEUE="work") as host:
            yield bus, host
    finally:
        bus.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bus, HostProcess]]:
    with serving(tmp_path_factory.mktemp("bus")) as served:
        yield served


def order(do: str, **values: Any) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps({"do": do, **values}))


def test_messages_reach_their_functions(served: tuple[Bus, HostProcess]) -> None:
    bus, host = served
    message = ServiceBusMessage(
        '{"do": "greet"}', message_id="m-7", application_properties={"n": 3}
    )
    bus.send("work", message)
    bus.send("texts", ServiceBusMessage("plain"))
    wait_until(lambda: "greet m-7 3" in host.notes, lambda: host.log)
    wait_until(lambda: "text plain" in host.notes, lambda: host.log)


def test_a_failing_message_is_dead_lettered_and_others_are_served(
    served: tuple[Bus, HostProcess],
) -> None:
    bus, host = served
    bus.send("work", order("fail"), order("good"))
    wait_until(lambda: any(note.startswith("good") for note in host.notes), lambda: host.log)
    wait_until(lambda: "fail 2" in host.notes, lambda: host.log)
    (dead,) = wait_until(lambda: bus.dead_letters("work"))
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert host.notes.count("fail 1") == 1
    assert "as asked" in host.log


def test_the_lock_is_kept_as_long_as_the_function_runs(
    served: tuple[Bus, HostProcess],
) -> None:
    bus, host = served
    bus.send("work", order("sleep", seconds=3))
    wait_until(lambda: "slept" in host.notes, lambda: host.log)
    time.sleep(0.5)
    assert [note for note in host.notes if note.startswith("sleep")] == ["sleep 1"]


def test_a_burst_is_served_quickly(served: tuple[Bus, HostProcess]) -> None:
    bus, host = served
    bus.send("work", *(order("many") for _ in range(200)))
    started = time.monotonic()
    wait_until(lambda: sum(n.startswith("many") for n in host.notes) == 200, lambda: host.log)
    assert time.monotonic() - started < 10


def test_a_bus_that_was_away_is_found_again(tmp_path: Path) -> None:
    with serving(tmp_path) as (bus, host):
        bus.end()
        time.sleep(2)
        assert host.get("/admin/host/status").status == 200
        bus.start()
        bus.send("work", order("again"))
        wait_until(lambda: any(n.startswith("again") for n in host.notes), lambda: host.log)


def test_a_killed_host_gets_its_message_again(tmp_path: Path) -> None:
    with serving(tmp_path) as (bus, host):
        bus.send("work", order("sleep", seconds=1))
        wait_until(lambda: "sleep 1" in host.notes, lambda: host.log)
        host.kill()
        host.start()
        wait_until(lambda: "slept" in host.notes, lambda: host.log)
        assert "sleep 2" in host.notes
        assert host.stop() == 0
