"""Failures that a test orders in advance, and proof that they happened."""

from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong with the next messages or settlements of a queue."""

    DROP = "drop"
    """The sender is told "accepted"; the message is gone."""
    DUPLICATE = "duplicate"
    """The message is enqueued twice, past duplicate detection."""
    DELAY = "delay"
    """The message becomes available only after ``delay_ms``."""
    REORDER = "reorder"
    """``count`` messages become available in reverse order, ``delay_ms`` apart."""
    LOSE_SETTLEMENT = "lose-settlement"
    """A settlement gets no answer; ``applied`` says whether it took effect."""
    LOSE_SEND = "lose-send"
    """A sender gets no answer; ``applied`` says whether the message was accepted."""
    EXPIRE_LOCK = "expire-lock"
    """Happens at once: locks end as if their time were over."""
    DETACH = "detach"
    """Happens at once: links are detached by the service."""


@dataclass(frozen=True, slots=True)
class Armed:
    """A fault that waits for its next ``count`` chances.

    A lost answer also detaches the link unless ``silent``, as a broken connection would; a silent
    one leaves the client to its own time-out.
    """

    fault: Fault
    count: int = 1
    delay_ms: int = 50
    applied: bool = True
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """What becomes of an accepted message: so many copies, that much later."""

    copies: int = 1
    delay_ms: int = 0


UNDISTURBED = Arrival()


class QueueFaults:
    """The faults ordered for one queue, first come, first served within a kind."""

    def __init__(self) -> None:
        self.fired: Counter[Fault] = Counter()
        self._armed: dict[Fault, deque[Armed]] = {}

    def arm(self, armed: Armed) -> None:
        if armed.count > 0:
            self._armed.setdefault(armed.fault, deque()).append(armed)

    def disarm(self) -> None:
        """Forget what has not fired; the counts stay."""
        self._armed.clear()

    def take(self, fault: Fault) -> Armed | None:
        """One chance for ``fault``: what was ordered (``count`` includes this time), or None."""
        waiting = self._armed.get(fault)
        if not waiting:
            return None
        armed = waiting.popleft()
        if armed.count > 1:
            waiting.appendleft(replace(armed, count=armed.count - 1))
        self.fired[fault] += 1
        return armed

    def arrival(self) -> Arrival:
        """The fate of the message that is being accepted."""
        if not self._armed:
            return UNDISTURBED
        if self.take(Fault.DROP):
            return Arrival(copies=0)
        copies = 2 if self.take(Fault.DUPLICATE) else 1
        if reordered := self.take(Fault.REORDER):
            return Arrival(copies, reordered.count * reordered.delay_ms)
        delayed = self.take(Fault.DELAY)
        return Arrival(copies, delayed.delay_ms if delayed else 0)
