"""What the steps need of disk images: reading them, writing them, and what lies beside them."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.model.disk import NO_TRAITS, DiskState, Fence, Snapshot, Traits
from shared.model.ids import DiskUrl, Epoch
from shared.model.inventory import FoundDisk, Scope
from shared.model.manifest import Checksum
from shared.model.ranges import ChangedRange, PageRange


class ReadGrant:
    """Leave to read one snapshot for a short while. Its URL is a secret: it is never printed,
    stored or sent (invariant 10)."""

    __slots__ = ("url",)

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return "ReadGrant(…)"


class Disks(Protocol):
    """Reading page images and their snapshots: sources and replicas alike. An image in several
    extents is read extent by extent (`shared.steps.extents`)."""

    async def state(self, disk: DiskUrl) -> DiskState:
        """Raises `SourceGone` where there is no such image, `Invalid` where it is no page image
        or lies in an account that is not ours to use."""
        ...

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        """The page images in the scope that are no replicas of ours, one list a request. Raises
        `SourceGone` where there is no such container, `Invalid` as with `state`."""
        ...

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        """Raises `Conflict` where the image is not at `if_etag` any more, `SourceGone`."""
        ...

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        """Those that we took (they carry a tag), oldest first; none where the image is gone."""
        ...

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        """One that is gone already is no error."""
        ...

    def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        """What was ever written and not cleared since, in order, one list a request; merged.
        Only what lies `within` a range of the image, where one is given. Raises `SourceGone`."""
        ...

    def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        """What was written or cleared since, in order, one list a request. Raises `ChainBroken`
        where the service cannot tell, `SourceGone` where `image` is gone."""
        ...

    def grant(self, snapshot: Snapshot) -> AbstractAsyncContextManager[ReadGrant]:
        """Leave for the service to read the snapshot; taken back on the way out."""
        ...

    async def take_back(self, disk: DiskUrl) -> None:
        """Leave to read the disk's snapshots that a dead process may have left, where the service
        lets leave be taken back. Only while nothing is under way that reads them; what this
        process itself reads stays."""
        ...

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        """The bytes themselves, through the worker. Raises `SourceGone`, `Invalid` beyond the
        image's end."""
        ...


class Images(Protocol):
    """Writing page images: an image of one blob, or one extent of a larger one. Writers are fenced
    by the service itself (invariant 3): every write with a stale fence raises `StaleEpoch` and
    changes nothing.

    `copy`, `clear` and `write` are tried once: who asks for many at a time decides when to repeat
    what, and how many to send (`shared.steps.lanes`)."""

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,
        region: str = "",
    ) -> DiskState:
        """An image of zeros that carries `tag` (its `DiskState.tag`). A managed disk is made like
        one of these traits, in the region, or else in its resource group's. Raises
        `AlreadyExists`."""
        ...

    async def complete(self, disk: DiskUrl) -> None:
        """Makes a disk that a machine can have of what was written; repeatable, and nothing to do
        for a page blob. Raises `SourceGone`."""
        ...

    async def delete(self, disk: DiskUrl) -> None:
        """With its snapshots; one that is gone already is no error."""
        ...

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        """From now on only writers of `epoch` pass. Raises `StaleEpoch` where a higher one has
        been raised, `SourceGone` where there is no such image."""
        ...

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        """Repeatable with the same id. Raises `TargetBusy` where somebody else holds it."""
        ...

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        """A lease that is not held any more is no error."""
        ...

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        """Only while the image is as in `state`. Raises `StaleEpoch` where it is not."""
        ...

    async def copy(
        self,
        disk: DiskUrl,
        range_: PageRange,
        source: ReadGrant,
        fence: Fence,
        source_start: int | None = None,
    ) -> Checksum:
        """Server-side, ≤ 4 MiB, from `source_start` of the source on, or else from the same
        offset; the checksum of what was copied. Raises `StaleEpoch`, `SourceGone`, `GrantOver`,
        `ServerSideCopyRefused`."""
        ...

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None: ...

    async def write(
        self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence
    ) -> Checksum: ...


class Plans(Protocol):
    """Plans and manifests as compact blobs beside the replica. Immutable once written."""

    async def put(self, url: str, blocks: AsyncIterable[bytes]) -> None:
        """Writes the blocks one by one, as they come; the plan exists once all are written.
        Whatever the blocks raise goes through, and leaves no plan. The same bytes again are no
        error; raises `Conflict` where others lie there."""
        ...

    async def slice(self, url: str, offset: int, length: int) -> bytes: ...

    async def urls(self, prefix: str) -> list[str]:
        """The plans whose URLs begin so."""
        ...

    async def delete(self, prefix: str) -> None:
        """Every plan whose URL begins so."""
        ...


class Containers(Protocol):
    """Where vaults put what they keep."""

    async def make(self, url: str) -> None:
        """The container, which may exist already. Raises `Invalid` where it lies in an account
        that is not ours to use, or that we may not make containers in."""
        ...
