"""Disks on page blobs: states, snapshots, listings of pages, and reads."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobType
from azure.storage.blob import PageRange as ServiceRange
from azure.storage.blob.aio import BlobClient

from shared.azure.accounts import Accounts
from shared.azure.errors import each_page, translated
from shared.azure.search import search
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import ChainBroken, Invalid, SourceGone, Transient, VaultlineError
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.ranges import Change, ChangedRange, PageRange, intersect
from shared.ports import ReadGrant

TAG = "vaultline_tag"
CHAIN = "vaultline_chain"
"""Metadata of the snapshots that we take, beside the blob's own. The chain is kept there, too,
since what a snapshot's creation time says is not documented."""
IMAGE_TAG = "vaultline_image"
"""Metadata of the images that we make. Another name: a snapshot that others take of such an
image inherits it, and must not pass for one of ours."""
LISTING_ROWS = 10_000
"""Most ranges of one answer (the service's own limit)."""


class AzureDisks:
    def __init__(self, accounts: Accounts, listing_rows: int = LISTING_ROWS) -> None:
        self._accounts = accounts
        self.listing_rows = listing_rows

    async def state(self, disk: DiskUrl) -> DiskState:
        return state_of(disk, await read_properties(self._accounts.place(disk).client(), disk))

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        return search(self._accounts, scope, IMAGE_TAG)

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        place = self._accounts.place(disk)
        blob = place.client()
        before = await read_properties(blob, disk)
        with translated(disk):
            # Not repeated by the SDK: after a lost answer the caller looks for the tag first.
            taken = await blob.create_snapshot(
                metadata={**before.metadata, TAG: tag, CHAIN: _chain(before)},
                retry_total=0,
                **if_matches(if_etag),
            )
        id_ = str(taken["snapshot"])
        return _snapshot(disk, await read_properties(place.client(id_), disk))

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        place = self._accounts.place(disk)
        found: list[Snapshot] = []
        listing = place.container_client().list_blobs(
            name_starts_with=place.name, include=["snapshots", "metadata"]
        )
        try:
            async for page in each_page(listing.by_page(), disk):
                its = [blob for blob in page if blob.name == place.name]
                tagged = [each for each in its if each.snapshot and TAG in (each.metadata or {})]
                found += [_snapshot(disk, blob) for blob in tagged]
                if len(its) < len(page):
                    break  # names are sorted: what only begins like this disk comes after it
        except SourceGone:
            return []
        return sorted(found, key=lambda snapshot: snapshot.id)

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        blob = self._accounts.place(snapshot.disk).client(snapshot.id)
        with translated(snapshot.disk):
            try:
                await blob.delete_blob()
            except ResourceNotFoundError:
                return

    async def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        disk, client = self._image(image)
        pages = client.list_page_ranges(
            offset=within.start if within else None,
            length=within.size_bytes if within else None,
            results_per_page=self.listing_rows,
        ).by_page()
        async for changes in _listing(pages, disk, Transient):
            listed = [change.range for change in changes]
            if within:  # whether a range that sticks out is cut is not documented
                listed = [PageRange(*span) for span in intersect(listed, [within])]
            yield listed

    async def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        disk, client = self._image(image)
        if disk != since.disk:
            raise ChainBroken(f"snapshot {since.id} is of {since.disk}, not of {disk}")
        pages = client.list_page_ranges(
            previous_snapshot=since.id, results_per_page=self.listing_rows
        ).by_page()
        async for changes in _listing(pages, disk, ChainBroken):
            yield changes

    @asynccontextmanager
    async def grant(self, snapshot: Snapshot) -> AsyncIterator[ReadGrant]:
        """A signature cannot be taken back; it reads one snapshot only, and ends by itself."""
        place = self._accounts.place(snapshot.disk)
        yield await place.account.grant(place, snapshot)

    async def take_back(self, disk: DiskUrl) -> None:
        """Signatures end by themselves."""

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        disk, blob = self._image(image)
        with translated(disk):
            stream = await blob.download_blob(offset=range_.start, length=range_.size_bytes)
            body = await stream.readall()
        if len(body) != range_.size_bytes:
            raise Invalid(f"{range_} ends beyond {disk}")
        return body

    def _image(self, image: Snapshot | DiskUrl) -> tuple[DiskUrl, BlobClient]:
        if isinstance(image, Snapshot):
            return image.disk, self._accounts.place(image.disk).client(image.id)
        return image, self._accounts.place(image).client()


def if_matches(etag: str | None) -> dict[str, Any]:
    """The SDK's options for a request that holds only while the blob is at `etag`."""
    if etag is None:
        return {}
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


async def read_properties(blob: BlobClient, disk: DiskUrl) -> BlobProperties:
    """The blob's properties. Raises `SourceGone`; `Invalid` where it has no pages."""
    with translated(disk):
        properties = await blob.get_blob_properties()
    if properties.blob_type != BlobType.PAGEBLOB:
        raise Invalid(
            f"{disk} is a {properties.blob_type}, not a page blob",
            action="Name the page blob that holds the disk (a fixed VHD or a raw image).",
        )
    return properties


def state_of(disk: DiskUrl, properties: BlobProperties) -> DiskState:
    return DiskState(
        url=disk,
        size_bytes=int(properties.size),
        chain=_chain(properties),
        etag=str(properties.etag),
        tag=(properties.metadata or {}).get(IMAGE_TAG, ""),
    )


def _snapshot(disk: DiskUrl, properties: BlobProperties) -> Snapshot:
    """One of our snapshots, as its properties or a listing describe it."""
    metadata, id_ = properties.metadata or {}, str(properties.snapshot)
    return Snapshot(
        disk=disk,
        id=id_,
        taken_at=datetime.fromisoformat(id_).astimezone(UTC),
        size_bytes=int(properties.size),
        chain=metadata.get(CHAIN) or _chain(properties),
        tag=metadata[TAG],
    )


def _chain(properties: BlobProperties) -> str:
    return properties.creation_time.astimezone(UTC).isoformat()


async def _listing(
    pages: Any, disk: DiskUrl, disorder: type[VaultlineError]
) -> AsyncIterator[list[ChangedRange]]:
    """Pages of ranges, neighbours joined within each. Raises `disorder` where they do not
    advance along the disk: no such list can be trusted."""
    last = 0
    async for page in each_page(pages, disk):
        ranges = [_range(each) for each in page]
        for current in ranges:
            if current.range.start < last:
                raise disorder(f"{disk}: the list of its page ranges is out of order")
            last = current.range.end
        yield _joined(ranges)


def _range(listed: ServiceRange) -> ChangedRange:
    """The service's ends are inclusive."""
    assert listed.start is not None
    assert listed.end is not None
    change = Change.CLEARED if listed.cleared else Change.WRITTEN
    return ChangedRange(PageRange(listed.start, listed.end + 1), change)


def _joined(ranges: Iterable[ChangedRange]) -> list[ChangedRange]:
    joined: list[ChangedRange] = []
    for current in ranges:
        before = joined[-1] if joined else None
        if before and (before.change, before.range.end) == (current.change, current.range.start):
            grown = PageRange(before.range.start, current.range.end)
            joined[-1] = ChangedRange(grown, current.change)
        else:
            joined.append(current)
    return joined
