"""The queue pump against an in-memory receiver: concurrency, settlement, locks, reconnection."""

import asyncio
import json
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from local.host.bus_message import body_of, trace_headers, trigger_datum, trigger_metadata
from local.host.invocation import FunctionLoop, Invoker
from local.host.loading import IndexedFunction, index_app
from local.host.servicebus import QueuePump, queue_pump
from local.host.settings import AppSettings, ServiceBusOptions, SettingsError

OPTIONS = ServiceBusOptions(max_concurrent_calls=2)


def message(body: Any = b"{}", **values: Any) -> Any:
    """What the SDK's received message shows of itself."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = dict.fromkeys(
        [
            "content_type", "correlation_id", "reply_to", "to", "subject", "session_id",
            "reply_to_session_id", "partition_key",
            "dead_letter_source", "dead_letter_reason", "dead_letter_error_description",
            "application_properties",
        ]
    )  # fmt: skip
    fields |= {
        "body": body if "body_type" in values else [body],
        "body_type": AmqpMessageBodyType.DATA,
        "message_id": "m-1",
        "lock_token": "token",
        "delivery_count": 0,
        "sequence_number": 5,
        "enqueued_time_utc": now,
        "expires_at_utc": None,
        "locked_until_utc": now + timedelta(seconds=60),
    }
    raw = types.SimpleNamespace(annotations={b"x-opt-via-partition-key": b"via"})
    fields |= {"raw_amqp_message": raw, **values}
    assert all(hasattr(ServiceBusReceivedMessage, name) for name in fields)
    return types.SimpleNamespace(**fields)


class FakeReceiver:
    """A queue in memory that notes what is done to its messages."""

    def __init__(self, *messages: Any) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        for item in messages:
            self.queue.put_nowait(item)
        self.done: list[tuple[str, str]] = []
        self.asked: list[int | None] = []

    async def receive_messages(
        self, max_message_count: int | None = None, max_wait_time: float | None = None
    ) -> list[Any]:
        self.asked.append(max_message_count)
        try:
            async with asyncio.timeout(0.05):
                item = await self.queue.get()
        except TimeoutError:
            return []
        if isinstance(item, Exception):
            raise item
        return [item]

    async def complete_message(self, message: Any) -> None:
        self.done.append(("complete", message.message_id))

    async def abandon_message(self, message: Any) -> None:
        self.done.append(("abandon", message.message_id))

    async def renew_message_lock(self, message: Any) -> datetime:
        self.done.append(("renew", message.message_id))
        message.locked_until_utc = datetime.now(UTC) + timedelta(seconds=0.2)
        until: datetime = message.locked_until_utc
        return until


def take_nothing(message: func.ServiceBusMessage) -> None:
    """Takes a message and does nothing."""


def function_of(call: Callable[..., Any], **options: Any) -> IndexedFunction:
    app = func.FunctionApp()
    trigger = {"queue_name": "q", "connection": "Bus", **options}
    app.service_bus_queue_trigger(arg_name="message", **trigger)(call)
    module = types.ModuleType("function_app")
    module.app = app  # type: ignore[attr-defined]
    return index_app(module, Path("app"))[0]


@pytest.fixture
def invoker() -> Any:
    loop = FunctionLoop()
    yield Invoker(loop, lambda binding: pytest.fail(str(binding)))
    loop.close()


async def pump_until(
    condition: Callable[[], bool],
    call: Callable[..., Any],
    invoker: Invoker,
    *receivers: FakeReceiver,
    options: ServiceBusOptions = OPTIONS,
) -> None:
    """Run a pump over one receiver a connection until the condition holds, then stop it."""
    left = list(receivers)

    @asynccontextmanager
    async def open_receiver() -> AsyncIterator[Any]:
        if not left:
            raise ConnectionError("the bus is away")
        yield left.pop(0)

    pump = QueuePump(function_of(call), open_receiver, options, invoker)
    task = asyncio.create_task(pump.run())
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
        pump.stop()
        await task


async def test_success_completes_and_failure_abandons(invoker: Invoker) -> None:
    async def consume(message: func.ServiceBusMessage) -> None:
        if message.message_id == "bad":
            raise ValueError("cannot")

    receiver = FakeReceiver(message(message_id="good"), message(message_id="bad"))
    await pump_until(lambda: len(receiver.done) == 2, consume, invoker, receiver)
    assert sorted(receiver.done) == [("abandon", "bad"), ("complete", "good")]


async def test_without_auto_complete_only_failures_are_settled(invoker: Invoker) -> None:
    def consume(message: func.ServiceBusMessage) -> None:
        if message.message_id == "bad":
            raise ValueError("cannot")

    receiver = FakeReceiver(message(message_id="good"), message(message_id="bad"))
    options = ServiceBusOptions(max_concurrent_calls=1, auto_complete=False)
    await pump_until(lambda: bool(receiver.done), consume, invoker, receiver, options=options)
    assert receiver.done == [("abandon", "bad")]


async def test_no_more_calls_at_once_than_configured(invoker: Invoker) -> None:
    running, most = 0, 0

    async def consume(message: func.ServiceBusMessage) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    receiver = FakeReceiver(*(message(message_id=str(n)) for n in range(8)))
    await pump_until(lambda: len(receiver.done) == 8, consume, invoker, receiver)
    assert most == 2
    assert set(receiver.asked) == {1}


async def test_the_lock_is_renewed_while_the_function_runs(invoker: Invoker) -> None:
    async def consume(message: func.ServiceBusMessage) -> None:
        await asyncio.sleep(0.7)

    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    receiver = FakeReceiver(message(locked_until_utc=soon))
    await pump_until(lambda: ("complete", "m-1") in receiver.done, consume, invoker, receiver)
    assert receiver.done.count(("renew", "m-1")) >= 2
    assert receiver.done[-1] == ("complete", "m-1")


async def test_renewal_ends_at_its_maximum(invoker: Invoker) -> None:
    async def consume(message: func.ServiceBusMessage) -> None:
        await asyncio.sleep(0.9)

    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    receiver = FakeReceiver(message(locked_until_utc=soon))
    options = ServiceBusOptions(
        max_concurrent_calls=1, max_auto_lock_renewal=timedelta(seconds=0.5)
    )
    await pump_until(
        lambda: ("complete", "m-1") in receiver.done, consume, invoker, receiver, options=options
    )
    assert 1 <= receiver.done.count(("renew", "m-1")) <= 2


async def test_a_lost_bus_is_found_again(invoker: Invoker) -> None:
    seen: list[str] = []

    async def consume(message: func.ServiceBusMessage) -> None:
        seen.append(message.message_id)

    first = FakeReceiver(message(message_id="before"), ConnectionError("gone"))
    second = FakeReceiver(message(message_id="after"))
    await pump_until(lambda: len(second.done) == 1, consume, invoker, first, second)
    assert seen == ["before", "after"]


async def test_a_message_that_cannot_be_settled_does_not_stop_the_pump(invoker: Invoker) -> None:
    class Refusing(FakeReceiver):
        async def complete_message(self, message: Any) -> None:
            await super().complete_message(message)
            raise ConnectionError("lock lost")

    async def consume(message: func.ServiceBusMessage) -> None: ...

    receiver = Refusing(message(message_id="a"), message(message_id="b"))
    await pump_until(lambda: len(receiver.done) == 2, consume, invoker, receiver)


async def test_stop_waits_for_what_was_taken(invoker: Invoker) -> None:
    begun = asyncio.Event()
    host_loop = asyncio.get_running_loop()

    async def consume(message: func.ServiceBusMessage) -> None:
        host_loop.call_soon_threadsafe(begun.set)
        await asyncio.sleep(0.2)

    receiver = FakeReceiver(message())
    await pump_until(begun.is_set, consume, invoker, receiver)
    assert receiver.done == [("complete", "m-1")]


async def test_the_function_sees_the_whole_message(invoker: Invoker) -> None:
    seen: list[Any] = []

    async def consume(message: func.ServiceBusMessage, context: func.Context) -> None:
        seen.append((message, context.trace_context.trace_parent))

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    enqueued = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    item = message(
        "ü".encode(),
        delivery_count=2,
        enqueued_time_utc=enqueued,
        subject="label",
        content_type="application/json",
        correlation_id="c",
        application_properties={b"Diagnostic-Id": trace.encode(), b"n": 3, b"at": enqueued},
    )
    receiver = FakeReceiver(item)
    await pump_until(lambda: bool(receiver.done), consume, invoker, receiver)
    ((got, traceparent),) = seen
    assert got.get_body() == "ü".encode()
    assert (got.message_id, got.delivery_count, got.sequence_number) == ("m-1", 3, 5)
    assert (got.subject, got.label, got.correlation_id) == ("label", "label", "c")
    assert got.enqueued_time_utc == enqueued.replace(tzinfo=None)
    assert got.application_properties["n"] == 3
    assert got.user_properties["at"] == enqueued.isoformat()
    assert got.expires_at_utc is None
    assert got.lock_token == "token"
    assert got.transaction_partition_key == "via"
    assert traceparent.split("-")[1] == trace.split("-")[1]


async def test_text_parameters(invoker: Invoker) -> None:
    seen: list[Any] = []

    def consume(message: str) -> None:
        seen.append(message)

    receiver = FakeReceiver(message(b"\xff plain"))
    await pump_until(lambda: bool(receiver.done), consume, invoker, receiver)
    assert seen == ["\N{REPLACEMENT CHARACTER} plain"]


def test_bodies_that_are_not_data_become_text() -> None:
    assert body_of(message(body="text", body_type=AmqpMessageBodyType.VALUE)) == b"text"
    value = message(body={"a": 1}, body_type=AmqpMessageBodyType.VALUE)
    assert json.loads(body_of(value)) == {"a": 1}
    assert trigger_datum(message(b"\xff"), binary=True).value == b"\xff"
    assert "Subject" not in trigger_metadata(message())
    assert trace_headers(message()) == (None, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queue_name": "%NoQueue%"}, "NoQueue"),
        ({"connection": "NoBus"}, "NoBus"),
        ({"connection": "Bad"}, "Bad"),
        ({"is_sessions_enabled": True}, "sessions"),
        ({"cardinality": "many"}, "batches"),
    ],
)
def test_what_cannot_be_pumped_is_told(
    options: dict[str, Any], reason: str, invoker: Invoker
) -> None:
    settings = AppSettings(
        {"Bus": "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=k", "Bad": "x=y"}
    )
    function = function_of(take_nothing, **options)
    with pytest.raises(SettingsError, match=reason):
        queue_pump(function, settings, OPTIONS, invoker)


def test_topics_are_told(invoker: Invoker) -> None:
    app = func.FunctionApp()
    app.service_bus_topic_trigger(
        arg_name="message", topic_name="t", subscription_name="s", connection="Bus"
    )(take_nothing)
    module = types.ModuleType("function_app")
    module.app = app  # type: ignore[attr-defined]
    (function,) = index_app(module, Path("app"))
    with pytest.raises(SettingsError, match="not topics"):
        queue_pump(function, AppSettings({}), OPTIONS, invoker)
