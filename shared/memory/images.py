"""Images over `MemoryStorage`: writing behind fences that the service itself checks."""

from hashlib import md5

from shared.memory.faults import Faults
from shared.memory.grants import Grants
from shared.memory.storage import Blob, MemoryStorage, check_fence
from shared.model.disk import NO_TRAITS, DiskState, Fence, Traits
from shared.model.errors import (
    TARGET_NOT_FOUND,
    Invalid,
    ServerSideCopyRefused,
    StaleEpoch,
    TargetBusy,
)
from shared.model.ids import DiskUrl, Epoch
from shared.model.manifest import Algorithm, Checksum
from shared.model.ranges import PageRange
from shared.ports import ReadGrant

TARGET_GONE = "The image was deleted while it was written to; start the work again."


class MemoryImages:
    def __init__(
        self, storage: MemoryStorage, grants: Grants, faults: Faults | None = None
    ) -> None:
        self._storage = storage
        self._grants = grants
        self._faults = faults or Faults()

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,
        region: str = "",  # noqa: ARG002
    ) -> DiskState:
        async with self._faults.around("images.create"):
            self._storage.requests["create"] += 1
            state = self._storage.create(disk, size_bytes, tag)
            self._storage.blob(disk).traits = traits
            return state

    async def complete(self, disk: DiskUrl) -> None:
        async with self._faults.around("images.complete"):
            self._storage.blob(disk)

    async def delete(self, disk: DiskUrl) -> None:
        async with self._faults.around("images.delete"):
            self._storage.requests["delete"] += 1
            blob = self._storage.find(disk)
            if blob is not None and blob.lease_id:
                raise TargetBusy(f"{disk} is leased")
            self._storage.remove(disk)

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        async with self._faults.around("images.raise_epoch"):
            self._storage.requests["raise_epoch"] += 1
            blob = self._storage.blob(disk)
            if blob.lease_id:
                raise TargetBusy(f"{disk} is leased by somebody else")
            self._storage.raise_epoch(blob, epoch)
            if blob.sequence_number > epoch:
                raise StaleEpoch(f"epoch {epoch} of {disk} is over: {blob.sequence_number} writes")
            return blob.state

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        async with self._faults.around("images.lease"):
            self._storage.requests["lease"] += 1
            blob = self._storage.blob(disk)
            if blob.lease_id not in ("", lease_id):
                raise TargetBusy(f"{disk} is leased by somebody else")
            if blob.machine:
                raise TargetBusy(f"{disk} is attached to {blob.machine}")
            blob.lease_id = lease_id
            return blob.state

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        async with self._faults.around("images.release"):
            self._storage.requests["release"] += 1
            blob = self._storage.find(disk)
            if blob is not None and blob.lease_id == lease_id:
                blob.lease_id = ""

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        async with self._faults.around("images.resize"):
            self._storage.requests["resize"] += 1
            blob = self._fenced(state.url, fence)
            if blob.etag != state.etag:
                raise StaleEpoch(f"{state.url} is not as it was read")
            return self._storage.resize(state.url, size_bytes)

    async def copy(
        self,
        disk: DiskUrl,
        range_: PageRange,
        source: ReadGrant,
        fence: Fence,
        source_start: int | None = None,
    ) -> Checksum:
        async with self._faults.around("images.copy"):
            self._storage.requests["copy"] += 1
            blob = self._fenced(disk, fence)
            if self._storage.refuse_server_side_copy:
                raise ServerSideCopyRefused("the service does not read this source itself")
            kept = self._storage.kept(self._grants.redeem(source))
            start = range_.start if source_start is None else source_start
            from_ = PageRange(start, start + range_.size_bytes)
            if from_.end > kept.snapshot.size_bytes:
                raise Invalid(f"{from_} ends beyond the source snapshot")
            body = kept.pages.read(from_)
            self._storage.write(blob, range_, body)
            self._storage.copied_bytes += range_.size_bytes
            return _checksum(body)

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None:
        async with self._faults.around("images.clear"):
            self._storage.requests["clear"] += 1
            self._storage.clear(self._fenced(disk, fence), range_)

    async def write(self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence) -> Checksum:
        async with self._faults.around("images.write"):
            self._storage.requests["write"] += 1
            self._storage.write(self._fenced(disk, fence), range_, body)
            self._storage.worker_bytes_written += len(body)
            return _checksum(body)

    def _fenced(self, disk: DiskUrl, fence: Fence) -> Blob:
        """The blob to write to, its fence passed."""
        blob = self._storage.find(disk)
        if blob is None:
            raise StaleEpoch(f"{disk} does not exist", code=TARGET_NOT_FOUND, action=TARGET_GONE)
        check_fence(blob, fence)
        return blob


def _checksum(body: bytes) -> Checksum:
    return Checksum(Algorithm.MD5, md5(body, usedforsecurity=False).digest())
