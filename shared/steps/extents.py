"""An image in extents is to the steps one image: here it is fenced, listed and compared."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared.model.disk import DiskState, EpochFence, Snapshot
from shared.model.errors import AlreadyExists, ChainBroken, SourceGone
from shared.model.extents import Extent, Image
from shared.model.ids import Epoch
from shared.model.ranges import Change, ChangedRange, PageRange
from shared.ports import Ports
from shared.steps.side_by_side import side_by_side


@dataclass(frozen=True)
class Fenced:
    """An image whose every extent only writers of one epoch write to."""

    image: Image
    states: tuple[DiskState, ...]
    fresh: frozenset[int]
    """The starts of the extents that were made just now and hold nothing, whatever the ledger
    remembers."""


async def fence(ports: Ports, image: Image, epoch: Epoch, tag: str) -> Fenced:
    """Raises the epoch on every extent, which is made, or brought to its size, where needed.
    Raises `StaleEpoch`."""
    made = await side_by_side(image, lambda extent: _fence(ports, extent, epoch, tag))
    fresh = frozenset(each.start for each, (_, new) in zip(image, made, strict=True) if new)
    return Fenced(image, tuple(state for state, _ in made), fresh)


async def _fence(ports: Ports, extent: Extent, epoch: Epoch, tag: str) -> tuple[DiskState, bool]:
    fresh = False
    try:
        state = await ports.images.raise_epoch(extent.url, epoch)
    except SourceGone:
        fresh = await _create(ports, extent, tag)
        state = await ports.images.raise_epoch(extent.url, epoch)
    if state.size_bytes != extent.size_bytes:
        state = await ports.images.resize(state, extent.size_bytes, EpochFence(epoch=epoch))
    return state, fresh


async def _create(ports: Ports, extent: Extent, tag: str) -> bool:
    """Whether the extent is new; a rival planner may have made it in the same moment."""
    try:
        await ports.images.create(extent.url, extent.size_bytes, tag)
    except AlreadyExists:
        return False
    return True


async def still_fenced(ports: Ports, image: Image, epoch: Epoch) -> tuple[DiskState, ...]:
    """The states of a fenced image's extents now. Raises `StaleEpoch`, `SourceGone`."""
    states = await side_by_side(image, lambda extent: ports.images.raise_epoch(extent.url, epoch))
    return tuple(states)


async def allocated(
    ports: Ports, image: Image, within: PageRange | None = None
) -> AsyncIterator[list[PageRange]]:
    """What `Disks.allocated` says, for an image of any number of extents."""
    for extent in image:
        part = _local(extent, within) if within else None
        if within and part is None:
            continue
        async for page in ports.disks.allocated(extent.held, part):
            yield [_moved(range_, extent.start) for range_ in page] if extent.start else page


async def changed(ports: Ports, image: Image, since: Image) -> AsyncIterator[list[ChangedRange]]:
    """What `Disks.changed` says, extent by extent. Of an extent that `since` has not, everything
    allocated has changed. Raises `ChainBroken`."""
    before = {extent.start: extent for extent in since}
    for extent in image:
        older = before.get(extent.start)
        async for page in _changed(ports, extent, older):
            yield [_change_moved(each, extent.start) for each in page] if extent.start else page


async def _changed(
    ports: Ports, extent: Extent, older: Extent | None
) -> AsyncIterator[list[ChangedRange]]:
    if older is None:
        async for page in ports.disks.allocated(extent.held):
            yield [ChangedRange(range_, Change.WRITTEN) for range_ in page]
    elif not _same(extent, older):
        async for changes in ports.disks.changed(extent.held, older.snapshot):
            yield changes


def _same(extent: Extent, older: Extent) -> bool:
    """Whether both are one snapshot, which two snapshots of an image may share."""
    held = extent.held
    return isinstance(held, Snapshot) and held.id == older.snapshot.id and held.disk == older.url


def unbroken(fenced: Fenced, base: Image) -> None:
    """Raises `ChainBroken` where an extent that the base knows was missing."""
    if any(extent.start in fenced.fresh for extent in base):
        raise ChainBroken("the replica was missing and has been made anew")


def _local(extent: Extent, range_: PageRange) -> PageRange | None:
    """What of the range lies in the extent, in the blob's offsets."""
    start, end = max(range_.start, extent.start), min(range_.end, extent.end)
    return PageRange(start - extent.start, end - extent.start) if start < end else None


def _moved(range_: PageRange, by: int) -> PageRange:
    return PageRange(range_.start + by, range_.end + by)


def _change_moved(change: ChangedRange, by: int) -> ChangedRange:
    return ChangedRange(_moved(change.range, by), change.change)
