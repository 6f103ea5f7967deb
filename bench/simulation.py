"""A discrete simulation of transfers: messages, slots, parts, and the pipes that all of it shares.

Events in the order of their time, nothing else. A pipe serves first come, first served, at its
rate; a batch of requests is done when the last of the pipes it goes through has served it. Beyond
the closed form, answers take as long as chance has it, instances come one by one, and a message
waits for a free slot, as a part does for its turn.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import ceil

from bench.scenarios import Scenario
from shared.decide.spreading import spread
from shared.model.plan import Part

BATCH = 500
"""Copies that are simulated as one: small beside a part of 2,000."""

Act = Callable[[], None]


@dataclass
class _Pipe:
    rate: float
    free_at: float = 0.0

    def served(self, now: float, amount: float) -> float:
        """When so much more will have come through."""
        self.free_at = max(now, self.free_at) + amount / self.rate
        return self.free_at


@dataclass
class _Clock:
    """What is to happen, by time."""

    now: float = 0.0
    _events: list[tuple[float, int, Act]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    def at(self, time: float, act: Act) -> None:
        heappush(self._events, (time, next(self._order), act))

    def run(self) -> None:
        while self._events:
            self.now, _, act = heappop(self._events)
            act()


@dataclass
class _Disk:
    """One backup under way; its blobs' pipes by extent."""

    bytes_pipes: list[_Pipe]
    request_pipes: list[_Pipe]
    source: _Pipe | None
    parts_left: int


@dataclass(frozen=True)
class _Work:
    """One part: so many copies to one extent of a disk."""

    disk: _Disk
    extent: int
    copies: int


def simulate(scenario: Scenario) -> float:
    """Seconds from the first command to the last point."""
    return _Simulation(scenario).run()


class _Simulation:
    def __init__(self, scenario: Scenario) -> None:
        self._is = scenario
        limits, assumed = scenario.limits, scenario.assumed
        self._clock = _Clock()
        self._bus = _Pipe(assumed.messages_per_second)
        self._account_bytes = _Pipe(limits.account_bytes_per_second)
        self._account_requests = _Pipe(limits.account_requests_per_second)
        self._processors = [
            _Pipe(1 / assumed.cpu_seconds_a_request) for _ in range(assumed.instances)
        ]
        self._free: deque[_Pipe] = deque()
        self._waiting: deque[_Work] = deque()
        self._ended = 0.0
        self._chance = random.Random(1)

    def run(self) -> float:
        for number, processor in enumerate(self._processors):
            self._clock.at(
                number * self._is.assumed.instance_seconds, partial(self._add, processor)
            )
        for number in range(self._is.disks):
            start = number * self._is.pace.start_interval_seconds
            self._clock.at(start, self._planned)
        self._clock.run()
        return self._ended

    def _add(self, instance: _Pipe) -> None:
        """The platform has started one more instance."""
        self._free.extend([instance] * self._is.assumed.parts_an_instance)
        self._begin()

    def _planned(self) -> None:
        """A backup begins; when it is planned, its parts go out."""
        before = self._bus.served(self._clock.now, self._is.messages_each - self._is.parts_each)
        ready = max(before, self._clock.now + self._is.prelude_seconds)
        self._clock.at(ready, self._fan_out)

    def _fan_out(self) -> None:
        limits, extents = self._is.limits, self._is.extents
        disk = _Disk(
            [_Pipe(limits.blob_bytes_per_second) for _ in range(extents)],
            [_Pipe(limits.blob_requests_per_second) for _ in range(extents)],
            _Pipe(limits.blob_bytes_per_second) if self._is.source_is_one_blob else None,
            self._is.parts_each,
        )
        for work in _parts(self._is, disk):
            sent = self._bus.served(self._clock.now, 1)
            self._clock.at(sent, partial(self._delivered, work))

    def _delivered(self, work: _Work) -> None:
        self._waiting.append(work)
        self._begin()

    def _begin(self) -> None:
        """Slots that are free take the parts that wait longest."""
        while self._waiting and self._free:
            self._carry_out(self._waiting.popleft(), self._free.popleft(), 0)

    def _carry_out(self, work: _Work, processor: _Pipe, done: int) -> None:
        """The part's next batch; after the last one its report, and the slot is free."""
        if done >= work.copies:
            ended = self._clock.now + self._is.assumed.ledger_seconds
            self._clock.at(ended, partial(self._reported, work, processor))
            return
        batch = min(BATCH, work.copies - done)
        served = self._served(work, processor, batch)
        self._clock.at(served, partial(self._carry_out, work, processor, done + batch))

    def _served(self, work: _Work, processor: _Pipe, batch: int) -> float:
        assumed, now = self._is.assumed, self._clock.now
        moved = batch * self._is.bytes_each / self._is.copies_each
        answered = self._chance.expovariate(1 / assumed.copy_seconds)
        answers = [
            now + batch / assumed.copies_at_once * answered,
            processor.served(now, batch),
            work.disk.bytes_pipes[work.extent].served(now, moved),
            work.disk.request_pipes[work.extent].served(now, batch),
            self._account_bytes.served(now, moved),
            self._account_requests.served(now, batch),
        ]
        if work.disk.source is not None:
            answers.append(work.disk.source.served(now, moved))
        return max(answers)

    def _reported(self, work: _Work, processor: _Pipe) -> None:
        self._free.append(processor)
        work.disk.parts_left -= 1
        if not work.disk.parts_left:
            ended = self._clock.now + self._is.epilogue_seconds
            self._ended = max(self._ended, ended)
        self._begin()


def _parts(scenario: Scenario, disk: _Disk) -> Iterator[_Work]:
    """The parts of a disk in the order in which the pipeline sends them."""
    copies, parts = scenario.copies_each, scenario.parts_each
    each = ceil(copies / parts)
    plan = [(number, Part(0, 0, number)) for number in range(parts)]
    for number, _ in spread(plan, ceil(parts / scenario.extents)):
        extent = number * scenario.extents // parts
        yield _Work(disk, extent, min(each, copies - number * each))
