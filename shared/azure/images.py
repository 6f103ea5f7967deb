"""Images on page blobs: every write goes behind a fence that the service itself checks.

An epoch is the blob's sequence number, and a write holds only while the number is the writer's
own; a lease is a lease (invariant 3).
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties, SequenceNumberAction
from azure.storage.blob.aio import BlobClient, BlobLeaseClient

from shared.azure.accounts import Accounts
from shared.azure.containers import in_container
from shared.azure.disks import IMAGE_TAG, if_matches, read_properties, state_of
from shared.azure.errors import error_code, translated
from shared.model.disk import NO_TRAITS, DiskState, EpochFence, Fence, Traits
from shared.model.errors import TARGET_NOT_FOUND, Invalid, StaleEpoch
from shared.model.ids import DiskUrl, Epoch
from shared.model.image_size import check_image_size
from shared.model.manifest import NO_CHECKSUM, Algorithm, Checksum
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange
from shared.ports import ReadGrant

FOREVER = -1
"""Leases do not run out: a restore may outlive any worker, and goes on under the same id."""
TARGETS = 64
"""Clients kept for images under way."""
_GONE = frozenset({"BlobNotFound", "ContainerNotFound"})
_NOT_HELD = _GONE | {
    "LeaseNotPresentWithLeaseOperation",
    "LeaseIdMismatchWithLeaseOperation",
    "LeaseLost",
}


class TargetGone(StaleEpoch):
    """The image that is written to does not exist (any more): its fence is gone with it."""

    code = TARGET_NOT_FOUND
    action = "The image was deleted while it was written to; start the work again."


class AzureImages:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._targets: OrderedDict[DiskUrl, BlobClient] = OrderedDict()

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,  # noqa: ARG002 (page blobs have none)
        region: str = "",  # noqa: ARG002
    ) -> DiskState:
        place = self._accounts.place(disk)
        blob = place.client()
        check_image_size(size_bytes)
        with translated(disk):
            # Not repeated by the SDK: after a lost answer the repeat would meet its own image.
            await in_container(
                place,
                lambda: blob.create_page_blob(
                    size_bytes,
                    metadata={IMAGE_TAG: tag} if tag else None,
                    match_condition=MatchConditions.IfMissing,
                    retry_total=0,
                ),
            )
        return state_of(disk, await read_properties(blob, disk))

    async def complete(self, disk: DiskUrl) -> None:
        """A page blob is one all the time."""

    async def delete(self, disk: DiskUrl) -> None:
        blob = self._accounts.place(disk).client()
        with translated(disk), _passing(_GONE):
            await blob.delete_blob(delete_snapshots="include")

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        blob = self._accounts.place(disk).client()
        with translated(disk):
            await blob.set_sequence_number(SequenceNumberAction.MAX, str(epoch))
        properties = await read_properties(blob, disk)
        if (writes := _sequence_number(properties)) != epoch:
            raise StaleEpoch(f"epoch {epoch} of {disk} is over: {writes} writes")
        return state_of(disk, properties)

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        blob = self._accounts.place(disk).client()
        with translated(disk):
            await BlobLeaseClient(blob, lease_id).acquire(lease_duration=FOREVER)
        return state_of(disk, await read_properties(blob, disk))

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        blob = self._accounts.place(disk).client()
        with translated(disk), _passing(_NOT_HELD):
            await BlobLeaseClient(blob, lease_id).release()

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        """Resizing takes no condition on the sequence number; but the etag read together with it
        changes whenever it does, and so stands for it."""
        check_image_size(size_bytes)
        blob = self._accounts.place(state.url).client()
        properties = await read_properties(blob, state.url)
        _check(state, properties, fence)
        with translated(state.url, {"ConditionNotMet": StaleEpoch}):
            resized = await blob.resize_blob(
                size_bytes, retry_total=0, **if_matches(state.etag), **_lease(fence)
            )
        return replace(state, size_bytes=size_bytes, etag=str(resized["etag"]))

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
        with _writing(disk):
            answer = await self._target(disk).upload_pages_from_url(
                source.url, range_.start, range_.size_bytes, start, **_attempt(fence)
            )
        return _checksum(answer)

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None:
        with _writing(disk):
            await self._target(disk).clear_page(range_.start, range_.size_bytes, **_attempt(fence))

    async def write(self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence) -> Checksum:
        _check_unit(range_, len(body))
        with _writing(disk):
            answer = await self._target(disk).upload_page(
                body, range_.start, range_.size_bytes, validate_content=True, **_attempt(fence)
            )
        return _checksum(answer)

    def _target(self, disk: DiskUrl) -> BlobClient:
        """The client of an image that is written to page by page: making one costs as much as a
        request does."""
        if disk not in self._targets:
            while len(self._targets) >= TARGETS:
                self._targets.popitem(last=False)
            self._targets[disk] = self._accounts.place(disk).client()
        self._targets.move_to_end(disk)
        return self._targets[disk]


def _checksum(answer: Mapping[str, Any]) -> Checksum:
    """The checksum that the service returned, of the bytes as it stored them."""
    if md5 := answer.get("content_md5"):
        return Checksum(Algorithm.MD5, bytes(md5))
    if crc64 := answer.get("content_crc64"):
        return Checksum(Algorithm.CRC64, bytes(crc64))
    return NO_CHECKSUM


def _attempt(fence: Fence) -> dict[str, Any]:
    """The SDK's options for one try of a fenced write of pages. Its own patience is for single
    requests: of many, each would wait for itself alone."""
    if isinstance(fence, EpochFence):
        return {"if_sequence_number_eq": str(fence.epoch), "retry_total": 0}
    return {**_lease(fence), "retry_total": 0}


def _lease(fence: Fence) -> dict[str, Any]:
    return {} if isinstance(fence, EpochFence) else {"lease": fence.lease_id}


def _check(state: DiskState, properties: BlobProperties, fence: Fence) -> None:
    """Raises `StaleEpoch` where the image is not as in `state`, or the epoch is over."""
    writes = _sequence_number(properties)
    if isinstance(fence, EpochFence) and fence.epoch != writes:
        raise StaleEpoch(f"epoch {fence.epoch} of {state.url} is over: {writes} writes")
    if properties.etag != state.etag:
        raise StaleEpoch(f"{state.url} is not as it was read")


def _check_unit(range_: PageRange, moved_bytes: int) -> None:
    """Raises `Invalid` for what no one request can move. The service would say so, too, but may
    hang up before the body is through, which looks like a broken connection."""
    if range_.size_bytes > TRANSFER_UNIT_BYTES or moved_bytes != range_.size_bytes:
        raise Invalid(f"{range_} cannot be written in one request of {moved_bytes} bytes")


def _sequence_number(properties: BlobProperties) -> int:
    return int(properties.page_blob_sequence_number or 0)


@contextmanager
def _writing(disk: DiskUrl) -> Iterator[None]:
    """Translates the errors of a fenced write."""
    with translated(disk, {"BlobNotFound": TargetGone, "ContainerNotFound": TargetGone}):
        yield


@contextmanager
def _passing(codes: frozenset[str]) -> Iterator[None]:
    """Takes the service's refusal for done where it says that nothing is left to do."""
    try:
        yield
    except HttpResponseError as error:
        if error_code(error) not in codes:
            raise
