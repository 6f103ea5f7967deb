"""Dead letters: messages that no function could serve."""

from dataclasses import dataclass
from datetime import datetime

GIVEN_UP = frozenset({"MaxDeliveryCountExceeded", "TTLExpiredException"})
"""Reasons of the service itself: nobody has judged the message."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """`code` is why, in a word; `reason` in a sentence. `at` is when the message was enqueued, or
    dead-lettered, as the service tells it."""

    queue: str
    sequence_number: int
    message_id: str
    body: str
    code: str
    reason: str
    delivery_count: int
    at: datetime | None = None
    traceparent: str = ""

    @property
    def id(self) -> str:
        """Its name for people: no two dead letters of a namespace share it."""
        return f"{self.queue}:{self.sequence_number}"

    @property
    def refused(self) -> bool:
        """Whether a step has judged the message and refused it."""
        return self.code not in GIVEN_UP
