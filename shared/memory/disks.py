"""Disks over `MemoryStorage`: reading images and their snapshots, with the service's refusals."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

from shared.memory.faults import Faults
from shared.memory.grants import Grants
from shared.memory.machines import MemoryMachines
from shared.memory.storage import MemoryStorage
from shared.model.arm_ids import compute_scope, is_arm_id, is_machine_id
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import ChainBroken, Conflict, Invalid, SourceGone
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.ranges import Change, ChangedRange, PageRange, intersect
from shared.ports import ReadGrant

T = TypeVar("T")


class MemoryDisks:
    def __init__(
        self,
        storage: MemoryStorage,
        grants: Grants,
        faults: Faults | None = None,
        machines: MemoryMachines | None = None,
    ) -> None:
        self._storage = storage
        self._grants = grants
        self._faults = faults or Faults()
        self._machines = machines or MemoryMachines(storage, faults)

    async def state(self, disk: DiskUrl) -> DiskState:
        async with self._faults.around("disks.state"):
            self._storage.requests["state"] += 1
            if is_machine_id(disk):
                return self._machines.disk_state(disk)
            return self._storage.blob(disk).state

    async def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        if is_arm_id(scope.url) and compute_scope(scope.url).machines:
            async for machines in self._machines.search(scope):
                yield machines
            return
        found = [
            FoundDisk(url=blob.url, size_bytes=blob.size_bytes)
            for blob in self._storage.blobs_below(scope.url)
            if scope.tag is None or blob.labels.get(scope.tag.name) == scope.tag.value
            if not blob.tag or "." in blob.tag
        ]
        async for page in self._pages("disks.search", iter(found)):
            yield page

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        async with self._faults.around("disks.take_snapshot"):
            self._storage.requests["take_snapshot"] += 1
            blob = self._storage.blob(disk)
            if if_etag is not None and blob.etag != if_etag:
                raise Conflict(f"{disk} has been written to since it was looked at")
            return self._storage.snapshot(blob, tag)

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        async with self._faults.around("disks.snapshots"):
            self._storage.requests["snapshots"] += 1
            if is_machine_id(disk):
                return self._machines.snapshots(disk)
            blob = self._storage.find(disk)
            taken = [kept.snapshot for kept in blob.snapshots.values()] if blob else []
            return [snapshot for snapshot in taken if snapshot.tag]

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        if is_machine_id(snapshot.disk):
            await self._machines.delete_point(snapshot.id)
            return
        async with self._faults.around("disks.delete_snapshot"):
            self._storage.requests["delete_snapshot"] += 1
            blob = self._storage.find(snapshot.disk)
            if blob is not None:
                blob.snapshots.pop(snapshot.id, None)

    async def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        found = self._storage.pages(image).allocated()
        if within is not None:
            found = (PageRange(*span) for span in intersect(found, [within]))
        async for page in self._pages("disks.allocated", found):
            yield page

    async def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        async for page in self._pages("disks.changed", iter(self._diff(image, since))):
            yield page

    @asynccontextmanager
    async def grant(self, snapshot: Snapshot) -> AsyncIterator[ReadGrant]:
        async with self._faults.around("disks.grant"):
            given = self._grants.give(snapshot)
        try:
            yield given
        finally:
            self._grants.take_back(given)

    async def take_back(self, disk: DiskUrl) -> None:  # noqa: ARG002
        """A process that dies here leaves none."""
        async with self._faults.around("disks.take_back"):
            self._storage.requests["take_back"] += 1

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        async with self._faults.around("disks.read"):
            self._storage.requests["read"] += 1
            kept = self._storage.version(image)
            if range_.end > kept.size_bytes:
                raise Invalid(f"{range_} ends beyond {kept.disk}")
            body = kept.pages.read(range_)
            self._storage.worker_bytes_read += len(body)
            return body

    async def _pages(self, call: str, found: Iterator[T]) -> AsyncIterator[list[T]]:
        """What was found, one list a request; where nothing was, no list."""
        while True:
            async with self._faults.around(call):
                self._storage.requests[call.removeprefix("disks.")] += 1
                page = list(islice(found, self._storage.listing_rows))
            if not page:
                return
            yield page

    def _diff(self, image: Snapshot | DiskUrl, since: Snapshot) -> list[ChangedRange]:
        newer = self._storage.version(image)
        if newer.disk != since.disk or newer.chain != since.chain:
            raise ChainBroken(f"{since.disk} has been replaced since snapshot {since.id}")
        if isinstance(image, Snapshot) and image.id < since.id:
            raise ChainBroken(f"snapshot {since.id} is newer than {image.id}")
        try:
            older = self._storage.pages(since)
        except SourceGone as gone:
            raise ChainBroken(str(gone)) from None
        if self._storage.diff_answers_everything:
            return [ChangedRange(range_, Change.WRITTEN) for range_ in newer.pages.allocated()]
        found = [*_clip(newer.pages.changed_since(older), newer.size_bytes)]
        return found[: max(0, len(found) - self._storage.diff_loses)]


def _clip(changes: Iterable[ChangedRange], size_bytes: int) -> Iterator[ChangedRange]:
    """What lies on the disk: pages that it lost by shrinking are no longer its own."""
    for change in changes:
        if change.range.start < size_bytes:
            end = min(change.range.end, size_bytes)
            yield ChangedRange(PageRange(change.range.start, end), change.change)
