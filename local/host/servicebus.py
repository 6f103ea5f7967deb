"""Service Bus queue triggers: receive, keep the lock, call the function, settle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from local.host.bus_message import trace_headers, trigger_datum, trigger_metadata
from local.host.invocation import Call, InvocationError, Invoker
from local.host.loading import IndexedFunction
from local.host.log import log
from local.host.settings import AppSettings, ServiceBusOptions, SettingsError
from local.host.tracing import span_under

# The SDK reads in slices of 0.2 s, during which nothing can be settled.
_IDLE_RECEIVE_SECONDS = 1.0
_BUSY_RECEIVE_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_SHORTEST_RENEWAL_SECONDS = 0.2


class Receiver(Protocol):
    """What the pump uses of the SDK's receiver."""

    async def receive_messages(
        self, max_message_count: int | None = ..., max_wait_time: float | None = ...
    ) -> Sequence[ServiceBusReceivedMessage]: ...

    async def complete_message(self, message: ServiceBusReceivedMessage) -> None: ...

    async def abandon_message(self, message: ServiceBusReceivedMessage) -> None: ...

    async def renew_message_lock(self, message: ServiceBusReceivedMessage) -> datetime: ...


OpenReceiver = Callable[[], AbstractAsyncContextManager[Receiver]]


