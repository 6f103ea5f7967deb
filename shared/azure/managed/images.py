# ruff: noqa: ARG002 (the port has fences; here the disk itself is one)
"""`Images` over new managed disks, which a restore fills through their SAS.

Only restore targets: a replica is page blobs, since nothing but a restore ever writes to a managed
disk. The fence is the disk itself: made for this restore, tagged with it, and writable to nobody
but who holds its SAS. A lease id only tells whose restore lets it go.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from shared.azure.errors import translated
from shared.azure.images import TargetGone
from shared.azure.managed.grants import GrantRefused, Grants, Open
from shared.azure.managed.ranges import SAS_OVER
from shared.azure.managed.uploads import Uploads
from shared.model.arm_ids import disk_id
from shared.model.disk import NO_TRAITS, DiskState, Fence, Traits
from shared.model.errors import Invalid, SourceGone, StaleEpoch, Transient
from shared.model.ids import DiskUrl, Epoch
from shared.model.manifest import NO_CHECKSUM, Algorithm, Checksum
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange
from shared.ports import ReadGrant

T = TypeVar("T")

WRITES = 3
"""Leave to write is asked for at most so often for one request."""


class WriteOver(Transient):
    """The SAS of the disk that is written to has run out, or was taken back."""

    code = "WriteOver"


class ManagedImages:
    def __init__(self, grants: Grants, uploads: Uploads) -> None:
        self._grants = grants
        self._uploads = uploads

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,
        region: str = "",
    ) -> DiskState:
        return await self._uploads.create(disk_id(disk), size_bytes, tag, traits, region)

    async def complete(self, disk: DiskUrl) -> None:
        await self._uploads.complete(disk_id(disk))

    async def delete(self, disk: DiskUrl) -> None:
        await self._uploads.delete(disk_id(disk))

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        raise Invalid(f"{disk} is a managed disk: no replica, which epoch {epoch} could write to")

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        """Nothing to take: the disk is new and waits for our bytes, or it is refused."""
        return await self._uploads.state(disk_id(disk))

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        await self._uploads.let_go(disk_id(disk), lease_id)

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        raise Invalid(f"{state.url} was made with {state.size_bytes} bytes, not {size_bytes}")

    async def copy(
        self,
        disk: DiskUrl,
        range_: PageRange,
        source: ReadGrant,
        fence: Fence,
        source_start: int | None = None,
    ) -> Checksum:
        _check_unit(range_, range_.size_bytes)
        start = range_.start if source_start is None else source_start
        answer = await self._written(
            disk,
            lambda blob: blob.upload_pages_from_url(
                source.url, range_.start, range_.size_bytes, start, retry_total=0
            ),
        )
        return _checksum(answer)

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None:
        await self._written(
            disk, lambda blob: blob.clear_page(range_.start, range_.size_bytes, retry_total=0)
        )

    async def write(self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence) -> Checksum:
        _check_unit(range_, len(body))
        answer = await self._written(
            disk,
            lambda blob: blob.upload_page(
                body, range_.start, range_.size_bytes, validate_content=True, retry_total=0
            ),
        )
        return _checksum(answer)

    async def _written(self, disk: DiskUrl, request: Callable[[Any], Awaitable[T]]) -> T:
        """What the service answers to a write under leave that holds. Raises `StaleEpoch`."""
        for _ in range(WRITES):
            async with self._opened(disk) as held:
                try:
                    with translated(disk, _KINDS):
                        return await request(held.client)
                except WriteOver:
                    self._grants.forget(held)
        raise WriteOver(f"{disk}: leave to write is taken back again and again")

    @asynccontextmanager
    async def _opened(self, disk: DiskUrl) -> AsyncIterator[Open]:
        """Raises `StaleEpoch` where the disk is gone, or complete, and so takes no more bytes."""
        async with AsyncExitStack() as stack:
            try:
                held = await stack.enter_async_context(self._uploads.writing(disk_id(disk)))
            except SourceGone as gone:
                raise TargetGone(str(gone)) from None
            except GrantRefused as refused:
                raise StaleEpoch(f"{disk} takes no bytes any more: {refused}") from None
            yield held


_KINDS = {**dict.fromkeys(SAS_OVER, WriteOver), "BlobNotFound": TargetGone}


def _check_unit(range_: PageRange, moved_bytes: int) -> None:
    """Raises `Invalid` for what no one request can move."""
    if range_.size_bytes > TRANSFER_UNIT_BYTES or moved_bytes != range_.size_bytes:
        raise Invalid(f"{range_} cannot be written in one request of {moved_bytes} bytes")


def _checksum(answer: Mapping[str, Any]) -> Checksum:
    """The checksum that the service returned, of the bytes as it stored them."""
    if md5 := answer.get("content_md5"):
        return Checksum(Algorithm.MD5, bytes(md5))
    if crc64 := answer.get("content_crc64"):
        return Checksum(Algorithm.CRC64, bytes(crc64))
    return NO_CHECKSUM
