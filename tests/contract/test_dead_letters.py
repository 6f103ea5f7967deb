"""Dead letters: memory, and the SDK on the local Service Bus over real AMQP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.servicebus.entities import load_entities
from local.servicebus.listener import ServiceBusServer
from shared.azure.dead_letters import AzureDeadLetters
from shared.azure.service_bus import PATIENCE, service_message
from shared.memory import ManualClock, MemoryBus, MemoryDeadLetters
from shared.model.dead_letter import DeadLetter
from shared.model.errors import NotFound
from shared.model.messages import Outgoing
from shared.ports import DeadLetters

ENTITIES = Path(__file__).parents[2] / "infra" / "entities.json"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Morgue(Protocol):
    """The dead letters under test, and a way to fill them."""

    @property
    def letters(self) -> DeadLetters: ...

    async def bury(self, *messages: Outgoing, code: str = "InvalidInput") -> None: ...


class MemoryMorgue:
    def __init__(self) -> None:
        self._bus = MemoryBus(ManualClock(datetime.now(UTC)))
        self.letters = MemoryDeadLetters(self._bus)

    async def bury(self, *messages: Outgoing, code: str = "InvalidInput") -> None:
        await self._bus.send(messages)
        for message in messages:
            locked = self._bus.receive(message.queue)
            assert locked is not None
            await self._bus.dead_letter(message.queue, locked.lock_token, code, "because ü")


@dataclass
class SdkMorgue:
    client: ServiceBusClient
    letters: AzureDeadLetters

    async def bury(self, *messages: Outgoing, code: str = "InvalidInput") -> None:
        queue = messages[0].queue
        async with (
            self.client.get_queue_sender(queue) as sender,
            self.client.get_queue_receiver(queue) as receiver,
        ):
            await sender.send_messages([service_message(message) for message in messages])
            for _ in messages:
                (received,) = await receiver.receive_messages(max_wait_time=5)
                await receiver.dead_letter_message(
                    received, reason=code, error_description="because ü"
                )


def _client(server: ServiceBusServer) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(server.connection_string, **PATIENCE)


@pytest.fixture(params=["memory", pytest.param("azure", marks=pytest.mark.stack)])
async def morgue(request: pytest.FixtureRequest) -> AsyncIterator[Morgue]:
    if request.param == "memory":
        yield MemoryMorgue()
        return
    async with ServiceBusServer(load_entities(ENTITIES)) as server, _client(server) as client:
        yield SdkMorgue(client, AzureDeadLetters(lambda: _client(server)))


def message(message_id: str, **fields: Any) -> Outgoing:
    given = {"queue": "commands", "message_id": message_id, "body": '{"item_id":"disk ü"}'}
    return Outgoing(**{**given, **fields})


async def all_of(morgue: Morgue, queue: str = "commands") -> list[DeadLetter]:
    return [letter async for letter in morgue.letters.peek(queue)]


async def test_a_dead_letter_tells_everything(morgue: Morgue) -> None:
    await morgue.bury(message("bad", traceparent=TRACE))
    (letter,) = await all_of(morgue)
    assert (letter.queue, letter.message_id, letter.body) == (
        "commands",
        "bad",
        '{"item_id":"disk ü"}',
    )
    assert (letter.code, letter.reason) == ("InvalidInput", "because ü")
    assert (letter.traceparent, letter.refused) == (TRACE, True)
    assert letter.id == f"commands:{letter.sequence_number}"
    assert letter.sequence_number > 0
    assert letter.at is not None
    assert abs(letter.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_looking_moves_nothing(morgue: Morgue) -> None:
    await morgue.bury(message("a"), message("b"))
    first = await all_of(morgue)
    assert [letter.message_id for letter in first] == ["a", "b"]
    assert await all_of(morgue) == first
    assert await all_of(morgue, "snapshot") == []


async def test_those_named_are_removed_and_no_others(morgue: Morgue) -> None:
    await morgue.bury(*[message(f"{number}") for number in range(5)])
    every = await all_of(morgue)
    await morgue.letters.remove([every[1], every[3]])
    assert [letter.message_id for letter in await all_of(morgue)] == ["0", "2", "4"]
    await morgue.letters.remove([every[1], every[4]])
    assert [letter.message_id for letter in await all_of(morgue)] == ["0", "2"]
    await morgue.letters.remove([])


async def test_queues_are_kept_apart(morgue: Morgue) -> None:
    await morgue.bury(message("a"))
    await morgue.bury(message("b", queue="snapshot"))
    (commands,), (snapshot,) = await all_of(morgue), await all_of(morgue, "snapshot")
    await morgue.letters.remove([commands, snapshot])
    assert await all_of(morgue) == await all_of(morgue, "snapshot") == []


async def test_more_than_a_page_is_read_to_its_end(morgue: Morgue) -> None:
    await morgue.bury(*[message(f"{number:03}") for number in range(230)])
    letters = await all_of(morgue)
    assert [letter.message_id for letter in letters] == [f"{number:03}" for number in range(230)]
    await morgue.letters.remove([letters[-1]])
    assert len(await all_of(morgue)) == 229


async def test_a_queue_that_does_not_exist_is_named(morgue: Morgue) -> None:
    with pytest.raises(NotFound, match="'unknown'"):
        await all_of(morgue, "unknown")


@pytest.mark.stack
async def test_messages_of_others_are_told_as_far_as_they_go() -> None:
    """Bytes that are no text, no reason, properties of another kind."""
    async with ServiceBusServer(load_entities(ENTITIES)) as server, _client(server) as client:
        odd = ServiceBusMessage(b"\xff\x00", application_properties={"traceparent": 7, "x": b"y"})
        async with (
            client.get_queue_sender("commands") as sender,
            client.get_queue_receiver("commands") as receiver,
        ):
            await sender.send_messages(odd)
            (received,) = await receiver.receive_messages(max_wait_time=5)
            await receiver.dead_letter_message(received)
        morgue = SdkMorgue(client, AzureDeadLetters(lambda: _client(server)))
        (letter,) = await all_of(morgue)
        assert (letter.code, letter.reason, letter.body) == ("", "", "\ufffd\x00")
        await morgue.letters.remove([letter])
        assert await all_of(morgue) == []
