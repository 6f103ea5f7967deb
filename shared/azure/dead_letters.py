"""The dead letters of the queues on Service Bus.

The service takes a dead letter away only from whoever has it locked, and hands them out in order:
to remove some, all before the last of them are locked for a moment and given back.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import groupby

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from shared.azure.service_bus import service_call
from shared.model.dead_letter import DeadLetter

BATCH = 100
IDLE_SECONDS = 2.0
"""The service has no more to give when nothing has come for so long."""


class AzureDeadLetters:
    """`connect` makes a client for one use: people look here rarely."""

    def __init__(self, connect: Callable[[], ServiceBusClient]) -> None:
        self._connect = connect

    async def peek(self, queue: str) -> AsyncIterator[DeadLetter]:
        following = 0
        async with self._receiver(queue) as receiver:
            while True:
                async with service_call(queue):
                    page = await receiver.peek_messages(BATCH, sequence_number=following)
                if not page:
                    return
                for message in page:
                    yield _letter(queue, message)
                following = (page[-1].sequence_number or 0) + 1

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        by_queue = sorted(letters, key=lambda letter: letter.queue)
        for queue, its in groupby(by_queue, key=lambda letter: letter.queue):
            async with self._receiver(queue) as receiver:
                await _remove(receiver, queue, {letter.sequence_number for letter in its})

    @asynccontextmanager
    async def _receiver(self, queue: str) -> AsyncIterator[ServiceBusReceiver]:
        async with AsyncExitStack() as opened:
            async with service_call(queue):
                client = await opened.enter_async_context(self._connect())
                receiver = client.get_queue_receiver(
                    queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER
                )
                await opened.enter_async_context(receiver)
            yield receiver


async def _remove(receiver: ServiceBusReceiver, queue: str, wanted: set[int]) -> None:
    """Until all wanted are gone, or nothing is left to look at."""
    others: list[ServiceBusReceivedMessage] = []
    try:
        while wanted:
            async with service_call(queue):
                batch = await receiver.receive_messages(BATCH, max_wait_time=IDLE_SECONDS)
                if not batch:
                    return
                for message in batch:
                    if message.sequence_number in wanted:
                        await receiver.complete_message(message)
                        wanted.discard(message.sequence_number)
                    else:
                        others.append(message)
    finally:
        for message in others:
            with suppress(AzureError, OSError):  # its lock ends by itself
                await receiver.abandon_message(message)


def _letter(queue: str, message: ServiceBusReceivedMessage) -> DeadLetter:
    given = message.application_properties or {}
    properties = {_text(key): value for key, value in given.items()}
    return DeadLetter(
        queue=queue,
        sequence_number=message.sequence_number or 0,
        message_id=message.message_id or "",
        body=b"".join(message.body).decode(errors="replace"),
        code=message.dead_letter_reason or "",
        reason=message.dead_letter_error_description or "",
        delivery_count=message.delivery_count or 0,
        at=message.enqueued_time_utc,
        traceparent=_text(properties.get("traceparent", "")),
    )


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
