"""The dead letters of the queues in memory."""

from collections.abc import AsyncIterator, Sequence

from shared.memory.bus import MemoryBus
from shared.memory.faults import Faults
from shared.model.dead_letter import DeadLetter


class MemoryDeadLetters:
    def __init__(self, bus: MemoryBus, faults: Faults | None = None) -> None:
        self._bus = bus
        self._faults = faults or Faults()

    async def peek(self, queue: str) -> AsyncIterator[DeadLetter]:
        async with self._faults.around("dead_letters.peek"):
            self._bus.messages(queue)
            found = [each for each in self._bus.dead_letters if each.queue == queue]
        for dead in found:
            yield DeadLetter(
                queue=dead.queue,
                sequence_number=dead.sequence_number,
                message_id=dead.message.message_id,
                body=dead.message.body,
                code=dead.code,
                reason=dead.reason,
                delivery_count=dead.delivery_count,
                at=dead.at,
                traceparent=dead.message.traceparent,
            )

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        gone = {(letter.queue, letter.sequence_number) for letter in letters}
        async with self._faults.around("dead_letters.remove"):
            self._bus.dead_letters[:] = [
                each
                for each in self._bus.dead_letters
                if (each.queue, each.sequence_number) not in gone
            ]
