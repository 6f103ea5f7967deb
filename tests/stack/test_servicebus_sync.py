"""The real synchronous SDK against the local Service Bus, in its own process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import MessagingEntityNotFoundError

pytestmark = pytest.mark.stack

ENTITIES = {
    "defaults": {"requiresDuplicateDetection": True},
    "queues": [{"name": "settled"}, {"name": "Scheduled"}, {"name": "iterated"}],
}


@contextmanager
def running(*arguments: str) -> Iterator[dict[str, Any]]:
    """The server as a child process; yields what it announced. Gone afterwards."""
    command = [sys.executable, "-m", "local.servicebus", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


@dataclass
class Bus:
    """A client and links that all close together at the end: the SDK takes its time."""

    client: ServiceBusClient
    opened: list[Any] = field(default_factory=list)

    def open(self, link: Any) -> Any:
        link.__enter__()
        self.opened.append(link)
        return link

    def sender(self, queue: str) -> ServiceBusSender:
        return cast("ServiceBusSender", self.open(self.client.get_queue_sender(queue)))

    def receiver(self, queue: str, **settings: Any) -> ServiceBusReceiver:
        link = self.client.get_queue_receiver(queue, **settings)
        return cast("ServiceBusReceiver", self.open(link))


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    declared: Path = tmp_path_factory.mktemp("entities") / "entities.json"
    declared.write_text(json.dumps(ENTITIES))
    connect = ServiceBusClient.from_connection_string
    with (
        running("--entities", str(declared)) as server,
        connect(server["connection_string"], retry_total=0) as client,
    ):
        bus = Bus(client)
        yield bus
        with ThreadPoolExecutor(10) as threads:
            list(threads.map(lambda link: link.close(), bus.opened))


def test_send_receive_and_settle(bus: Bus) -> None:
    sender = bus.sender("settled")
    sender.send_messages(
        [ServiceBusMessage(t, message_id=t) for t in ("complete", "abandon", "defer", "dead")]
    )
    sender.send_messages(ServiceBusMessage("complete", message_id="complete"))
    receiver = bus.receiver("settled", prefetch_count=10)
    got: list[Any] = []
    while len(got) < 4:
        got += receiver.receive_messages(4, max_wait_time=3)
    complete, abandon, defer, dead = got
    receiver.renew_message_lock(complete)
    receiver.complete_message(complete)
    receiver.abandon_message(abandon)
    receiver.defer_message(defer)
    receiver.dead_letter_message(dead, reason="bad", error_description="very bad")
    (again,) = receiver.receive_messages(max_wait_time=3)
    assert (str(again), again.delivery_count) == ("abandon", 1)
    receiver.complete_message(again)
    (deferred,) = receiver.receive_deferred_messages([defer.sequence_number])
    receiver.complete_message(deferred)
    assert receiver.peek_messages() == []
    letters = bus.receiver("settled", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (letter,) = letters.receive_messages(max_wait_time=3)
    assert (letter.dead_letter_reason, str(letter)) == ("bad", "dead")
    letters.complete_message(letter)


def test_schedule_and_cancel_and_queue_names_in_any_case(bus: Bus) -> None:
    due = datetime.now(UTC) + timedelta(seconds=30)
    sender = bus.sender("SCHEDULED")
    numbers = sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], due)
    sender.cancel_scheduled_messages(numbers[0])
    (peeked,) = bus.receiver("scheduled").peek_messages(max_message_count=5)
    assert (str(peeked), peeked.sequence_number) == ("b", numbers[1])
    whole_milliseconds = due.microsecond // 1000 * 1000
    assert peeked.scheduled_enqueue_time_utc == due.replace(microsecond=whole_milliseconds)


def test_iteration_ends_when_the_queue_stays_empty(bus: Bus) -> None:
    sender = bus.sender("iterated")
    batch = sender.create_message_batch()
    for number in range(50):
        batch.add_message(ServiceBusMessage(str(number)))
    sender.send_messages(batch)
    receiver = bus.receiver(
        "iterated", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE, max_wait_time=0.5
    )
    assert [str(m) for m in receiver] == [str(n) for n in range(50)]


def test_a_missing_queue_is_said_to_be_missing(bus: Bus) -> None:
    with pytest.raises(MessagingEntityNotFoundError):
        bus.receiver("nowhere")
