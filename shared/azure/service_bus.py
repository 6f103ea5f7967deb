"""The queues on Service Bus.

One client, one sender a queue. A sender is used by one task at a time, and thrown away after any
error: a link whose state is unknown is not worth keeping.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from typing import Any
from uuid import UUID

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)

from shared.azure.errors import ACCESS, reason
from shared.model.errors import Conflict, Invalid, NotFound, Transient, VaultlineError
from shared.model.messages import Outgoing

TRY_SECONDS = 8.0
CALL_SECONDS = 30.0
PATIENCE: dict[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.5,
    "retry_backoff_max": 4,
    "try_timeout": TRY_SECONDS,
}
"""How the client is made patient: three tries within about `CALL_SECONDS`."""
REASON_CHARACTERS = 4096
"""Most that the service keeps of a dead letter's reason or description."""


class AzureBus:
    """`connect` makes the client on first use, on the running loop."""

    def __init__(self, connect: Callable[[], ServiceBusClient]) -> None:
        self._connect = connect
        self._client: ServiceBusClient | None = None
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        by_queue: defaultdict[str, list[ServiceBusMessage]] = defaultdict(list)
        for message in messages:
            by_queue[message.queue].append(service_message(message))
        for queue, its in by_queue.items():
            async with self._sender(queue) as sender:
                await _send_all(sender, its)

    async def dead_letter(self, queue: str, lock_token: str, code: str, reason: str) -> None:
        """The functions host holds the lock, so the message is not ours to settle by its link.
        The service takes a disposition by lock token on the queue's management link from
        anybody; the SDK does so for deferred messages."""
        token = _token(lock_token)
        receiver = self._open().get_queue_receiver(queue)
        async with service_call(queue), receiver:
            await _suspend(receiver, token, code, reason)

    async def aclose(self) -> None:
        """Closes the client; the bus may be used again, with a new one."""
        client, self._client = self._client, None
        self._senders.clear()
        if client is not None:
            with suppress(AzureError, OSError):
                await client.close()

    def _open(self) -> ServiceBusClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    @asynccontextmanager
    async def _sender(self, queue: str) -> AsyncIterator[ServiceBusSender]:
        """The queue's sender, for this task alone."""
        async with self._turns[queue]:
            sender = self._senders.get(queue)
            if sender is None:
                sender = self._senders[queue] = self._open().get_queue_sender(queue)
            try:
                async with service_call(queue):
                    yield sender
            except BaseException:
                self._senders.pop(queue, None)
                with suppress(AzureError, OSError, TimeoutError):
                    async with asyncio.timeout(TRY_SECONDS):
                        await sender.close()
                raise


def service_message(message: Outgoing) -> ServiceBusMessage:
    """The message as it goes over the wire."""
    at = message.not_before
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        content_type="application/json",
        application_properties={"traceparent": message.traceparent}
        if message.traceparent
        else None,
        scheduled_enqueue_time_utc=at.astimezone(UTC) if at else None,
    )


async def _send_all(sender: ServiceBusSender, messages: Iterable[ServiceBusMessage]) -> None:
    """In as few batches as the service's size limit allows, in order."""
    batch = await sender.create_message_batch()
    for message in messages:
        if not _added(batch, message):
            if len(batch):
                await sender.send_messages(batch)
                batch = await sender.create_message_batch()
            if not _added(batch, message):
                raise MessageSizeExceededError(message=f"'{message.message_id}' is too large")
    if len(batch):
        await sender.send_messages(batch)


def _added(batch: ServiceBusMessageBatch, message: ServiceBusMessage) -> bool:
    try:
        batch.add_message(message)
    except MessageSizeExceededError:
        return False
    return True


def _token(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(f"'{text[:60]}' is no lock token") from None


async def _suspend(receiver: ServiceBusReceiver, token: UUID, code: str, reason: str) -> None:
    """Dead-letters by lock token. No public method of the SDK takes a token without its message;
    this is what its own `dead_letter_message` calls for messages that came over no link."""
    await receiver._settle_message_via_mgmt_link(  # type: ignore[no-untyped-call]
        "suspended",
        [token],
        dead_letter_details={
            "deadletter-reason": code[:REASON_CHARACTERS],
            "deadletter-description": reason[:REASON_CHARACTERS],
        },
    )


@asynccontextmanager
async def service_call(queue: str) -> AsyncIterator[None]:
    """One use of the service: bounded in time, its errors translated."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (AzureError, OSError, TimeoutError, ValueError) as error:
        raise _translate(error, queue) from None


def _translate(error: Exception, queue: str) -> VaultlineError:
    text = f"queue '{queue}': {reason(error)}"
    match error:
        case MessagingEntityNotFoundError():
            return NotFound(text, action="Declare the queue in infra/entities.json and deploy.")
        case MessageSizeExceededError():
            return Invalid(text, code="MessageTooLarge")
        case MessageLockLostError():
            return Conflict(text, code="LockLost")
        case ServiceBusAuthenticationError() | ServiceBusAuthorizationError():
            return Invalid(text, code="AccessDenied", action=ACCESS)
        case _:
            return Transient(text, code="ConnectionFailed")
