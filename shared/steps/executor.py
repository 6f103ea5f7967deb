"""Carries out operations of a plan: a fixed number of workers take them in order, one by one.

No operation waits for another. What is done is known at any time as the beginning of the errand
without a gap (invariant 27), and reported now and then; after its time the errand ends where it
is. How an operation is carried out is its way's (`shared.steps.ways`); how many requests are sent,
and what becomes of refused ones, is the lanes' (`shared.steps.lanes`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from shared.decide.cost import requests_at_once
from shared.decide.parts import Copied
from shared.model.disk import Fence, Snapshot
from shared.model.errors import Transient
from shared.model.extents import Image, image_of
from shared.model.manifest import Kind, Record
from shared.model.plan import PageOp
from shared.model.ranges import Change, Span
from shared.ports import Ports
from shared.steps.blocks import holders
from shared.steps.lanes import Traffic
from shared.steps.looking import Compare, Looks, Repair
from shared.steps.ways import Clear, Copy, Leave, ServerSideCopy, Site, StreamedCopy, Way

Written = Sequence[Record]
"""What one operation wrote."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """Operations on one image, from one snapshot, behind one fence. They are the plan's from
    `first` on."""

    target: Image
    source: Snapshot
    fence: Fence
    ops: Sequence[PageOp]
    first: int = 0
    stream: bool = False
    looks: Looks = Looks.NEVER

    def beyond(self, last: int) -> "Errand":
        """The errand without the operations before `last`."""
        return replace(self, ops=self.ops[last - self.first :], first=last)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Operations `[first, last)` of the plan, which storage has confirmed (invariant 27), and the
    requests that were made since the last report."""

    first: int
    last: int
    written: Sequence[Written]
    requests: int

    @property
    def records(self) -> list[Record]:
        """What the manifest keeps of them."""
        return [each for each in chain.from_iterable(self.written) if each.kind.written]

    def copied_from(self, first: int) -> Copied:
        """What the operations from `first` on amount to; none where they end before."""
        counted = self.written[max(0, first - self.first) :]
        return _tally(chain.from_iterable(counted), self.requests)


def _tally(records: "chain[Record]", requests: int) -> Copied:
    by_kind = dict.fromkeys(Kind, 0)
    differing: list[Span] = []
    for record in records:
        by_kind[record.kind] += record.range.size_bytes
        if record.kind is Kind.DIFFERS:
            differing.append(record.range)
    return Copied(
        copied_bytes=by_kind[Kind.COPIED] + by_kind[Kind.STREAMED],
        cleared_bytes=by_kind[Kind.CLEARED],
        worker_bytes=by_kind[Kind.STREAMED] + 2 * by_kind[Kind.COMPARED],
        requests=requests,
        stream=by_kind[Kind.STREAMED] > 0,
        compared_bytes=by_kind[Kind.COMPARED],
        differing=tuple(differing),
    )


Report = Callable[[Stretch], Awaitable[bool]]
"""Takes note of what is done; whether the rest is still wanted."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """How an errand ended: what of it has not been reported yet, how far it came, and what
    stopped it where something did."""

    unreported: Stretch
    complete: bool
    moved: bool
    """Something was done, reported or not."""
    wanted: bool = True
    stopped_by: Transient | None = None

    @property
    def wait_seconds(self) -> float:
        """For how long the service asked not to be asked."""
        return (self.stopped_by and self.stopped_by.retry_after) or 0.0


async def carry_out(ports: Ports, errand: Errand, report: Report) -> Carried:
    """Does the operations, until all are done, or `pace.part_seconds` are over, or what is wrong
    does not pass in that time, or nobody wants the rest.

    Where the service will not read the source itself the bytes are streamed. Raises the gravest
    of what repeating cannot help; then some operations are done and some are not.
    """
    traffic = Traffic(ports, ports.clock.now().timestamp() + ports.pace.part_seconds)
    async with Leave(ports) as leave:
        site = Site(
            ports=ports,
            traffic=traffic,
            source=image_of(errand.source),
            target=errand.target,
            fence=errand.fence,
        )
        return await _Run(ports, errand, ways_of(site, leave, errand), traffic, report)()


def ways_of(site: Site, leave: Leave, errand: Errand) -> Mapping[Change, Way]:
    """How the errand's operations are carried out."""
    streamed = StreamedCopy(site)
    copy = Copy(ServerSideCopy(site, leave), streamed, streams=errand.stream)
    by_looks: Mapping[Looks, Way] = {
        Looks.NEVER: copy,
        Looks.FIRST: Compare(site, Repair(copy, streamed)),
        Looks.ONLY: Compare(site, None),
    }
    return {Change.WRITTEN: by_looks[errand.looks], Change.CLEARED: Clear(site)}


