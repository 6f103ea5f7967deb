"""How each kind of page operation is carried out: one way for each, all made of fenced requests.

A way takes a range of the disk and gives the records of what it wrote there: one for a copy or a
clear; none, or several, for a way that looks before it writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import ClassVar, Protocol, Self, TypeVar

from shared.model.disk import Fence
from shared.model.errors import GrantOver, ServerSideCopyRefused, Transient
from shared.model.extents import Extent, Image, piece, pieces
from shared.model.manifest import Kind, Record
from shared.model.ranges import PageRange
from shared.ports import Ports, ReadGrant
from shared.steps.lanes import Traffic

T = TypeVar("T")

GRANTS = 4
"""Leave to read is asked for at most so often for one operation, which only somebody who revokes
it all the time can use up."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where operations take place: from which image to which, behind what fence."""

    ports: Ports
    traffic: Traffic
    source: Image
    target: Image
    fence: Fence


class Way(Protocol):
    """Carries out one operation. Repeatable. Raises `Transient` where time is over."""

    @property
    def holds_bytes(self) -> bool:
        """Whether bytes of the disk pass through our memory (`shared.steps.blocks`)."""
        ...

    async def __call__(self, range_: PageRange) -> Sequence[Record]: ...


@dataclass(frozen=True)
class Clear:
    """One request an extent, however large the range."""

    holds_bytes: ClassVar[bool] = False
    site: Site

    async def __call__(self, range_: PageRange) -> Sequence[Record]:
        site = self.site
        for extent, local in pieces(site.target, range_):
            clear = partial(site.ports.images.clear, extent.url, local, site.fence)
            await site.traffic.send(extent.url, clear)
        return (Record(range_, Kind.CLEARED),)


@dataclass(frozen=True)
class ServerSideCopy:
    """The storage service reads the source itself, by our leave."""

    holds_bytes: ClassVar[bool] = False
    site: Site
    leave: "Leave"

    async def __call__(self, range_: PageRange) -> Sequence[Record]:
        site = self.site
        from_, there = piece(site.source, range_)
        to, here = piece(site.target, range_)
        send, copy = site.traffic.send, site.ports.images.copy
        checksum = await self.leave.use(
            from_,
            lambda grant: send(to.url, lambda: copy(to.url, here, grant, site.fence, there.start)),
        )
        return (Record(range_, Kind.COPIED, checksum),)


@dataclass(frozen=True)
class StreamedCopy:
    """The worker reads the bytes and writes them: as many blocks in its memory as it has
    operations under way, so that some are read while others are written."""

    holds_bytes: ClassVar[bool] = True
    site: Site

    async def __call__(self, range_: PageRange) -> Sequence[Record]:
        site = self.site
        from_, there = piece(site.source, range_)
        read = partial(site.ports.disks.read, from_.snapshot, there)
        return await self.put(range_, await site.traffic.send(from_.url, read))

    async def put(self, range_: PageRange, body: bytes) -> Sequence[Record]:
        """Only the writing."""
        site = self.site
        to, here = piece(site.target, range_)
        write = partial(site.ports.images.write, to.url, here, body, site.fence)
        checksum = await site.traffic.send(to.url, write)
        return (Record(range_, Kind.STREAMED, checksum),)


@dataclass
class Copy:
    """By the service, until it refuses to read this source: from then on through the worker."""

    by_service: Way
    by_worker: Way
    streams: bool = False

    @property
    def holds_bytes(self) -> bool:
        return self.streams

    async def __call__(self, range_: PageRange) -> Sequence[Record]:
        if not self.streams:
            try:
                return await self.by_service(range_)
            except ServerSideCopyRefused:
                self.streams = True
        return await self.by_worker(range_)


@dataclass
class _Given:
    grant: ReadGrant
    taking_back: AsyncExitStack

    async def end(self) -> None:
        """What cannot be taken back now is swept, or ends by itself (fault 43): the work that is
        done must not be done again for it."""
        with suppress(Transient):
            await self.taking_back.aclose()


@dataclass
class Leave:
    """Leave to read a source's extents: given for each where it is first needed, given again
    where it is over or was revoked, and always taken back."""

    ports: Ports
    _given: dict[int, _Given] = field(default_factory=dict)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def use(self, extent: Extent, request: Callable[[ReadGrant], Awaitable[T]]) -> T:
        """What the request answers under a grant that holds. Raises `GrantOver` where none
        does."""
        for _ in range(GRANTS - 1):
            given = await self._for(extent)
            try:
                return await request(given.grant)
            except GrantOver:
                await self._take_back(extent, given)
        return await request((await self._for(extent)).grant)

    async def _for(self, extent: Extent) -> _Given:
        """The grant that all use; asked for by one of them."""
        if extent.start in self._given:
            return self._given[extent.start]
        async with self._asking:
            if extent.start not in self._given:
                self._given[extent.start] = await self._ask(extent)
        return self._given[extent.start]

    async def _ask(self, extent: Extent) -> _Given:
        stack = AsyncExitStack()
        grant = await stack.enter_async_context(self.ports.disks.grant(extent.snapshot))
        return _Given(grant, stack)

    async def _take_back(self, extent: Extent, over: _Given) -> None:
        """Before another is asked for; whoever comes later finds that one."""
        async with self._asking:
            if self._given.get(extent.start) is over:
                del self._given[extent.start]
                await over.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with AsyncExitStack() as every:
            for given in self._given.values():
                every.push_async_callback(given.end)
