"""What the local Service Bus refuses, and how: never silently, never by falling over."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local.servicebus import performatives as p
from local.servicebus.codec import encode
from local.servicebus.entities import parse_entities
from local.servicebus.frames import (
    AMQP_HEADER,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    encode_frame,
)
from local.servicebus.listener import ServiceBusServer
from local.servicebus.values import Described, ULong

pytestmark = pytest.mark.stack


@pytest.fixture
async def server() -> AsyncIterator[ServiceBusServer]:
    async with ServiceBusServer(parse_entities({"queues": [{"name": "plain"}]})) as running:
        yield running


@pytest.fixture
async def client(server: ServiceBusServer) -> AsyncIterator[ServiceBusClient]:
    async with ServiceBusClient.from_connection_string(
        server.connection_string, retry_total=0
    ) as connected:
        yield connected


async def refusal(link: Any) -> tuple[type[ServiceBusError], str]:
    """What opening the link fails with."""
    with pytest.raises(ServiceBusError) as caught:
        async with link:
            pass
    return type(caught.value), str(caught.value)


async def test_links_to_what_is_not_there_or_out_of_scope(client: ServiceBusClient) -> None:
    refusals = await asyncio.gather(
        refusal(client.get_queue_receiver("nowhere")),
        refusal(client.get_queue_sender("nowhere")),
        refusal(client.get_queue_receiver("plain", session_id="s")),
        refusal(client.get_subscription_receiver("topic", "subscription")),
        refusal(client.get_queue_sender("plain/$DeadLetterQueue")),
    )
    expected = (
        (MessagingEntityNotFoundError, "'nowhere' could not be found"),
        (MessagingEntityNotFoundError, "'nowhere' could not be found"),
        (ServiceBusError, "none of the local queues has them"),
        (ServiceBusError, "subscriptions are not supported"),
        (ServiceBusError, "cannot be sent to a dead-letter queue"),
    )
    for (kind, text), (expected_kind, part) in zip(refusals, expected, strict=True):
        assert kind is expected_kind
        assert part in text


async def test_a_message_above_256_kib_is_refused_and_the_next_one_taken(
    server: ServiceBusServer, client: ServiceBusClient
) -> None:
    async with client.get_queue_sender("plain") as sender:
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * 262_145))
        with pytest.raises(ServiceBusError, match="message-size-exceeded"):
            await sender.schedule_messages([ServiceBusMessage(b"x" * 262_145)], datetime.now(UTC))
        await sender.send_messages(ServiceBusMessage(b"x" * 262_000))
    assert server.counts()["plain"].active == 1


async def test_deferred_messages_that_are_not_there(client: ServiceBusClient) -> None:
    async with client.get_queue_receiver(
        "plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER
    ) as receiver:
        with pytest.raises(ServiceBusError, match="message-not-found"):
            await receiver.receive_deferred_messages([1])


# --- peers that do not speak AMQP as the SDK does -------------------------------------------------


async def answer_to(server: ServiceBusServer, octets: bytes, *, hang_up: bool = False) -> bytes:
    """All that the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(octets)
        if hang_up:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


GREETING = (
    SASL_HEADER
    + encode_frame(0, p.SaslInit("ANONYMOUS"), kind=SASL_FRAME)
    + AMQP_HEADER
    + encode_frame(0, p.Open("client"))
)
BEGUN = GREETING + encode_frame(1, p.Begin(None, 0, 100, 100))


def last_frame(stream: bytes) -> object:
    units = list(FrameReader(65536).feed(stream))
    assert isinstance(units[-1], Frame)
    return units[-1].body


@pytest.mark.parametrize(
    ("octets", "condition"),
    [
        (GREETING + b"\xff" * 64, "amqp:connection:framing-error"),
        (GREETING + b"\x00\x00\x00\x0c\x02\x00\x00\x00oops", "amqp:decode-error"),
        (GREETING + encode_frame(9, p.Flow()), "amqp:connection:framing-error"),
        (GREETING + GREETING[-40:], "amqp:connection:framing-error"),
        (BEGUN + encode_frame(1, p.Begin()), "amqp:connection:framing-error"),
    ],
)
async def test_nonsense_closes_the_connection_with_a_reason(
    server: ServiceBusServer, octets: bytes, condition: str
) -> None:
    close = last_frame(await answer_to(server, octets))
    assert isinstance(close, p.Close)
    assert close.error is not None
    assert close.error.condition == condition


async def test_other_protocols_are_told_ours(server: ServiceBusServer) -> None:
    assert await answer_to(server, b"AMQP\x00\x00\x09\x01") == SASL_HEADER
    assert await answer_to(server, b"GET / HTTP/1.1\r\n\r\n") == b""


async def test_garbage_and_broken_connections_hurt_nobody_else(
    server: ServiceBusServer, client: ServiceBusClient
) -> None:
    async with client.get_queue_sender("plain") as sender:
        for size in (1, 7, 8, 100, 5000):
            await answer_to(server, os.urandom(size), hang_up=True)
            await answer_to(server, GREETING + os.urandom(size), hang_up=True)
        for cut in range(0, len(BEGUN), 7):
            await answer_to(server, BEGUN[:cut], hang_up=True)
        await sender.send_messages(ServiceBusMessage("still here"))
    assert server.counts()["plain"].active == 1


async def test_a_frame_on_an_unknown_handle_ends_the_session(server: ServiceBusServer) -> None:
    stray = encode_frame(1, p.Transfer(5, 0, b"t", 0), b"payload")
    end = last_frame(await answer_to(server, BEGUN + stray, hang_up=True))
    assert isinstance(end, p.End)
    assert end.error is not None
    assert end.error.condition == "amqp:session:unattached-handle"


async def test_transactions_are_refused(server: ServiceBusServer) -> None:
    coordinator = Described(ULong(0x30), [])
    attach = p.Attach("tx", 0, p.SENDER, source=Described(ULong(0x28), []), target=coordinator)
    detach = last_frame(await answer_to(server, BEGUN + encode_frame(1, attach), hang_up=True))
    assert isinstance(detach, p.Detach)
    assert detach.error is not None
    assert detach.error.condition == "amqp:not-implemented"


async def test_a_message_that_is_none_is_rejected(server: ServiceBusServer) -> None:
    target = Described(ULong(0x29), ["plain"])
    attach = p.Attach("s", 0, p.SENDER, source=Described(ULong(0x28), ["x"]), target=target)
    transfer = encode_frame(1, p.Transfer(0, 0, b"t", 0), encode("no section"))
    answer = last_frame(
        await answer_to(server, BEGUN + encode_frame(1, attach) + transfer, hang_up=True)
    )
    assert isinstance(answer, p.Disposition)
    assert isinstance(answer.state, p.Rejected)
    assert answer.state.error is not None
    assert answer.state.error.condition == "amqp:decode-error"
    assert server.counts()["plain"].active == 0
