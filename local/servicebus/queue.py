"""One queue: what Service Bus does with its messages, without a network.

Time and storage are passed in. Every method first lets time pass (locks, schedules and lifetimes
that are over), so that an answer never depends on how often a timer fires. Refusals are
:mod:`errors`.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from uuid import UUID, uuid4

from local.servicebus.clock import Clock
from local.servicebus.deliveries import (
    Abandon,
    Complete,
    Counts,
    DeadLetter,
    Defer,
    Delivery,
    Release,
    Settlement,
)
from local.servicebus.entities import QueueSpec
from local.servicebus.errors import MessageNotFoundError
from local.servicebus.faults import Fault, QueueFaults
from local.servicebus.journal import Journal, Record
from local.servicebus.message import Message, parse_message, with_application_properties
from local.servicebus.shelf import Entry, Lock, Shelf, State

# Sequence numbers are reserved in the journal by the block; a restart skips the rest of one.
_NUMBERS_RESERVED = 1000
_STALE_DEADLINES = 1000


class Queue:
    """One queue and its dead letters."""

    def __init__(self, spec: QueueSpec, clock: Clock, journal: Journal) -> None:
        self.spec = spec
        self.faults = QueueFaults()
        self.main = Shelf(0)
        self.dead = Shelf(1)
        self.on_available: Callable[[Shelf], None] = lambda _shelf: None
        self._clock = clock
        self._journal = journal
        self._seen: dict[str, int] = {}
        self._deadlines: list[tuple[int, int, int]] = []
        self._last_number = 0
        self._reserved = 0

    # --- arriving -----------------------------------------------------------------------------

    def send(self, messages: Iterable[Message]) -> None:
        """Accept messages; duplicates are accepted, too, and forgotten."""
        self.advance()
        for message in messages:
            if not self._is_duplicate(message):
                self._arrive(message)

    def schedule(self, messages: Sequence[Message]) -> list[int]:
        """Accept messages for later; the number of each holds until it becomes active."""
        self.advance()
        return [self._schedule(message) for message in messages]

    def cancel(self, sequence_numbers: Iterable[int]) -> None:
        """Remove scheduled messages: all, or MessageNotFoundError and none."""
        self.advance()
        for entry in [self._require(self.main, n, State.SCHEDULED) for n in sequence_numbers]:
            self._discard(self.main, entry)

    def _schedule(self, message: Message) -> int:
        if self._is_duplicate(message):
            return self._next_number()
        now = self._clock()
        return self._store(message, max(message.scheduled_at or now, now)).sequence_number

    def _arrive(self, message: Message) -> None:
        now = self._clock()
        arrival = self.faults.arrival()
        due = max(message.scheduled_at or 0, now + arrival.delay_ms)
        for _ in range(arrival.copies):
            self._store(message, due)

    def _store(self, message: Message, due: int) -> Entry:
        now = self._clock()
        entry = Entry(self._next_number(), message, State.SCHEDULED, now, due_at=due)
        if due <= now:
            self._enqueue(entry, now)
        else:
            self._shelve(self.main, entry)
        return entry

    def _enqueue(self, entry: Entry, now: int) -> None:
        entry.state, entry.enqueued_at, entry.due_at = State.ACTIVE, now, None
        self._shelve(self.main, entry)

    def _is_duplicate(self, message: Message) -> bool:
        window = self.spec.dedup_window_ms
        if window is None or message.message_id is None:
            return False
        now = self._clock()
        self._forget_before(now - window)
        if message.message_id in self._seen:
            return True
        self._seen[message.message_id] = now
        self._journal.remember(self.spec.name, message.message_id, now)
        return False

    def _forget_before(self, moment: int) -> None:
        while self._seen:
            message_id, seen_at = next(iter(self._seen.items()))
            if seen_at > moment:
                return
            del self._seen[message_id]
            self._journal.forget(self.spec.name, message_id)

    # --- leaving ------------------------------------------------------------------------------

    def receive(self, shelf: Shelf, *, lock: bool) -> Delivery | None:
        """The next message, locked or taken away; None when there is none."""
        self.advance()
        entry = shelf.first_available()
        return self._hand_out(shelf, entry, lock=lock) if entry else None

    def receive_deferred(
        self, shelf: Shelf, sequence_numbers: Iterable[int], *, lock: bool
    ) -> list[Delivery]:
        """Deferred messages by number: all, or MessageNotFoundError and none."""
        self.advance()
        entries = [self._require(shelf, n, State.DEFERRED) for n in sequence_numbers]
        return [self._hand_out(shelf, entry, lock=lock) for entry in entries]

    def settle(self, shelf: Shelf, token: UUID, settlement: Settlement) -> None:
        """Apply a settlement; LockLostError when the token locks nothing."""
        self.advance()
        entry = shelf.locked_by(token)
        match settlement:
            case Complete():
                self._discard(shelf, entry)
            case Abandon():
                self._unlock(shelf, entry, failed=True)
            case Release():
                self._unlock(shelf, entry, failed=False)
            case Defer():
                self._defer(shelf, entry)
            case DeadLetter(reason, description):
                self._dead_letter(shelf, entry, reason, description)

    def renew(self, shelf: Shelf, tokens: Iterable[UUID]) -> list[int]:
        """New ends of these locks; LockLostError, and no change, when one of them is gone."""
        self.advance()
        until = self._clock() + self.spec.lock_ms
        entries = [shelf.locked_by(token) for token in tokens]
        for entry in entries:
            self._lock(shelf, entry, Lock(self._token_of(entry), until))
        return [until] * len(entries)

    def peek(self, shelf: Shelf, from_number: int, count: int) -> list[Delivery]:
        """Messages of any state in order, without touching them."""
        self.advance()
        entries = shelf.from_number(from_number, count)
        return [Delivery(entry.message, entry.stamp()) for entry in entries]

    def _hand_out(self, shelf: Shelf, entry: Entry, *, lock: bool) -> Delivery:
        if not lock:
            self._discard(shelf, entry)
            return Delivery(entry.message, entry.stamp())
        token = uuid4()
        self._lock(shelf, entry, Lock(token, self._clock() + self.spec.lock_ms))
        self._journal.mark(self.spec.name, entry.sequence_number, entry.delivery_count, True)
        return Delivery(entry.message, entry.stamp(), token)

    def _lock(self, shelf: Shelf, entry: Entry, lock: Lock) -> None:
        shelf.lock(entry, lock)
        self._watch(lock.until, shelf, entry)

    @staticmethod
    def _token_of(entry: Entry) -> UUID:
        assert entry.lock is not None
        return entry.lock.token

    def _require(self, shelf: Shelf, sequence_number: int, state: State) -> Entry:
        entry = shelf.entries.get(sequence_number)
        if entry is None or entry.state is not state or entry.lock is not None:
            raise MessageNotFoundError(
                f"No {state.name.lower()} message has the sequence number {sequence_number}."
            )
        return entry

    # --- moving between states ----------------------------------------------------------------

    def _unlock(self, shelf: Shelf, entry: Entry, *, failed: bool) -> None:
        shelf.unlock(entry)
        entry.delivery_count += failed
        limit = self.spec.max_delivery_count
        if failed and shelf is self.main and entry.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._dead_letter(shelf, entry, "MaxDeliveryCountExceeded", description)
            return
        self._journal.mark(self.spec.name, entry.sequence_number, entry.delivery_count, False)
        shelf.offer(entry)
        self._examine(shelf, entry)
        self.on_available(shelf)

    def _defer(self, shelf: Shelf, entry: Entry) -> None:
        shelf.unlock(entry)
        entry.state = State.DEFERRED
        self._persist(shelf, entry)

    def _dead_letter(
        self, shelf: Shelf, entry: Entry, reason: str | None, description: str | None
    ) -> None:
        given = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        stated = {name: text for name, text in given.items() if text is not None}
        shelf.remove(entry)
        entry.message = with_application_properties(entry.message, stated)
        entry.state, entry.expires_at = State.ACTIVE, None
        self._shelve(self.dead, entry)

    def _expire(self, entry: Entry) -> None:
        if self.spec.dead_letter_expired:
            description = "The message expired and was dead lettered."
            self._dead_letter(self.main, entry, "TTLExpiredException", description)
        else:
            self._discard(self.main, entry)

    def _activate(self, entry: Entry) -> None:
        # A scheduled message is appended as if sent now: with a new sequence number.
        self._discard(self.main, entry)
        entry.sequence_number = self._next_number()
        self._enqueue(entry, self._clock())

    def _shelve(self, shelf: Shelf, entry: Entry) -> None:
        if entry.state is State.SCHEDULED and entry.due_at is not None:
            self._watch(entry.due_at, shelf, entry)
        elif shelf is self.main:
            ttl = self.spec.ttl_ms if entry.message.ttl_ms is None else entry.message.ttl_ms
            entry.expires_at = entry.enqueued_at + min(ttl, self.spec.ttl_ms)
            self._watch(entry.expires_at, shelf, entry)
        shelf.add(entry)
        self._persist(shelf, entry)
        self.on_available(shelf)

    def _discard(self, shelf: Shelf, entry: Entry) -> None:
        shelf.remove(entry)
        self._journal.remove(self.spec.name, entry.sequence_number)

    # --- time ---------------------------------------------------------------------------------

    def advance(self) -> None:
        """Let everything happen that was due by now."""
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, shelf_number = heappop(self._deadlines)
            shelf = self._shelf(shelf_number)
            if entry := shelf.entries.get(number):
                self._examine(shelf, entry)

    def next_deadline(self) -> int | None:
        """When ``advance`` may next have something to do."""
        return self._deadlines[0][0] if self._deadlines else None

    def expire_locks(self, shelf: Shelf | None = None) -> int:
        """End all locks now, as their expiry would; how many there were."""
        shelves = (shelf,) if shelf else (self.main, self.dead)
        held = [(s, e) for s in shelves for e in list(s.entries.values()) if e.lock is not None]
        for holder, entry in held:
            self._unlock(holder, entry, failed=True)
        self.faults.fired[Fault.EXPIRE_LOCK] += len(held)
        return len(held)

    def _examine(self, shelf: Shelf, entry: Entry) -> None:
        """Do what is due for one entry, if anything is."""
        now = self._clock()
        if entry.state is State.SCHEDULED:
            if entry.due_at is not None and entry.due_at <= now:
                self._activate(entry)
        elif entry.lock is not None:
            if entry.lock.until <= now:
                self._unlock(shelf, entry, failed=True)
        elif entry.is_available and entry.expires_at is not None and entry.expires_at <= now:
            # Deferred messages do not expire, by Service Bus's design.
            self._expire(entry)

    def _watch(self, moment: int, shelf: Shelf, entry: Entry) -> None:
        heappush(self._deadlines, (moment, entry.sequence_number, shelf.number))
        live = len(self.main.entries) + len(self.dead.entries)
        if len(self._deadlines) > 4 * live + _STALE_DEADLINES:
            self._drop_stale_deadlines()

    def _drop_stale_deadlines(self) -> None:
        kept = {d for d in self._deadlines if d[1] in self._shelf(d[2]).entries}
        self._deadlines = list(kept)
        heapify(self._deadlines)

    def _shelf(self, number: int) -> Shelf:
        return self.dead if number else self.main

    # --- storage ------------------------------------------------------------------------------

    def _next_number(self) -> int:
        self._last_number += 1
        if self._last_number > self._reserved:
            self._reserved = self._last_number + _NUMBERS_RESERVED
            self._journal.reserve(self.spec.name, self._reserved)
        return self._last_number

    def _persist(self, shelf: Shelf, entry: Entry) -> None:
        self._journal.put(
            Record(
                self.spec.name,
                entry.sequence_number,
                shelf.number,
                int(entry.state),
                entry.enqueued_at,
                entry.due_at,
                entry.delivery_count,
                entry.lock is not None,
                entry.message.raw,
            )
        )

    def restore(self, record: Record) -> None:
        """Take back a stored message. A lock it had is over, and counts as a failed delivery."""
        entry = Entry(
            record.sequence_number,
            parse_message(record.raw),
            State(record.state),
            record.enqueued_at,
            record.due_at,
            delivery_count=record.delivery_count,
        )
        shelf = self._shelf(record.shelf)
        self._shelve(shelf, entry)
        if record.locked:
            self._unlock(shelf, entry, failed=True)

    def restore_history(self, message_id: str, seen_at: int) -> None:
        self._seen[message_id] = seen_at

    def restore_numbers(self, reserved: int) -> None:
        self._last_number = self._reserved = reserved

    def counts(self) -> Counts:
        self.advance()
        scheduled = sum(1 for _ in self.main.in_state(State.SCHEDULED))
        deferred = sum(1 for _ in self.main.in_state(State.DEFERRED))
        return Counts(
            active=len(self.main.entries) - scheduled - deferred,
            scheduled=scheduled,
            deferred=deferred,
            dead_letter=len(self.dead.entries),
            locked=len(self.main.locked) + len(self.dead.locked),
        )
