"""What is handed out, and what a receiver may say about it."""

from dataclasses import dataclass
from uuid import UUID

from local.servicebus.message import Message, Stamp


@dataclass(frozen=True, slots=True)
class Complete:
    """Done with the message: remove it."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """A failed attempt: counts, and the message is available again."""


@dataclass(frozen=True, slots=True)
class Release:
    """Not attempted at all: does not count."""


@dataclass(frozen=True, slots=True)
class Defer:
    """Set aside; from now on received by sequence number only."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    reason: str | None = None
    description: str | None = None


Settlement = Complete | Abandon | Release | Defer | DeadLetter


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed out; without a token it has left the queue for good."""

    message: Message
    stamp: Stamp
    token: UUID | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Message counts of a queue. Active ones include those locked; locked ones count everywhere."""

    active: int
    scheduled: int
    deferred: int
    dead_letter: int
    locked: int
