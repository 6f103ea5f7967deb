"""`Disks` over managed disks: Resource Manager takes their snapshots, storage lists and reads them.

A managed disk is named by its resource id, and its chain by that and its unique id. It has no
state that could be listed or read but its snapshots; of a new disk that we fill, what we wrote.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from shared.azure.arm import Arm, Json, pages_of
from shared.azure.errors import translated
from shared.azure.managed import ranges
from shared.azure.managed.disk_points import collection_of
from shared.azure.managed.grants import Grants, Open
from shared.azure.managed.naming import is_tagged
from shared.azure.managed.snapshots import NotAllowed, Snapshots
from shared.azure.managed.uploads import Uploads
from shared.azure.managed.wire import disk_state, size_of
from shared.decide.governor import diff_is_told
from shared.model.arm_ids import compute_scope, disk_id, readable_id
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import ChainBroken, GrantOver, Invalid, SourceGone
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.ranges import ChangedRange, PageRange
from shared.ports import ReadGrant

T = TypeVar("T")
Image = Snapshot | DiskUrl

GRANTS = 3
"""Leave is asked for at most so often for one request; only who revokes it all the time uses that
up."""


class ManagedDisks:
    def __init__(self, arm: Arm, grants: Grants, snapshots: Snapshots, uploads: Uploads) -> None:
        self._arm = arm
        self._grants = grants
        self._snapshots = snapshots
        self._uploads = uploads
        self.listing_rows = ranges.LISTING_ROWS

    async def state(self, disk: DiskUrl) -> DiskState:
        id_ = disk_id(disk)
        return disk_state(id_, await self._snapshots.disk(id_))

    async def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        where = compute_scope(scope.url)
        disks = self._arm.compute(where.subscription).disks
        listing = disks.list_by_resource_group(where.group) if where.group else disks.list()
        async for page in pages_of(listing, str(where)):
            yield [_found(body) for body in page if is_tagged(body, scope.tag)]

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        """A new disk that we have filled is complete with its first snapshot."""
        if if_etag:
            raise Invalid(f"{disk} is a managed disk: its snapshots know no condition")
        id_ = disk_id(disk)
        try:
            return await self._snapshots.take(id_, tag)
        except NotAllowed:
            if not await self._uploads.complete(id_):
                raise
        return await self._snapshots.take(id_, tag)

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        return await self._snapshots.of(disk_id(disk))

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        await self._snapshots.delete(snapshot)

    async def take_back(self, disk: DiskUrl) -> None:
        await self._snapshots.take_back(disk_id(disk))

    async def allocated(
        self, image: Image, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        """Goes on where it was where leave ran out in mid-listing."""
        size_bytes = await self._size_of(image)
        at, end = (within.start, min(within.end, size_bytes)) if within else (0, size_bytes)
        for again in range(GRANTS):
            if at >= end:
                return
            async with self._opened(image) as held:
                try:
                    left = PageRange(at, end)
                    listing = ranges.allocated(held.client, _name(image), left, self.listing_rows)
                    async for page in listing:
                        yield page
                        at = page[-1].end if page else at
                    return
                except GrantOver:
                    self._grants.forget(held)
                    if again == GRANTS - 1:
                        raise

    async def changed(self, image: Image, since: Snapshot) -> AsyncIterator[list[ChangedRange]]:
        """Window by window; one whose answer came back full is asked about again in halves."""
        newer = _comparable(image, since)
        todo = list(ranges.windows_of(newer.size_bytes))[::-1]
        while todo:
            answer = await self._changed(newer, since, todo.pop())
            if isinstance(answer, tuple):
                todo += answer[::-1]
            else:
                yield answer

    @asynccontextmanager
    async def grant(self, snapshot: Snapshot) -> AsyncIterator[ReadGrant]:
        """Shared with everybody in this process; tried before it is given to another, since its
        owner, or the service, may have ended it meanwhile."""
        for _ in range(GRANTS - 1):
            shared = self._snapshots.is_open(snapshot)
            async with self._snapshots.reading(snapshot) as held:
                if not shared or await self._opens(held):
                    yield ReadGrant(held.url)
                    return
                self._grants.forget(held)
        async with self._snapshots.reading(snapshot) as held:
            yield ReadGrant(held.url)

    async def read(self, image: Image, range_: PageRange) -> bytes:
        if range_.end > await self._size_of(image):
            raise Invalid(f"{range_} ends beyond {_name(image)}")

        async def request(held: Open) -> bytes:
            with translated(_name(image), ranges.SAS_OVER):
                stream = await held.client.download_blob(
                    offset=range_.start, length=range_.size_bytes
                )
                return await stream.readall()

        return await self._tried(image, request)

    async def _changed(
        self, newer: Snapshot, since: Snapshot, window: PageRange
    ) -> list[ChangedRange] | tuple[PageRange, ...]:
        async def request(held: Open) -> list[ChangedRange] | tuple[PageRange, ...]:
            async with AsyncExitStack() as stack:
                try:
                    before = await stack.enter_async_context(self._snapshots.reading(since))
                except SourceGone as gone:
                    raise ChainBroken(f"the snapshot to compare with is gone: {gone}") from None
                try:
                    return await ranges.changed(held.client, before.url, _name(newer), window)
                except GrantOver:
                    self._grants.forget(before)  # the service does not say which one is over
                    raise

        return await self._tried(newer, request)

    async def _tried(self, image: Image, request: Callable[[Open], Awaitable[T]]) -> T:
        """What the request answers under leave that holds. Raises `GrantOver` where none does."""
        for _ in range(GRANTS - 1):
            async with self._opened(image) as held:
                try:
                    return await request(held)
                except GrantOver:
                    self._grants.forget(held)
        async with self._opened(image) as held:
            return await request(held)

    @asynccontextmanager
    async def _opened(self, image: Image) -> AsyncIterator[Open]:
        if isinstance(image, Snapshot):
            async with self._snapshots.reading(image) as held:
                yield held
        else:
            async with self._uploads.writing(disk_id(image)) as held:
                yield held

    async def _opens(self, held: Open) -> bool:
        """Whether the storage service still takes the SAS."""
        try:
            with translated(str(held.of), ranges.SAS_OVER):
                await held.client.get_blob_properties()
        except (GrantOver, SourceGone):
            return False
        return True

    async def _size_of(self, image: Image) -> int:
        if isinstance(image, Snapshot):
            return image.size_bytes
        return await self._uploads.size_bytes(disk_id(image))


def _comparable(image: Image, since: Snapshot) -> Snapshot:
    """The newer snapshot. Raises `ChainBroken` where the service would not tell the truth of the
    two, or nothing at all."""
    if not isinstance(image, Snapshot):
        raise ChainBroken(f"{image} is a managed disk: only its snapshots can be compared")
    if image.chain != since.chain:
        raise ChainBroken(f"snapshot {since.id} is of another disk than {image.id}")
    if collection_of(readable_id(image.id)) != collection_of(readable_id(since.id)):
        raise ChainBroken(f"snapshot {since.id} is not kept with {image.id}")
    if image.taken_at < since.taken_at:
        raise ChainBroken(f"snapshot {since.id} is newer than {image.id}")
    if not diff_is_told(since.size_bytes, image.size_bytes):
        raise ChainBroken("the disk has been resized across 4 TiB: its changes are not told")
    return image


def _name(image: Image) -> str:
    return image.id if isinstance(image, Snapshot) else image


def _found(body: Json) -> FoundDisk:
    return FoundDisk(url=disk_id(str(body["id"])).url, size_bytes=size_of(body["properties"]))
