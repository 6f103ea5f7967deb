"""Flow control and durability, seen by a client that speaks frames."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

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

SENDING, RECEIVING = 0, 1


class FrameClient:
    """A connection with one session, written and read frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader(1 << 20)
        self._seen: list[Any] = []

    def write(self, body: p.Composite, payload: bytes = b"") -> None:
        self._writer.write(encode_frame(1, body, payload))

    def begin(self, window: int, **settings: Any) -> None:
        self._writer.write(
            SASL_HEADER
            + encode_frame(0, p.SaslInit("ANONYMOUS"), kind=SASL_FRAME)
            + AMQP_HEADER
            + encode_frame(0, p.Open("client", **settings))
        )
        self.write(p.Begin(None, 0, window, 100))

    def attach(self) -> None:
        """A sender to and a receiver from ``q``."""
        source, target = Described(ULong(0x28), ["q"]), Described(ULong(0x29), ["q"])
        self.write(p.Attach("s", SENDING, p.SENDER, source=source, target=target))
        self.write(p.Attach("r", RECEIVING, p.RECEIVER, source=source, target=target))

    def credit(self, credit: int, seen: int, window: int, *, drain: bool = False) -> None:
        self.write(p.Flow(seen, window, 0, 100, RECEIVING, 0, credit, drain=drain))

    async def read(self, kind: type, count: int, seconds: float = 5.0) -> list[Any]:
        """The next ``count`` bodies of one kind; fewer when no more come in time."""
        found: list[Any] = []
        try:
            async with asyncio.timeout(seconds):
                while len(found) < count:
                    while self._seen and len(found) < count:
                        unit = self._seen.pop(0)
                        wanted = isinstance(unit, Frame) and isinstance(unit.body, kind)
                        found += [unit] if wanted else []
                    if len(found) < count:
                        chunk = await self._reader.read(65536)
                        if not chunk:
                            return found
                        self._seen += self._frames.feed(chunk)
        except TimeoutError:
            pass
        return found


def message(size: int) -> bytes:
    return b"\x00\x53\x75" + encode(bytes(size))


@pytest.fixture
async def server() -> AsyncIterator[ServiceBusServer]:
    async with ServiceBusServer(parse_entities({"queues": [{"name": "q"}]})) as running:
        yield running


@asynccontextmanager
async def connected(server: ServiceBusServer, **settings: Any) -> AsyncIterator[FrameClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        client = FrameClient(reader, writer)
        client.begin(**settings)
        client.attach()
        yield client
    finally:
        writer.close()


async def test_a_closed_session_window_holds_frames_back(server: ServiceBusServer) -> None:
    async with connected(server, window=3, max_frame_size=512) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0), message(1000))  # three frames of 384
        client.write(p.Transfer(SENDING, 1, b"t", 0), message(1000))
        client.credit(10, seen=0, window=3)
        assert len(await client.read(p.Transfer, 9, seconds=0.3)) == 3
        client.credit(10, seen=3, window=2)
        assert len(await client.read(p.Transfer, 9, seconds=0.3)) == 2
        client.credit(10, seen=5, window=2)
        (last,) = await client.read(p.Transfer, 9, seconds=0.3)
        assert last.body.more is False


async def test_no_more_than_the_credit_is_delivered(server: ServiceBusServer) -> None:
    async with connected(server, window=100) as client:
        for number in range(5):
            client.write(p.Transfer(SENDING, number, b"t", 0), message(10))
        client.credit(2, seen=0, window=100)
        assert len(await client.read(p.Transfer, 9, seconds=0.3)) == 2
        client.credit(5, seen=2, window=98)
        assert len(await client.read(p.Transfer, 9, seconds=0.3)) == 3


async def test_a_drain_gives_the_rest_of_the_credit_back(server: ServiceBusServer) -> None:
    async with connected(server, window=100) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0), message(10))
        await client.read(p.Disposition, 1)
        client.credit(7, seen=0, window=100, drain=True)
        assert len(await client.read(p.Transfer, 1)) == 1
        (flow,) = await client.read(p.Flow, 1)
        assert (flow.body.delivery_count, flow.body.link_credit, flow.body.drain) == (7, 0, True)


async def test_a_settled_send_is_not_answered(server: ServiceBusServer) -> None:
    async with connected(server, window=100) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0, settled=True), message(10))
        client.write(p.Transfer(SENDING, 1, b"t", 0), message(10))
        (answer,) = await client.read(p.Disposition, 2, seconds=0.3)
        assert answer.body.first == 1
    assert server.counts()["q"].active == 2


async def test_an_aborted_delivery_leaves_no_trace(server: ServiceBusServer) -> None:
    async with connected(server, window=100) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0, more=True), message(10))
        client.write(p.Transfer(SENDING, aborted=True))
        client.write(p.Transfer(SENDING, 1, b"t", 0), message(10))
        (answer,) = await client.read(p.Disposition, 2, seconds=0.3)
        assert answer.body.first == 1
    assert server.counts()["q"].active == 1


async def test_nothing_is_answered_that_the_journal_did_not_take(
    server: ServiceBusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise sqlite3.OperationalError("disk full")

    async with connected(server, window=100) as client:
        await client.read(p.Attach, 2)
        monkeypatch.setattr(server._journal, "commit", refuse)
        client.write(p.Transfer(SENDING, 0, b"t", 0), message(10))
        assert await client.read(p.Disposition, 1) == []
        with pytest.raises(sqlite3.OperationalError, match="disk full"):
            await asyncio.wait_for(server.failed, 5)
    monkeypatch.undo()


async def test_silence_is_broken_before_the_clients_idle_time_out(
    server: ServiceBusServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        client = FrameClient(reader, writer)
        client.begin(window=100, idle_time_out=400)
        assert len(await client.read(type(None), 4, seconds=2)) == 4
    finally:
        writer.close()


async def test_outcomes_that_change_the_message_are_refused(server: ServiceBusServer) -> None:
    async with connected(server, window=100) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0), message(10))
        client.credit(1, seen=0, window=100)
        (delivery,) = await client.read(p.Transfer, 1)
        changed = p.Modified(True, False, {"x-opt-k": "v"})
        client.write(p.Disposition(p.RECEIVER, delivery.body.delivery_id, state=changed))
        (answer,) = await client.read(p.Disposition, 1)
        refused = p.AmqpError("amqp:not-implemented", "Unsupported delivery state.")
        assert answer.body.state == p.Rejected(refused)
    assert server.counts()["q"].locked == 1


async def test_frames_held_for_a_detached_link_are_not_sent(server: ServiceBusServer) -> None:
    async with connected(server, window=2, max_frame_size=512) as client:
        client.write(p.Transfer(SENDING, 0, b"t", 0), message(1000))
        client.credit(1, seen=0, window=2)
        assert len(await client.read(p.Transfer, 9, seconds=0.3)) == 2
        assert server.detach_links("q") == 2
        client.write(p.Flow(2, 50, 1, 100))
        assert len(await client.read(p.Detach, 2)) == 2
        assert await client.read(p.Transfer, 1, seconds=0.3) == []
