"""One set of ports for all that is protected: page blobs, named by URL, and managed disks and
virtual machines, by id."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from shared.model.arm_ids import compute_scope, is_arm_id, is_machine_id
from shared.model.disk import NO_TRAITS, DiskState, Fence, Snapshot, Traits
from shared.model.ids import DiskUrl, Epoch
from shared.model.inventory import FoundDisk, Scope
from shared.model.manifest import Checksum
from shared.model.ranges import ChangedRange, PageRange
from shared.ports import Disks, Images, ReadGrant


class RoutedDisks:
    """`Disks`, each call by the kind of disk that it is about."""

    def __init__(self, blobs: Disks, managed: Disks, machines: Disks) -> None:
        self.blobs = blobs
        self.managed = managed
        self.machines = machines

    def _of(self, image: Snapshot | DiskUrl) -> Disks:
        disk = image.disk if isinstance(image, Snapshot) else image
        if not is_arm_id(disk):
            return self.blobs
        return self.machines if is_machine_id(disk) else self.managed

    async def state(self, disk: DiskUrl) -> DiskState:
        return await self._of(disk).state(disk)

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        if not is_arm_id(scope.url):
            return self.blobs.search(scope)
        machines = compute_scope(scope.url).machines
        return (self.machines if machines else self.managed).search(scope)

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        return await self._of(disk).take_snapshot(disk, tag, if_etag)

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        return await self._of(disk).snapshots(disk)

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        await self._of(snapshot).delete_snapshot(snapshot)

    async def take_back(self, disk: DiskUrl) -> None:
        await self._of(disk).take_back(disk)

    def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        return self._of(image).allocated(image, within)

    def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        return self._of(image).changed(image, since)

    def grant(self, snapshot: Snapshot) -> AbstractAsyncContextManager[ReadGrant]:
        return self._of(snapshot).grant(snapshot)

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        return await self._of(image).read(image, range_)


class RoutedImages:
    """`Images`, each call by the kind of image that it writes to."""

    def __init__(self, blobs: Images, managed: Images) -> None:
        self.blobs = blobs
        self.managed = managed

    def _of(self, disk: DiskUrl) -> Images:
        return self.managed if is_arm_id(disk) else self.blobs

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,
        region: str = "",
    ) -> DiskState:
        return await self._of(disk).create(disk, size_bytes, tag, traits, region)

    async def complete(self, disk: DiskUrl) -> None:
        await self._of(disk).complete(disk)

    async def delete(self, disk: DiskUrl) -> None:
        await self._of(disk).delete(disk)

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        return await self._of(disk).raise_epoch(disk, epoch)

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        return await self._of(disk).lease(disk, lease_id)

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        await self._of(disk).release(disk, lease_id)

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        return await self._of(state.url).resize(state, size_bytes, fence)

    async def copy(
        self,
        disk: DiskUrl,
        range_: PageRange,
        source: ReadGrant,
        fence: Fence,
        source_start: int | None = None,
    ) -> Checksum:
        return await self._of(disk).copy(disk, range_, source, fence, source_start)

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None:
        await self._of(disk).clear(disk, range_, fence)

    async def write(self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence) -> Checksum:
        return await self._of(disk).write(disk, range_, body, fence)
