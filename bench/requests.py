"""The page requests of a transfer: told as they are made, and counted against the fewest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from bench.disk import UNIT, Changes
from shared.model.ranges import PageRange
from shared.ports import Disks, Images, Ports


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One request that copies a range from the same offset of its source, or clears it."""

    start: int
    size_bytes: int
    clear: bool


@dataclass
class Log:
    """What went through the ports since it was last taken: page requests, how many of them were
    under way at most, and the disks' bytes that came or went through this process."""

    requests: list[PageRequest] = field(default_factory=list)
    worker_bytes: int = 0
    most_at_once: int = 0
    _under_way: int = 0

    def taken(self) -> "Log":
        """What has come together; the log is empty afterwards."""
        told = Log(self.requests, self.worker_bytes, self.most_at_once)
        self.requests, self.worker_bytes, self.most_at_once = [], 0, 0
        return told

    @contextmanager
    def noting(self, range_: PageRange, *, clear: bool) -> Iterator[None]:
        """While inside, a page request of that range is under way."""
        self.requests.append(PageRequest(range_.start, range_.size_bytes, clear))
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    @property
    def copied_bytes(self) -> int:
        """What the requests moved."""
        return sum(each.size_bytes for each in self.requests if not each.clear)


def told(ports: Ports, log: Log) -> Ports:
    """The same ports; the log is told what they are asked."""
    images = cast("Images", _ToldImages(ports.images, log))
    return replace(ports, images=images, disks=cast("Disks", _ToldDisks(ports.disks, log)))


class _ToldImages:
    def __init__(self, images: Images, log: Log) -> None:
        self._images = images
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._images, name)

    async def copy(self, disk: Any, range_: PageRange, *rest: Any) -> Any:
        with self._log.noting(range_, clear=False):
            return await self._images.copy(disk, range_, *rest)

    async def clear(self, disk: Any, range_: PageRange, *rest: Any) -> Any:
        with self._log.noting(range_, clear=True):
            return await self._images.clear(disk, range_, *rest)

    async def write(self, disk: Any, range_: PageRange, body: bytes, *rest: Any) -> Any:
        self._log.worker_bytes += len(body)
        return await self._images.write(disk, range_, body, *rest)


class _ToldDisks:
    def __init__(self, disks: Disks, log: Log) -> None:
        self._disks = disks
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disks, name)

    async def read(self, *asked: Any) -> bytes:
        body = await self._disks.read(*asked)
        self._log.worker_bytes += len(body)
        return body


def fewest(changes: Changes) -> int:
    """The fewest page requests that carry out the changes and touch nothing else.

    A copy moves 4 MiB at most and cannot join what does not touch, so that a run takes a request
    for each 4 MiB that it begins; a clear has any length.
    """
    return sum(-(-(end - start) // UNIT) for start, end in changes.written) + len(changes.cleared)
