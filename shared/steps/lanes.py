"""The ways to the storage accounts: how many requests each is given at a time, and when.

One lane an account and process, shared by all parts that are under way, so that what one of them
is told all heed. What a lane learns is `shared.decide.pacing`'s; here it is obeyed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import random
from typing import TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from shared import telemetry
from shared.decide.pacing import opened, repeat_seconds
from shared.model.errors import GrantOver, Transient
from shared.ports import Clock, Images, Ports

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 10.0
"""A function waits so long at a time for a service that asks for it; beyond, the work goes back to
its queue, until then."""


class Lane:
    """The way to one account."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._window = opened(most)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def size(self) -> float:
        """How many requests may be under way now."""
        return self._window.size

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one request, once there is one, whose end says how it was answered. Raises
        `Transient` where the lane stays closed for too long."""
        await self._enter()
        sent_at = self._now()
        try:
            yield
        except Transient as error:
            self._heed(error, sent_at)
            raise
        else:
            self._window = self._window.served()
        finally:
            self._under_way -= 1
            self._wake()

    async def _enter(self) -> None:
        try:
            await self._opening()
            while not self._window.has_place(self._under_way):
                await self._turn()
                await self._opening()
        except BaseException:
            self._wake()  # the place that was meant for us is somebody else's
            raise
        self._under_way += 1

    async def _opening(self) -> None:
        """Until the pause that the service asked for is over."""
        while (wait := self._window.open_at - self._now()) > 0:
            if wait > LONGEST_WAIT_SECONDS:
                text = f"the storage service asked for a pause of {wait:.0f} s more"
                raise Transient(text, code="ServerBusy", retry_after=wait)
            await self._clock.sleep(wait)

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _wake(self) -> None:
        places = int(self._window.size) - self._under_way
        while places > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1

    def _heed(self, error: Transient, sent_at: float) -> None:
        if not error.busy and error.retry_after is None:
            return
        telemetry.refusals.add(1)
        self._window = self._window.refused(
            sent_at=sent_at,
            now=self._now(),
            under_way=self._under_way,
            wait_seconds=error.retry_after,
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()


_LANES: WeakKeyDictionary[Images, dict[str, Lane]] = WeakKeyDictionary()
"""By the images that are written to: a process has one set of them."""


def lane_to(ports: Ports, url: str) -> Lane:
    """The lane to the account that the URL lies in; a managed disk is in one of its own."""
    lanes = _LANES.setdefault(ports.images, {})
    host = urlsplit(url).netloc or url
    if host not in lanes:
        lanes[host] = Lane(ports.clock, ports.pace.account_requests)
    return lanes[host]


class Traffic:
    """The requests of one piece of work, which ends at `deadline`; `requests` counts every try."""

    def __init__(self, ports: Ports, deadline: float) -> None:
        self._ports = ports
        self._deadline = deadline
        self._lanes: dict[str, Lane] = {}
        self.requests = 0

    @property
    def is_over(self) -> bool:
        return self._ports.clock.now().timestamp() >= self._deadline

    async def send(self, url: str, request: Callable[[], Awaitable[T]]) -> T:
        """The answer of a request to the blob at `url`, which is repeated, as it must bear, until
        there is one. Raises what repeating cannot help; at the deadline, what was wrong last."""
        lane, repeat = self._lane(url), 0
        while True:
            try:
                async with lane.place():
                    self.requests += 1
                    return await request()
            except GrantOver:
                raise
            except Transient as error:
                repeat += 1
                await self._before(repeat, error)

    def _lane(self, url: str) -> Lane:
        if url not in self._lanes:
            self._lanes[url] = lane_to(self._ports, url)
        return self._lanes[url]

    async def _before(self, repeat: int, error: Transient) -> None:
        """Waits for the n-th repeat; raises the error where that is not to be."""
        wait, clock = repeat_seconds(repeat, random()), self._ports.clock  # noqa: S311
        if (error.retry_after or 0.0) > LONGEST_WAIT_SECONDS:
            raise error
        if clock.now().timestamp() + wait >= self._deadline:
            raise error
        if wait:
            await clock.sleep(wait)
