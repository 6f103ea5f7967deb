"""An ordered store of messages with locks: a queue's messages, or its dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush, nsmallest
from uuid import UUID

from local.servicebus.errors import LockLostError
from local.servicebus.message import Message, Stamp


class State(IntEnum):
    """Wire values of ``x-opt-message-state``."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(frozen=True, slots=True)
class Lock:
    token: UUID
    until: int


@dataclass(slots=True)
class Entry:
    """A stored message and where it stands. Times are milliseconds since the epoch."""

    sequence_number: int
    message: Message
    state: State
    enqueued_at: int
    due_at: int | None = None
    expires_at: int | None = None
    delivery_count: int = 0
    lock: Lock | None = None

    def stamp(self) -> Stamp:
        return Stamp(
            self.sequence_number,
            self.enqueued_at,
            self.delivery_count,
            int(self.state),
            self.lock.until if self.lock else None,
        )

    @property
    def is_available(self) -> bool:
        return self.state is State.ACTIVE and self.lock is None


@dataclass(slots=True)
class Shelf:
    """Entries by sequence number. Available ones leave in that order.

    ``available`` may hold numbers of entries that have gone or are locked; they are skipped.
    """

    number: int
    entries: dict[int, Entry] = field(default_factory=dict)
    available: list[int] = field(default_factory=list)
    locked: dict[UUID, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.entries[entry.sequence_number] = entry
        self.offer(entry)

    def offer(self, entry: Entry) -> None:
        if entry.is_available:
            heappush(self.available, entry.sequence_number)

    def remove(self, entry: Entry) -> None:
        self.unlock(entry)
        del self.entries[entry.sequence_number]

    def lock(self, entry: Entry, lock: Lock) -> None:
        entry.lock = lock
        self.locked[lock.token] = entry.sequence_number

    def unlock(self, entry: Entry) -> None:
        if entry.lock is not None:
            del self.locked[entry.lock.token]
            entry.lock = None

    def first_available(self) -> Entry | None:
        """The next entry to hand out; it stays until it is locked or removed."""
        while self.available:
            entry = self.entries.get(self.available[0])
            if entry is not None and entry.is_available:
                return entry
            heappop(self.available)
        return None

    def locked_by(self, token: UUID) -> Entry:
        """The entry that ``token`` locks; LockLostError when it locks none (any more)."""
        try:
            return self.entries[self.locked[token]]
        except KeyError:
            raise LockLostError from None

    def from_number(self, sequence_number: int, count: int) -> list[Entry]:
        """At most ``count`` entries of any state, ``sequence_number`` and above, in order."""
        numbers = (n for n in self.entries if n >= sequence_number)
        return [self.entries[n] for n in nsmallest(count, numbers)]

    def in_state(self, state: State) -> Iterator[Entry]:
        return (entry for entry in self.entries.values() if entry.state is state)
