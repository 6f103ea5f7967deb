"""The namespace's queues, restored from the journal."""

from collections.abc import Iterable

from local.servicebus.clock import Clock
from local.servicebus.deliveries import Counts
from local.servicebus.entities import QueueSpec
from local.servicebus.errors import EntityNotFoundError
from local.servicebus.journal import Journal
from local.servicebus.queue import Queue


class Broker:
    """All queues of the namespace, found by name without regard to case."""

    def __init__(self, specs: Iterable[QueueSpec], clock: Clock, journal: Journal) -> None:
        self.queues = {spec.name.lower(): Queue(spec, clock, journal) for spec in specs}
        self._restore(journal)

    def queue(self, name: str) -> Queue:
        try:
            return self.queues[name.lower()]
        except KeyError:
            raise EntityNotFoundError(name) from None

    def counts(self) -> dict[str, Counts]:
        return {queue.spec.name: queue.counts() for queue in self.queues.values()}

    def advance(self) -> None:
        for queue in self.queues.values():
            queue.advance()

    def next_deadline(self) -> int | None:
        deadlines = (queue.next_deadline() for queue in self.queues.values())
        return min((moment for moment in deadlines if moment is not None), default=None)

    def _restore(self, journal: Journal) -> None:
        """What belongs to queues that are no longer declared stays in the journal."""
        for name, reserved in journal.reserved().items():
            if name.lower() in self.queues:
                self.queue(name).restore_numbers(reserved)
        for name, message_id, seen_at in list(journal.remembered()):
            if name.lower() in self.queues:
                self.queue(name).restore_history(message_id, seen_at)
        for record in journal.records():
            if record.queue.lower() in self.queues:
                self.queue(record.queue).restore(record)
        journal.commit()
