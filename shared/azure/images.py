"""Images on page blobs: every write goes behind a fence that the service itself checks.

An epoch is the blob's sequence number, and a write holds only while the number is the writer's
own; a lease is a lease (invariant 3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties, SequenceNumberAction
from azure.storage.blob.aio import BlobLeaseClient

from shared.azure.accounts import Accounts
from shared.azure.containers import in_container
from shared.azure.disks import IMAGE_TAG, if_matches, read_properties, state_of
from shared.azure.errors import error_code, translated
from shared.model.disk import DiskState, EpochFence, Fence
from shared.model.errors import TARGET_NOT_FOUND, Invalid, StaleEpoch
from shared.model.ids import DiskUrl, Epoch
from shared.model.image_size import check_image_size
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange
from shared.ports import ReadGrant

FOREVER = -1
"""Leases do not run out: a restore may outlive any worker, and goes on under the same id."""
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

    async def create(self, disk: DiskUrl, size_bytes: int, tag: str) -> DiskState:
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

    async def copy(self, disk: DiskUrl, range_: PageRange, source: ReadGrant, fence: Fence) -> None:
        blob = self._accounts.place(disk).client()
        _check_unit(range_, range_.size_bytes)
        with _writing(disk):
            await blob.upload_pages_from_url(
                source.url, range_.start, range_.size_bytes, range_.start, **_condition(fence)
            )

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None:
        blob = self._accounts.place(disk).client()
        with _writing(disk):
            await blob.clear_page(range_.start, range_.size_bytes, **_condition(fence))

    async def write(self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence) -> None:
        blob = self._accounts.place(disk).client()
        _check_unit(range_, len(body))
        with _writing(disk):
            await blob.upload_page(
                body, range_.start, range_.size_bytes, validate_content=True, **_condition(fence)
            )


def _condition(fence: Fence) -> dict[str, Any]:
    """The fence as the SDK's option for a write of pages."""
    if isinstance(fence, EpochFence):
        return {"if_sequence_number_eq": str(fence.epoch)}
    return _lease(fence)


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
