"""The queues: memory, and the SDK on the local Service Bus over real AMQP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from local.servicebus.entities import load_entities
from local.servicebus.listener import ServiceBusServer
from shared.azure.service_bus import PATIENCE, AzureBus
from shared.memory import Locked, ManualClock, MemoryBus
from shared.model.errors import Conflict, Invalid, NotFound, Transient
from shared.model.messages import Outgoing
from shared.ports import Bus

ENTITIES = Path(__file__).parents[2] / "infra" / "entities.json"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Received:
    """A message as a consumer sees it."""

    message_id: str
    body: str
    traceparent: str
    lock_token: str


class Queues(Protocol):
    """The bus under test, and a consumer beside it."""

    @property
    def bus(self) -> Bus: ...

    def now(self) -> datetime: ...
    async def receive(self, queue: str) -> Received | None: ...
    async def dead_letters(self, queue: str) -> list[tuple[str, str, str]]: ...
    async def complete(self, queue: str, received: Received) -> None: ...
    async def wait(self, seconds: float) -> None: ...


class MemoryQueues:
    def __init__(self) -> None:
        self._clock = ManualClock()
        self.bus = MemoryBus(self._clock)
        self._locked: dict[str, Locked] = {}

    def now(self) -> datetime:
        return self._clock.now()

    async def receive(self, queue: str) -> Received | None:
        locked = self.bus.receive(queue)
        if locked is None:
            return None
        self._locked[locked.lock_token] = locked
        message = locked.message
        return Received(message.message_id, message.body, message.traceparent, locked.lock_token)

    async def dead_letters(self, queue: str) -> list[tuple[str, str, str]]:
        return [
            (dead.message.message_id, dead.code, dead.reason)
            for dead in self.bus.dead_letters
            if dead.queue == queue
        ]

    async def complete(self, queue: str, received: Received) -> None:
        self.bus.complete(self._locked[received.lock_token])

    async def wait(self, seconds: float) -> None:
        self._clock.advance(seconds)


@dataclass
class SdkQueues:
    client: ServiceBusClient
    bus: AzureBus
    stack: AsyncExitStack
    receivers: dict[str, ServiceBusReceiver] = field(default_factory=dict)
    held: dict[str, ServiceBusReceivedMessage] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def receive(self, queue: str) -> Received | None:
        receiver = await self._receiver(queue)
        messages = await receiver.receive_messages(max_message_count=1, max_wait_time=0.3)
        if not messages:
            return None
        (message,) = messages
        self.held[str(message.lock_token)] = message
        assert message.content_type == "application/json"
        properties: dict[Any, Any] = dict(message.application_properties or {})
        return Received(
            str(message.message_id),
            str(message),
            properties.get(b"traceparent", b"").decode(),
            str(message.lock_token),
        )

    async def dead_letters(self, queue: str) -> list[tuple[str, str, str]]:
        receiver = self.client.get_queue_receiver(queue, sub_queue="deadletter")
        async with receiver:
            dead = await receiver.peek_messages(max_message_count=10)
        return [
            (
                str(message.message_id),
                str(message.dead_letter_reason),
                str(message.dead_letter_error_description),
            )
            for message in dead
        ]

    async def complete(self, queue: str, received: Received) -> None:
        await (await self._receiver(queue)).complete_message(self.held[received.lock_token])

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _receiver(self, queue: str) -> ServiceBusReceiver:
        if queue not in self.receivers:
            receiver = self.client.get_queue_receiver(queue)
            self.receivers[queue] = await self.stack.enter_async_context(receiver)
        return self.receivers[queue]


def _client(server: ServiceBusServer) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(server.connection_string, **PATIENCE)


@pytest.fixture(params=["memory", pytest.param("azure", marks=pytest.mark.stack)])
async def queues(request: pytest.FixtureRequest) -> AsyncIterator[Queues]:
    if request.param == "memory":
        yield MemoryQueues()
        return
    async with AsyncExitStack() as stack:
        entities = load_entities(ENTITIES)
        server = await stack.enter_async_context(ServiceBusServer(entities))
        client = await stack.enter_async_context(_client(server))
        bus = AzureBus(lambda: _client(server))
        stack.push_async_callback(bus.aclose)
        yield SdkQueues(client, bus, await stack.enter_async_context(AsyncExitStack()))


def message(message_id: str, queue: str = "snapshot", **fields: Any) -> Outgoing:
    return Outgoing(queue=queue, message_id=message_id, **{"body": "{}", **fields})


async def drain(queues: Queues, queue: str = "snapshot") -> list[str]:
    """The ids of what can be received now, in order; each completed."""
    ids = []
    while received := await queues.receive(queue):
        ids.append(received.message_id)
        await queues.complete(queue, received)
    return ids


async def test_a_message_arrives_as_it_was_sent(queues: Queues) -> None:
    body = '{"item_id":"disk","text":"ü€"}'
    await queues.bus.send([message("item.backup-1:1", body=body, traceparent=TRACE)])
    received = await queues.receive("snapshot")
    assert received is not None
    assert (received.message_id, received.body) == ("item.backup-1:1", body)
    assert received.traceparent == TRACE
    assert await queues.receive("snapshot") is None


async def test_each_message_goes_to_its_queue_in_order(queues: Queues) -> None:
    sent = [
        message(f"{number}", queue) for number, queue in enumerate(["snapshot", "retention"] * 3)
    ]
    await queues.bus.send(sent)
    await queues.bus.send([])
    assert await drain(queues, "snapshot") == ["0", "2", "4"]
    assert await drain(queues, "retention") == ["1", "3", "5"]


async def test_a_repeat_is_dropped_even_after_the_first_is_done(queues: Queues) -> None:
    await queues.bus.send([message("a"), message("a")])
    assert await drain(queues) == ["a"]
    await queues.bus.send([message("a"), message("b")])
    await queues.bus.send([message("a", "retention")])
    assert await drain(queues) == ["b"]
    assert await drain(queues, "retention") == ["a"]


async def test_a_message_for_later_comes_later(queues: Queues) -> None:
    assert await drain(queues) == []  # the links are open from here on
    later = queues.now() + timedelta(seconds=2)
    await queues.bus.send([message("later", not_before=later), message("now")])
    assert await drain(queues) == ["now"]
    await queues.wait(2)
    assert await drain(queues) == ["later"]


async def test_more_than_one_batch_holds_arrives_whole(queues: Queues) -> None:
    body = '"' + "x" * 60_000 + '"'
    await queues.bus.send([message(f"{number:02}", body=body) for number in range(12)])
    assert await drain(queues) == [f"{number:02}" for number in range(12)]


async def test_a_message_that_is_too_large_is_refused(queues: Queues) -> None:
    with pytest.raises(Invalid):
        await queues.bus.send([message("large", body="x" * 300_000)])
    await queues.bus.send([message("small")])
    assert await drain(queues) == ["small"]


async def test_a_queue_that_does_not_exist_is_named(queues: Queues) -> None:
    with pytest.raises(NotFound, match="'unknown'"):
        await queues.bus.send([message("a", "unknown")])


async def test_a_locked_message_is_dead_lettered_with_its_reason(queues: Queues) -> None:
    """Invariant 12; the lock is another receiver's, as it is under the functions host."""
    await queues.bus.send([message("bad"), message("good")])
    bad = await queues.receive("snapshot")
    assert bad is not None
    await queues.bus.dead_letter("snapshot", bad.lock_token, "InvalidMessage", "body: not JSON ü")
    assert await queues.dead_letters("snapshot") == [("bad", "InvalidMessage", "body: not JSON ü")]
    assert await drain(queues) == ["good"]


