"""What the steps need of the queues."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.model.dead_letter import DeadLetter
from shared.model.messages import Outgoing


class Bus(Protocol):
    """The queues."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Each message at least once; queues drop repeats of a MessageId for a while."""
        ...

    async def dead_letter(self, queue: str, lock_token: str, code: str, reason: str) -> None:
        """Moves a locked message to the dead letters, with words that a person understands."""
        ...


class DeadLetters(Protocol):
    """What no function could serve, by queue."""

    def peek(self, queue: str) -> AsyncIterator[DeadLetter]:
        """Oldest first, read as they are asked for. Raises `NotFound` where there is no such
        queue."""
        ...

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """For good; those that are gone already are no error."""
        ...
