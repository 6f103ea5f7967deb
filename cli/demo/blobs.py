"""The demo's disk as a page blob: written and read back through the pipeline's own ports."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shared.decide.copying import ranges_of
from shared.model.disk import EpochFence, Snapshot
from shared.model.ids import NO_EPOCH, DiskUrl
from shared.model.ranges import TRANSFER_UNIT_BYTES, Change, ChangedRange, PageRange
from shared.ports import Ports

PARALLEL = 8
_NOBODY = EpochFence(epoch=NO_EPOCH)
"""A blob that no transfer ever wrote to stands at this epoch."""


async def write_changes(
    ports: Ports, disk: DiskUrl, image: Path, changes: Sequence[ChangedRange]
) -> None:
    """Makes the same changes to the blob: writes of at most 4 MiB, and clears."""
    with image.open("rb") as file:

        async def write(range_: PageRange) -> None:
            body = os.pread(file.fileno(), range_.size_bytes, range_.start)
            await ports.images.write(disk, range_, body, _NOBODY)

        async def clear(range_: PageRange) -> None:
            await ports.images.clear(disk, range_, _NOBODY)

        await _each(_units(ranges_of(changes, Change.WRITTEN)), write)
        await _each(ranges_of(changes, Change.CLEARED), clear)


async def download(ports: Ports, snapshot: Snapshot, into: Path) -> None:
    """The snapshot as a sparse file: only what is allocated is asked for."""
    with into.open("wb") as file:
        file.truncate(snapshot.size_bytes)

        async def read(range_: PageRange) -> None:
            os.pwrite(file.fileno(), await ports.disks.read(snapshot, range_), range_.start)

        async for listed in ports.disks.allocated(snapshot):
            await _each(_units(listed), read)


def _units(ranges: Iterable[PageRange]) -> Iterator[PageRange]:
    """The ranges in pieces that one request moves."""
    for range_ in ranges:
        for start in range(range_.start, range_.end, TRANSFER_UNIT_BYTES):
            yield PageRange(start, min(start + TRANSFER_UNIT_BYTES, range_.end))


async def _each(ranges: Iterable[PageRange], do: Callable[[PageRange], Awaitable[None]]) -> None:
    """Does it for every range, some at a time."""
    places = asyncio.Semaphore(PARALLEL)

    async def one(range_: PageRange) -> None:
        async with places:
            await do(range_)

    async with asyncio.TaskGroup() as group:
        for range_ in ranges:
            group.create_task(one(range_))
