"""Takes the messages off the pipeline's queues and has them served, as a functions host does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver

from shared.model.errors import VaultlineError
from shared.model.messages import COPY, SNAPSHOT, TRANSFER
from shared.model.pace import PARTS_AT_ONCE
from shared.steps.dispatch import Delivery

SLOTS: Mapping[str, int] = {SNAPSHOT: 1, TRANSFER: 1, COPY: PARTS_AT_ONCE}
"""Messages of a queue that are served at the same time. Retention is not served: it comes after
the point, and would take away what a bench wants to look at."""
WAIT_SECONDS = 5.0
LOCKED_SECONDS = 300.0
"""How long a message's lock is renewed, as in `host.json`."""

Serve = Callable[[Delivery], Awaitable[Any]]
"""Serves a message; the result is its step's. Raises what another delivery may not meet again."""


class WorkerLost(Exception):
    """Whoever served the message died over it."""


@dataclass(frozen=True)
class Served:
    """One message's service, by the seconds of `perf_counter`."""

    queue: str
    began: float
    ended: float
    result: Any


@dataclass
class Listener:
    """What has been served so far; `news` is set with each."""

    serve: Serve
    served: list[Served] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def drain(self, queue: str, receiver: ServiceBusReceiver) -> None:
        """Has one message after the other served, for good."""
        async with receiver, AutoLockRenewer(LOCKED_SECONDS) as renewer:
            while True:
                for message in await receiver.receive_messages(1, WAIT_SECONDS):
                    renewer.register(receiver, message)
                    await self._settled(queue, receiver, message)

    async def _settled(
        self, queue: str, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage
    ) -> None:
        """A message that could not be served goes back to its queue, and comes again."""
        began = perf_counter()
        try:
            result = await self.serve(_delivery(queue, message))
        except (VaultlineError, WorkerLost) as error:
            print(f"{queue}: {type(error).__name__}: {error}", flush=True)
            await receiver.abandon_message(message)
        else:
            self.served.append(Served(queue, began, perf_counter(), result))
            self.news.set()
            await receiver.complete_message(message)


@asynccontextmanager
async def listening(
    serve: Serve, service_bus: str, slots: Mapping[str, int] = SLOTS
) -> AsyncIterator[Listener]:
    """Messages are served until the block is left."""
    listener = Listener(serve)
    async with ServiceBusClient.from_connection_string(service_bus) as client:
        tasks = [
            asyncio.create_task(listener.drain(queue, client.get_queue_receiver(queue)))
            for queue, count in slots.items()
            for _ in range(count)
        ]
        try:
            yield listener
        finally:
            await _ended(tasks)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """The SDK swallows a cancellation that meets it between two of its waits: asked again then."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception) and not isinstance(ended, AzureError):
            raise ended


def _delivery(queue: str, message: ServiceBusReceivedMessage) -> Delivery:
    return Delivery(
        queue=queue,
        message_id=str(message.message_id),
        lock_token=str(message.lock_token),
        body=b"".join(message.body),
    )
