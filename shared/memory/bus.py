"""The queues in memory, with Service Bus semantics on a manual clock.

Peek-lock with expiry, delivery counts and dead letters; duplicate detection within a window;
scheduled messages. `lose_next` and `duplicate_next` inject faults 11 and 10.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.memory.faults import Faults
from shared.memory.numbers import Numbers
from shared.model.errors import Conflict, Invalid, NotFound
from shared.model.messages import QUEUES, Outgoing
from shared.ports import Clock

MESSAGE_BYTES = 256 * 1024
MESSAGE_ID_CHARACTERS = 128


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A message on its way; `delivery_count` is 1 on the first delivery."""

    queue: str
    message: Outgoing
    sequence_number: int
    delivery_count: int
    lock_token: str
    locked_until: datetime


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    queue: str
    message: Outgoing
    sequence_number: int
    delivery_count: int
    code: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """In the queue: available from `visible_at` on, which a lock puts off to its own end."""

    message: Outgoing
    sequence_number: int
    visible_at: datetime
    delivery_count: int = 0
    lock_token: str = ""


class MemoryBus:
    """The queues of `QUEUES`; those alone exist. Limits as declared in `infra/entities.json`."""

    def __init__(
        self,
        clock: Clock,
        faults: Faults | None = None,
        queues: Iterable[str] = QUEUES,
        lock_seconds: float = 60.0,
        max_delivery_count: int = 10,
        duplicate_window: timedelta = timedelta(minutes=10),
    ) -> None:
        self.dead_letters: list[DeadLetter] = []
        self.sent: Counter[str] = Counter()
        self._clock = clock
        self._faults = faults or Faults()
        self._lock_for = timedelta(seconds=lock_seconds)
        self._max_delivery_count = max_delivery_count
        self._window = duplicate_window
        self._queues: dict[str, dict[int, _Waiting]] = {queue: {} for queue in queues}
        self._seen: dict[tuple[str, str], datetime] = {}
        self._numbers = Numbers()
        self._to_lose: Counter[str] = Counter()
        self._to_duplicate: Counter[str] = Counter()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        async with self._faults.around("bus.send"):
            for message in messages:
                self._check(message)
            for message in messages:
                self._accept(message)

    async def dead_letter(self, queue: str, lock_token: str, code: str, reason: str) -> None:
        async with self._faults.around("bus.dead_letter"):
            self._bury(queue, self._held(queue, lock_token), code, reason)

    def receive(self, queue: str, choose: Callable[[int], int] = lambda _: 0) -> Locked | None:
        """Locks the next available message, or the one that `choose` picks by index among the
        available ones (late and out of order); None where there is none."""
        available = self.available(queue)
        if not available:
            return None
        waiting = self._waiting(queue)[available[choose(len(available))]]
        return self._lock(queue, waiting)

    def available(self, queue: str) -> list[int]:
        """Sequence numbers of the messages that could be received now."""
        self._expire(queue)
        now = self._clock.now()
        return [n for n, each in self._waiting(queue).items() if each.visible_at <= now]

    def complete(self, locked: Locked) -> None:
        """Done with. Raises `Conflict` where the lock is over."""
        held = self._held(locked.queue, locked.lock_token)
        del self._waiting(locked.queue)[held.sequence_number]

    def abandon(self, locked: Locked) -> None:
        """Back to the queue at once; dead-lettered where it has been tried often enough."""
        held = self._held(locked.queue, locked.lock_token)
        self._give_back(locked.queue, held)

    def renew(self, locked: Locked) -> Locked:
        """The lock for another while. Raises `Conflict` where it is over."""
        held = self._held(locked.queue, locked.lock_token)
        until = self._clock.now() + self._lock_for
        self._waiting(locked.queue)[held.sequence_number] = replace(held, visible_at=until)
        return replace(locked, locked_until=until)

    def messages(self, queue: str) -> list[Outgoing]:
        """Everything in the queue: available, locked or scheduled; in order of arrival."""
        return [each.message for each in self._waiting(queue).values()]

    def next_visible_at(self) -> datetime | None:
        """When the next message that waits or is locked becomes available."""
        times = [each.visible_at for queue in self._queues.values() for each in queue.values()]
        return min(times, default=None)

    def lose_next(self, queue: str, times: int = 1) -> None:
        """The next messages sent to the queue vanish although the sender is told all is well."""
        self._to_lose[queue] += times

    def duplicate_next(self, queue: str, times: int = 1) -> None:
        """The next messages sent to the queue arrive twice."""
        self._to_duplicate[queue] += times

    def stop_faults(self) -> None:
        """No further message is lost or duplicated."""
        self._to_lose.clear()
        self._to_duplicate.clear()

    def drop(self, queue: str, sequence_number: int) -> None:
        """One message vanishes from the queue."""
        del self._waiting(queue)[sequence_number]

    def _check(self, message: Outgoing) -> None:
        self._waiting(message.queue)
        if not 0 < len(message.message_id) <= MESSAGE_ID_CHARACTERS:
            raise Invalid(f"a MessageId has 1 to {MESSAGE_ID_CHARACTERS} characters")
        if len(message.body.encode()) > MESSAGE_BYTES:
            raise Invalid(f"message '{message.message_id}' exceeds {MESSAGE_BYTES} bytes")

    def _accept(self, message: Outgoing) -> None:
        now = self._clock.now()
        key = (message.queue, message.message_id)
        seen = self._seen.get(key)
        if seen is not None and now - seen < self._window:
            return
        self._seen[key] = now
        self.sent[message.queue] += 1
        for _ in range(self._copies(message.queue)):
            self._enqueue(message, max(now, message.not_before or now))

    def _copies(self, queue: str) -> int:
        """How many of the message just sent arrive, as the fault hooks have it."""
        if self._to_lose[queue]:
            self._to_lose[queue] -= 1
            return 0
        if self._to_duplicate[queue]:
            self._to_duplicate[queue] -= 1
            return 2
        return 1

    def _enqueue(self, message: Outgoing, visible_at: datetime) -> None:
        number = next(self._numbers)
        self._waiting(message.queue)[number] = _Waiting(
            message=message, sequence_number=number, visible_at=visible_at
        )

    def _waiting(self, queue: str) -> dict[int, _Waiting]:
        if queue not in self._queues:
            raise NotFound(f"there is no queue '{queue}'")
        return self._queues[queue]

    def _lock(self, queue: str, waiting: _Waiting) -> Locked:
        held = replace(
            waiting,
            delivery_count=waiting.delivery_count + 1,
            lock_token=f"{queue}-{waiting.sequence_number}-{waiting.delivery_count + 1}",
            visible_at=self._clock.now() + self._lock_for,
        )
        self._waiting(queue)[held.sequence_number] = held
        return Locked(
            queue=queue,
            message=held.message,
            sequence_number=held.sequence_number,
            delivery_count=held.delivery_count,
            lock_token=held.lock_token,
            locked_until=held.visible_at,
        )

    def _held(self, queue: str, lock_token: str) -> _Waiting:
        """The message under that lock. Raises `Conflict` where the lock is over."""
        now = self._clock.now()
        for each in self._waiting(queue).values():
            if each.lock_token == lock_token and each.visible_at > now:
                return each
        raise Conflict("the lock on the message is over: it goes to another receiver")

    def _expire(self, queue: str) -> None:
        """Gives back what is locked beyond its time."""
        now = self._clock.now()
        for each in list(self._waiting(queue).values()):
            if each.lock_token and each.visible_at <= now:
                self._give_back(queue, each)

    def _give_back(self, queue: str, held: _Waiting) -> None:
        if held.delivery_count >= self._max_delivery_count:
            reason = f"Message could not be consumed after {held.delivery_count} delivery attempts."
            self._bury(queue, held, "MaxDeliveryCountExceeded", reason)
        else:
            freed = replace(held, lock_token="", visible_at=self._clock.now())
            self._waiting(queue)[held.sequence_number] = freed

    def _bury(self, queue: str, held: _Waiting, code: str, reason: str) -> None:
        del self._waiting(queue)[held.sequence_number]
        self.dead_letters.append(
            DeadLetter(
                queue=queue,
                message=held.message,
                sequence_number=held.sequence_number,
                delivery_count=held.delivery_count,
                code=code,
                reason=reason,
                at=self._clock.now(),
            )
        )
