"""Ties queues to links: who gets the next message, and when answers may leave.

Work is gathered and finished once an event-loop turn: hand out messages, commit the journal,
and only then write to the sockets. So nothing a client can see is ever ahead of the journal, and
a burst costs one commit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from local.servicebus.addresses import EntityAddress
from local.servicebus.broker import Broker
from local.servicebus.clock import Clock
from local.servicebus.deliveries import Delivery
from local.servicebus.faults import Fault
from local.servicebus.journal import Journal
from local.servicebus.performatives import AmqpError
from local.servicebus.queue import Queue
from local.servicebus.shelf import Shelf

_LOGGER = logging.getLogger(__name__)
_LONGEST_SLEEP_SECONDS = 3600.0
DETACH_FORCED = "amqp:link:detach-forced"


class Consumer(Protocol):
    """A link that receives from a shelf."""

    locks: bool

    @property
    def is_ready(self) -> bool: ...

    def deliver(self, delivery: Delivery) -> None: ...


class Output(Protocol):
    """A connection with bytes that wait for the commit."""

    def write_out(self) -> None: ...


class Link(Protocol):
    """A link of a client to an entity."""

    def detach(self, error: AmqpError) -> None: ...


ShelfKey = tuple[str, int]


class Namespace:
    """The broker, the links on its queues, and the turn that serves them.

    ``on_failure`` is called once when a turn fails, as when the journal cannot be written: the
    owner must stop serving.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        clock: Clock,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.broker = broker
        self._journal = journal
        self._clock = clock
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._consumers: dict[ShelfKey, deque[Consumer]] = {}
        self._links: dict[str, list[Link]] = {}
        self._woken: dict[ShelfKey, tuple[Queue, Shelf]] = {}
        self._outputs: dict[Output, None] = {}
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        for queue in broker.queues.values():
            queue.on_available = partial(self.wake, queue)

    def shelf(self, address: EntityAddress) -> tuple[Queue, Shelf]:
        """EntityNotFoundError when the queue is not declared."""
        queue = self.broker.queue(address.queue)
        return queue, queue.dead if address.dead_letters else queue.main

    # --- links --------------------------------------------------------------------------------

    def add_consumer(self, queue: Queue, shelf: Shelf, consumer: Consumer) -> None:
        self._consumers.setdefault(_key(queue, shelf), deque()).append(consumer)

    def remove_consumer(self, queue: Queue, shelf: Shelf, consumer: Consumer) -> None:
        self._consumers[_key(queue, shelf)].remove(consumer)

    def add_link(self, queue: Queue, link: Link) -> None:
        self._links.setdefault(queue.spec.name, []).append(link)

    def remove_link(self, queue: Queue, link: Link) -> None:
        self._links[queue.spec.name].remove(link)

    def detach_links(self, queue: Queue) -> int:
        """Detach every link on the queue, as the service does when it moves one; how many."""
        links = list(self._links.get(queue.spec.name, ()))
        for link in links:
            link.detach(AmqpError(DETACH_FORCED, "The link was detached by request."))
        queue.faults.fired[Fault.DETACH] += len(links)
        return len(links)

    # --- the turn -----------------------------------------------------------------------------

    def wake(self, queue: Queue, shelf: Shelf) -> None:
        """Messages or credit may have come: look at the shelf in this turn."""
        self._woken[_key(queue, shelf)] = (queue, shelf)
        self.schedule_turn()

    def output(self, connection: Output) -> None:
        """The connection has bytes to write, once what they say is committed."""
        self._outputs[connection] = None
        self.schedule_turn()

    def schedule_turn(self) -> None:
        if self._turn is None and not self._closed:
            self._turn = self._loop.call_soon(self._run_turn)

    def pump(self, queue: Queue, shelf: Shelf) -> None:
        """Hand out messages, one a consumer in rotation, until either side has no more."""
        ring = self._consumers.get(_key(queue, shelf), deque())
        refusals = 0
        while refusals < len(ring):
            consumer = ring[0]
            ring.rotate(-1)
            if not consumer.is_ready:
                refusals += 1
                continue
            delivery = queue.receive(shelf, lock=consumer.locks)
            if delivery is None:
                return
            consumer.deliver(delivery)
            refusals = 0

    def _run_turn(self) -> None:
        self._turn = None
        try:
            self.broker.advance()
            while self._woken:
                _, (queue, shelf) = self._woken.popitem()
                self.pump(queue, shelf)
            self._journal.commit()
        except Exception as error:
            # Memory and journal may differ by now: stopping loses less than going on.
            _LOGGER.critical("The local Service Bus has to stop", exc_info=error)
            self._closed = True
            self._on_failure(error)
            return
        outputs, self._outputs = self._outputs, {}
        for connection in outputs:
            connection.write_out()
        self._sleep()

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.broker.next_deadline()
        if deadline is not None and not self._closed:
            seconds = max(0.001, (deadline - self._clock()) / 1000)
            self._timer = self._loop.call_later(
                min(seconds, _LONGEST_SLEEP_SECONDS), self.schedule_turn
            )

    def close(self) -> None:
        self._closed = True
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()


def _key(queue: Queue, shelf: Shelf) -> ShelfKey:
    return queue.spec.name, shelf.number