async def test_a_lock_that_is_over_dead_letters_nothing(queues: Queues) -> None:
    await queues.bus.send([message("a")])
    received = await queues.receive("snapshot")
    assert received is not None
    await queues.complete("snapshot", received)
    with pytest.raises(Conflict):
        await queues.bus.dead_letter("snapshot", received.lock_token, "Late", "too late")
    assert await queues.dead_letters("snapshot") == []


async def test_what_is_no_lock_dead_letters_nothing(queues: Queues) -> None:
    with pytest.raises((Conflict, Invalid)):
        await queues.bus.dead_letter("snapshot", "no lock token", "Odd", "odd")


async def test_many_senders_at_once_lose_nothing(queues: Queues) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(queues.bus.send([message(f"{number:02}")]))
    assert sorted(await drain(queues)) == [f"{number:02}" for number in range(20)]


@pytest.mark.fault(27, 58)
@pytest.mark.stack
async def test_a_bus_that_went_away_is_used_again_when_it_is_back() -> None:
    """Faults 27, 58."""
    server = ServiceBusServer(load_entities(ENTITIES))
    await server.start()
    connection = server.connection_string
    impatient = {**PATIENCE, "retry_total": 0}
    bus = AzureBus(lambda: ServiceBusClient.from_connection_string(connection, **impatient))
    try:
        await bus.send([message("a")])
        await server.stop()
        with pytest.raises(Transient):
            await bus.send([message("b")])
        again = ServiceBusServer(load_entities(ENTITIES), port=server.port)
        async with again, _client(again) as client:
            await bus.send([message("c")])
            async with client.get_queue_receiver("snapshot") as receiver:
                received = await receiver.receive_messages(max_wait_time=5)
            assert [each.message_id for each in received] == ["c"]
    finally:
        await bus.aclose()