class OneAtATime:
    """A receiver whose operations take turns, first come, first served.

    The SDK's receiver may be shared by tasks, but each of them reads the one socket for 0.2 s
    while the others cannot write: taking turns is over ten times as fast.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._turn = asyncio.Lock()

    async def receive_messages(
        self, max_message_count: int | None = None, max_wait_time: float | None = None
    ) -> Sequence[ServiceBusReceivedMessage]:
        async with self._turn:
            return await self._receiver.receive_messages(max_message_count, max_wait_time)

    async def complete_message(self, message: ServiceBusReceivedMessage) -> None:
        async with self._turn:
            await self._receiver.complete_message(message)

    async def abandon_message(self, message: ServiceBusReceivedMessage) -> None:
        async with self._turn:
            await self._receiver.abandon_message(message)

    async def renew_message_lock(self, message: ServiceBusReceivedMessage) -> datetime:
        async with self._turn:
            return await self._receiver.renew_message_lock(message)


class QueuePump:
    """Feeds one function from one queue, at most ``max_concurrent_calls`` messages at a time."""

    def __init__(
        self,
        function: IndexedFunction,
        open_receiver: OpenReceiver,
        options: ServiceBusOptions,
        invoker: Invoker,
    ) -> None:
        self._function = function
        self._open = open_receiver
        self._options = options
        self._invoker = invoker
        self._free = asyncio.Semaphore(options.max_concurrent_calls)
        self._handling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Pump until `stop`; when the bus is away, try again with growing pauses."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                async with self._open() as receiver:
                    self.connected.set()
                    pause = _FIRST_PAUSE_SECONDS
                    while not self._stopping.is_set():
                        await self._receive_one(receiver)
                    await self._drain()
            except Exception as error:
                log.warning(
                    "'%s' lost its queue, next try in %.1f s: %s: %s",
                    self._function.name,
                    pause,
                    type(error).__name__,
                    error,
                )
                await _happens_within(self._stopping, pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        await self._drain()

    def stop(self) -> None:
        """Take no more messages; `run` returns once those taken are settled."""
        self._stopping.set()

    async def _receive_one(self, receiver: Receiver) -> None:
        """Begin the next message once a slot is free.

        One at a time: the SDK would hold back a larger batch, waiting for more to come, and
        would lock messages that no slot is free for.
        """
        await self._free.acquire()
        messages: Sequence[ServiceBusReceivedMessage] = ()
        try:
            if not self._stopping.is_set():
                wait = _BUSY_RECEIVE_SECONDS if self._handling else _IDLE_RECEIVE_SECONDS
                messages = await receiver.receive_messages(max_message_count=1, max_wait_time=wait)
        finally:
            if not messages:
                self._free.release()
        for message in messages:
            self._begin(receiver, message)

    def _begin(self, receiver: Receiver, message: ServiceBusReceivedMessage) -> None:
        task = asyncio.create_task(self._handle(receiver, message))
        self._handling.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._handling.discard(task)
        self._free.release()

    async def _handle(self, receiver: Receiver, message: ServiceBusReceivedMessage) -> None:
        returned = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_lock(receiver, message, returned))
            succeeded = await self._invoke(message)
            returned.set()
        try:
            if not succeeded:
                await receiver.abandon_message(message)
            elif self._options.auto_complete:
                await receiver.complete_message(message)
        except Exception as error:
            # The lock runs out and the message comes again: consumers must be repeatable.
            log.warning(
                "'%s' could not settle message %s: %s: %s",
                self._function.name,
                message.message_id,
                type(error).__name__,
                error,
            )

    async def _invoke(self, message: ServiceBusReceivedMessage) -> bool:
        """Whether the function succeeded; a message that cannot be decoded counts as failed."""
        try:
            call = Call(
                trigger=trigger_datum(message, binary=self._function.trigger.is_binary),
                metadata=trigger_metadata(message),
                span=span_under(*trace_headers(message)),
            )
            await self._invoker.invoke(self._function, call)
        except InvocationError:
            return False
        except Exception:
            log.exception("'%s' could not decode a message", self._function.name)
            return False
        return True

    async def _keep_lock(
        self, receiver: Receiver, message: ServiceBusReceivedMessage, returned: asyncio.Event
    ) -> None:
        """Renew the lock half-way to its end, until ``returned`` or the configured maximum.

        A renewal under way is never cancelled: the SDK would be left with half a conversation.
        """
        until = datetime.now(UTC) + self._options.max_auto_lock_renewal
        while (locked_until := message.locked_until_utc) is not None:
            half = (locked_until - datetime.now(UTC)) / 2
            pause = max(half, timedelta(seconds=_SHORTEST_RENEWAL_SECONDS))
            if datetime.now(UTC) + pause >= until:
                return
            if await _happens_within(returned, pause.total_seconds()):
                return
            try:
                await receiver.renew_message_lock(message)
            except Exception as error:
                log.warning(
                    "'%s' could not renew the lock of %s: %s",
                    self._function.name,
                    message.message_id,
                    error,
                )
                return

    async def _drain(self) -> None:
        while self._handling:
            await asyncio.gather(*self._handling, return_exceptions=True)


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for ``event``, so long at most; whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def queue_pump(
    function: IndexedFunction,
    settings: AppSettings,
    options: ServiceBusOptions,
    invoker: Invoker,
) -> QueuePump:
    """The pump of a queue-triggered function. Raises SettingsError."""
    trigger = function.trigger.options
    if "queueName" not in trigger:
        raise SettingsError("the local host supports Service Bus queues, not topics")
    if trigger.get("isSessionsEnabled"):
        raise SettingsError("the local host does not support Service Bus sessions")
    if str(trigger.get("cardinality", "one")).casefold() == "many":
        raise SettingsError("the local host does not support batches (cardinality 'many')")
    auto_complete = bool(trigger.get("autoCompleteMessages", options.auto_complete))
    queue = settings.expand(str(trigger["queueName"]))
    connection = settings.connection(settings.expand(str(trigger["connection"])))
    try:
        ServiceBusClient.from_connection_string(connection)
    except ValueError as error:
        raise SettingsError(f"connection '{trigger['connection']}': {error}") from None

    @asynccontextmanager
    async def open_receiver() -> AsyncIterator[Receiver]:
        # The pump has its own back-off, so the SDK need not retry long.
        client = ServiceBusClient.from_connection_string(connection, retry_total=1)
        async with (
            client,
            client.get_queue_receiver(queue, prefetch_count=options.prefetch_count) as receiver,
        ):
            yield OneAtATime(receiver)

    own_options = replace(options, auto_complete=auto_complete)
    return QueuePump(function, open_receiver, own_options, invoker)