@dataclass
class _Run:
    """One errand under way."""

    ports: Ports
    errand: Errand
    ways: Mapping[Change, Way]
    traffic: Traffic
    report: Report
    written: list[Written | None] = field(init=False)
    done: int = 0
    """Operations done, from the first on, without a gap."""
    reported: int = 0
    counted_requests: int = 0
    reporting: bool = False
    over: bool = False
    wanted: bool = True
    stopped_by: Transient | None = None

    def __post_init__(self) -> None:
        self.written = [None] * len(self.errand.ops)
        self.todo = iter(enumerate(self.errand.ops))
        self.report_at = self._now() + self.ports.pace.checkpoint_seconds

    async def __call__(self) -> Carried:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(requests_at_once(self.ports.pace, self.errand.ops)):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise _gravest(failures) from None
        return Carried(
            unreported=self._stretch(),
            complete=self.done == len(self.errand.ops),
            moved=self.done > 0,
            wanted=self.wanted,
            stopped_by=self.stopped_by,
        )

    async def _work(self) -> None:
        """One worker: takes the next operation while there is one, and time."""
        for number, op in self.todo:
            try:
                self.written[number] = await self._carry(op)
            except Transient as error:
                self._stop(error)
                return
            await self._advance()
            if self.over or self.traffic.is_over:
                return

    async def _carry(self, op: PageOp) -> Written:
        way = self.ways[op.change]
        if not way.holds_bytes:
            return await way(op.range)
        async with holders(self.ports):
            return await way(op.range)

    def _stop(self, error: Transient) -> None:
        """Where several are stopped the longest wait counts."""
        self.over = True
        before = self.stopped_by
        if before is None or (before.retry_after or 0.0) < (error.retry_after or 0.0):
            self.stopped_by = error

    async def _advance(self) -> None:
        """Notes how far the errand has come, and reports it when it is time."""
        while self.done < len(self.written) and self.written[self.done] is not None:
            self.done += 1
        if self._now() < self.report_at or self.reporting or not self.reported < self.done:
            return
        self.reporting = True
        try:
            await self._report()
        finally:
            self.reporting = False

    async def _report(self) -> None:
        """One that fails is made good by the next, or by the end."""
        stretch = self._stretch()
        self.report_at = self._now() + self.ports.pace.checkpoint_seconds
        try:
            self.wanted = await self.report(stretch)
        except Transient:
            return
        self.reported = stretch.last - self.errand.first
        self.counted_requests += stretch.requests
        self.over = self.over or not self.wanted

    def _stretch(self) -> Stretch:
        """What is done and not yet reported."""
        return Stretch(
            first=self.errand.first + self.reported,
            last=self.errand.first + self.done,
            written=[each for each in self.written[self.reported : self.done] if each is not None],
            requests=self.traffic.requests - self.counted_requests,
        )

    def _now(self) -> float:
        return self.ports.clock.now().timestamp()


def _gravest(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ends the work (permanent) before what only delays it; what is no error of ours first."""
    return min(failures.exceptions, key=lambda error: getattr(error, "transient", -1))
