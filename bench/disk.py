"""A sparse disk in a page blob, and seeded changes of it that are known to the byte."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from azure.storage.blob.aio import BlobClient

from shared.model.ranges import Span, merge

KIB, MIB, GIB = 1024, 1024**2, 1024**3
GRAIN = 4 * KIB
"""Allocation is known in blocks of so many bytes."""
UNIT = 4 * MIB
"""Most that one request writes."""
AT_ONCE = 8
CLEARS = 10
"""Of so many runs that are written there is one that is cleared besides."""


@dataclass(frozen=True)
class Churn:
    """How much of a disk changes, in percent of its size, and in runs of what length."""

    percent: float
    run_bytes: int


@dataclass(frozen=True)
class Changes:
    """What was done to a disk: merged ranges in disk order."""

    written: list[Span]
    cleared: list[Span]

    @property
    def changed_bytes(self) -> int:
        """What has to be copied, at least."""
        return sum(end - start for start, end in self.written)


class Allocation:
    """Which blocks of a disk hold something."""

    def __init__(self, size_bytes: int, held: bytes | None = None) -> None:
        self.size_bytes = size_bytes
        self._held = bytearray(held or size_bytes // GRAIN)

    def copied(self) -> "Allocation":
        return Allocation(self.size_bytes, bytes(self._held))

    @property
    def allocated_bytes(self) -> int:
        return self._held.count(1) * GRAIN

    def holds(self, start: int, end: int) -> bool:
        """Whether all of the range holds something."""
        return self._held.find(0, start // GRAIN, end // GRAIN) < 0

    def mark(self, spans: Iterable[Span], *, held: bool) -> None:
        for start, end in spans:
            blocks = (end - start) // GRAIN
            self._held[start // GRAIN : end // GRAIN] = bytes([held]) * blocks


def sparse_runs(size_bytes: int, share: float, source: random.Random) -> list[Span]:
    """Runs of 1 to 32 MiB with gaps between them, `share` of the disk together, in disk order."""
    runs, at = [], 0
    while at < size_bytes:
        run = source.randint(1, 32) * MIB
        runs.append((at, min(at + round(run * share) // MIB * MIB + MIB, size_bytes)))
        at += run + MIB
    return list(merge(runs))


def choose_changes(allocation: Allocation, churn: Churn, source: random.Random) -> Changes:
    """Runs at random places, aligned to their length; what is cleared was allocated before. The
    allocation becomes what it is afterwards."""
    run = churn.run_bytes
    places = allocation.size_bytes // run
    writes = max(1, round(allocation.size_bytes * churn.percent / 100 / run))
    order = iter(source.sample(range(places), places))
    written = [(at * run, (at + 1) * run) for at in islice(order, writes)]
    full = ((at * run, (at + 1) * run) for at in order)
    cleared = list(
        islice((span for span in full if allocation.holds(*span)), max(1, writes // CLEARS))
    )
    allocation.mark(written, held=True)
    allocation.mark(cleared, held=False)
    return Changes(list(merge(sorted(written))), list(merge(sorted(cleared))))


class Disk:
    """A page blob that a bench writes to, as somebody's machine would."""

    def __init__(self, blob: BlobClient, allocation: Allocation, seed: int) -> None:
        self.blob = blob
        self.allocation = allocation
        self._random = random.Random(seed)
        self._pool = os.urandom(UNIT + MIB)

    @property
    def url(self) -> str:
        return str(self.blob.url)

    async def make(self, share: float) -> None:
        """Creates the blob, about `share` of it allocated."""
        await self.blob.create_page_blob(self.allocation.size_bytes)
        runs = sparse_runs(self.allocation.size_bytes, share, self._random)
        await self._write(runs)
        self.allocation.mark(runs, held=True)

    async def twin(self, blob: BlobClient, seed: int) -> "Disk":
        """Another disk that holds the same; the storage copies it at once."""
        await blob.start_copy_from_url(self.url)
        return Disk(blob, self.allocation.copied(), seed)

    async def change(self, churn: Churn) -> Changes:
        """Writes new bytes and clears old ones."""
        changes = choose_changes(self.allocation, churn, self._random)
        await self._write(changes.written)
        await _side_by_side(
            self.blob.clear_page, ((start, end - start) for start, end in changes.cleared)
        )
        return changes

    async def _write(self, spans: Iterable[Span]) -> None:
        await _side_by_side(
            self._put, ((at, size) for span in spans for at, size in _requests(*span))
        )

    async def _put(self, offset: int, length: int) -> None:
        first = self._random.randrange(MIB)
        await self.blob.upload_page(self._pool[first : first + length], offset, length)


def _requests(start: int, end: int) -> Iterable[tuple[int, int]]:
    return ((at, min(UNIT, end - at)) for at in range(start, end, UNIT))


async def _side_by_side(
    put: Callable[[int, int], Awaitable[object]], ranges: Iterable[tuple[int, int]]
) -> None:
    rest = iter(ranges)

    async def work() -> None:
        for offset, length in rest:
            await put(offset, length)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
