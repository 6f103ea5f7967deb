"""The real asyncio SDK against the local Service Bus, one behaviour after the other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError, ServiceBusError

from local.servicebus.entities import parse_entities
from local.servicebus.listener import ServiceBusServer

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

QUEUES = 20
DECLARATION = {
    "defaults": {"requiresDuplicateDetection": True, "deadLetteringOnMessageExpiration": True},
    "queues": [
        *({"name": f"plain-{number}"} for number in range(QUEUES)),
        {"name": "retried", "lockDuration": "PT1S", "maxDeliveryCount": 2},
        {"name": "renewed", "lockDuration": "PT1S"},
    ],
}


@dataclass
class Bus:
    """A server, a client, and links that all close together at the end.

    The SDK takes up to a second to close a link; so tests share the time, not the queues.
    """

    server: ServiceBusServer
    client: ServiceBusClient
    opened: list[Any] = field(default_factory=list)

    async def open(self, *links: Any) -> tuple[Any, ...]:
        self.opened += links
        await asyncio.gather(*(link.__aenter__() for link in links))
        return links

    async def ends(self, queue: str, **settings: Any) -> tuple[Any, ...]:
        """A sender to and a receiver from a queue."""
        sender = self.client.get_queue_sender(queue)
        return await self.open(sender, self.client.get_queue_receiver(queue, **settings))

    def letters(self, queue: str) -> ServiceBusReceiver:
        return self.client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)


@asynccontextmanager
async def bus_with(declaration: dict[str, Any], **settings: Any) -> AsyncIterator[Bus]:
    connect = ServiceBusClient.from_connection_string
    async with (
        ServiceBusServer(parse_entities(declaration)) as server,
        connect(server.connection_string, **{"retry_total": 0, **settings}) as client,
    ):
        bus = Bus(server, client)
        yield bus
        await asyncio.gather(*(link.close() for link in bus.opened))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus() -> AsyncIterator[Bus]:
    async with bus_with(DECLARATION) as running:
        yield running


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter([f"plain-{number}" for number in range(QUEUES)])


@pytest.fixture
def queue(names: Iterator[str]) -> str:
    """The name of a queue that no other test uses."""
    return next(names)


def text(body: str, **settings: Any) -> ServiceBusMessage:
    return ServiceBusMessage(body, **{"message_id": uuid4().hex, **settings})


async def receive(receiver: ServiceBusReceiver, count: int = 1, seconds: float = 3) -> list[Any]:
    """Exactly ``count`` messages, or as many as came in time."""
    found: list[Any] = []
    while len(found) < count:
        more = await receiver.receive_messages(count - len(found), max_wait_time=seconds)
        if not more:
            break
        found += more
    return found


async def test_a_message_arrives_with_all_it_carried(bus: Bus, queue: str) -> None:
    sent = text(
        "hä" * 10,
        message_id="id-1",
        content_type="application/json",
        correlation_id="corr",
        subject="subject",
        reply_to="reply",
        to="to",
        partition_key="part",
        time_to_live=timedelta(minutes=5),
        application_properties={"traceparent": "00-ab", "n": 2**30, "f": 0.5, "yes": True},
    )
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(sent)
    (got,) = await receive(receiver)
    assert str(got) == "hä" * 10
    assert (got.message_id, got.content_type, got.correlation_id) == (
        "id-1",
        "application/json",
        "corr",
    )
    assert (got.subject, got.reply_to, got.to) == ("subject", "reply", "to")
    assert got.partition_key == "part"
    assert got.time_to_live == timedelta(minutes=5)
    assert got.application_properties == {
        b"traceparent": b"00-ab",
        b"n": 2**30,
        b"f": 0.5,
        b"yes": True,
    }
    assert got.delivery_count == 0
    assert got.sequence_number == 1
    assert abs(got.enqueued_time_utc - datetime.now(UTC)) < timedelta(seconds=10)
    lock_left = got.locked_until_utc - datetime.now(UTC)
    assert timedelta(seconds=50) < lock_left <= timedelta(seconds=60)
    await receiver.complete_message(got)
    assert await receiver.peek_messages() == []


async def test_bodies_of_every_kind_and_size(bus: Bus, queue: str) -> None:
    large = bytes(range(256)) * 980  # four frames
    sender, receiver = await bus.ends(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    for message in (
        ServiceBusMessage(large),
        ServiceBusMessage(b""),
        AmqpAnnotatedMessage(data_body=[b"a", b"b"]),
        AmqpAnnotatedMessage(value_body={"k": [1, None]}),
        AmqpAnnotatedMessage(sequence_body=[[1, "x"]]),
    ):
        await sender.send_messages(message)
    got = [m.raw_amqp_message for m in await receive(receiver, 5)]
    assert b"".join(got[0].body) == large
    assert b"".join(got[1].body) == b""
    assert list(got[2].body) == [b"a", b"b"]
    assert got[3].body == {b"k": [1, None]}
    assert list(got[4].body) == [[1, b"x"]]


async def test_receive_and_delete_leaves_nothing(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    await sender.send_messages([text("a"), text("b")])
    assert [str(m) for m in await receive(receiver, 2)] == ["a", "b"]
    counts = bus.server.counts()[queue]
    assert (counts.active, counts.locked) == (0, 0)


async def test_every_settlement(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue)
    (letters,) = await bus.open(bus.letters(queue))
    await sender.send_messages([text(t) for t in ("abandon", "dead", "defer", "complete")])
    abandoned, dead, deferred, completed = await receive(receiver, 4)
    await receiver.abandon_message(abandoned)
    await receiver.dead_letter_message(dead, reason="bad", error_description="very bad")
    await receiver.defer_message(deferred)
    await receiver.complete_message(completed)
    (again,) = await receive(receiver)
    assert (str(again), again.delivery_count) == ("abandon", 1)
    await receiver.complete_message(again)
    (back,) = await receiver.receive_deferred_messages([deferred.sequence_number])
    assert str(back) == "defer"
    await receiver.complete_message(back)
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages([deferred.sequence_number])
    (peeked,) = await letters.peek_messages(max_message_count=10)
    (letter,) = await receive(letters)
    assert (letter.dead_letter_reason, letter.dead_letter_error_description) == (
        "bad",
        "very bad",
    )
    assert peeked.sequence_number == letter.sequence_number == dead.sequence_number
    await letters.complete_message(letter)
    counts = bus.server.counts()[queue]
    assert (counts.active, counts.deferred, counts.dead_letter) == (0, 0, 0)


async def test_dead_lettering_without_reasons(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue)
    (letters,) = await bus.open(bus.letters(queue))
    await sender.send_messages(text("dead"))
    (dead,) = await receive(receiver)
    await receiver.dead_letter_message(dead)
    (letter,) = await receive(letters)
    assert (letter.dead_letter_reason, letter.dead_letter_error_description) == (None, None)


async def test_a_lock_expires_comes_back_and_ends_dead(bus: Bus) -> None:
    sender, receiver = await bus.ends("retried")
    (letters,) = await bus.open(bus.letters("retried"))
    await sender.send_messages(text("poison"))
    (first,) = await receive(receiver)
    (second,) = await receive(receiver)
    assert second.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(first)
    await receiver.abandon_message(second)
    (letter,) = await receive(letters)
    assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"


async def test_a_renewed_lock_outlives_its_duration(bus: Bus) -> None:
    sender, receiver = await bus.ends("renewed")
    await sender.send_messages(text("long work"))
    (message,) = await receive(receiver)
    for _ in range(4):
        await asyncio.sleep(0.4)
        await receiver.renew_message_lock(message)
    await receiver.complete_message(message)


async def test_a_lost_lock_is_not_renewed(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(text("a"))
    (message,) = await receive(receiver)
    assert bus.server.expire_locks(queue) == 1
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(message)


async def test_an_expired_message_is_dead_lettered(bus: Bus, queue: str) -> None:
    sender, letters = await bus.open(bus.client.get_queue_sender(queue), bus.letters(queue))
    await sender.send_messages(text("a", time_to_live=timedelta(milliseconds=100)))
    (letter,) = await receive(letters)
    assert letter.dead_letter_reason == "TTLExpiredException"


async def test_scheduled_messages_come_in_time_unless_cancelled(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    numbers = await sender.schedule_messages([text("kept"), text("cancelled")], soon)
    await sender.send_messages(text("annotated", scheduled_enqueue_time_utc=soon))
    assert bus.server.counts()[queue].scheduled == 3
    await sender.cancel_scheduled_messages(numbers[1])
    with pytest.raises(ServiceBusError):
        await sender.cancel_scheduled_messages(numbers[1])
    states = [m.state.name for m in await receiver.peek_messages(max_message_count=5)]
    assert states == ["SCHEDULED", "SCHEDULED"]
    got = await receive(receiver, 2)
    assert sorted(str(m) for m in got) == ["annotated", "kept"]
    assert datetime.now(UTC) >= soon - timedelta(milliseconds=5)
    assert all(m.enqueued_time_utc >= soon - timedelta(milliseconds=5) for m in got)


async def test_duplicates_are_accepted_and_forgotten(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue)
    for _ in range(3):
        await sender.send_messages(text("a", message_id="same"))
    batch = await sender.create_message_batch()
    batch.add_message(text("a", message_id="same"))
    batch.add_message(text("b"))
    await sender.send_messages(batch)
    assert [str(m) for m in await receiver.peek_messages(max_message_count=9)] == ["a", "b"]


async def test_a_full_batch_arrives_whole_and_in_order(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue, prefetch_count=500)
    batch = await sender.create_message_batch()
    assert batch.max_size_in_bytes == 256 * 1024
    sent = 0
    while sent < 2000:
        try:
            batch.add_message(text(f"{sent:08d}" + "x" * 200))
        except ValueError:
            break
        sent += 1
    await sender.send_messages(batch)
    got = await receive(receiver, sent)
    assert [int(str(m)[:8]) for m in got] == list(range(sent))
    assert len({m.lock_token for m in got}) == sent


async def test_a_closing_receiver_gives_prefetched_messages_back(bus: Bus, queue: str) -> None:
    sender, receiver = await bus.ends(queue, prefetch_count=20)
    await sender.send_messages([text(str(i)) for i in range(20)])
    (first,) = await receive(receiver)
    await receiver.complete_message(first)
    await receiver.close()
    assert bus.server.counts()[queue].active == 19
    (again,) = await bus.open(bus.client.get_queue_receiver(queue))
    (second,) = await receive(again)
    assert (str(second), second.delivery_count) == ("1", 0)


async def test_two_receivers_share_the_work(bus: Bus, queue: str) -> None:
    sender, one = await bus.ends(queue, prefetch_count=5)
    (two,) = await bus.open(bus.client.get_queue_receiver(queue, prefetch_count=5))
    await sender.send_messages([text(str(i)) for i in range(10)])
    halves = await asyncio.gather(receive(one, 5), receive(two, 5))
    assert [len(half) for half in halves] == [5, 5]
    assert {str(m) for half in halves for m in half} == {str(i) for i in range(10)}
