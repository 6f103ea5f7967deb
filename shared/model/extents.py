"""Images in extents: a page blob, or the snapshot of one, for each stretch of a disk.

A page blob ends at 8 TiB and moves about 60 MiB a second, so the replica of a large disk is
several of them. Extents are multiples of 4 MiB, so that no copy of at most 4 MiB, aligned to its
size, crosses from one into the next.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from shared.model.disk import Snapshot
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.image_size import LARGEST_IMAGE_BYTES
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange

EXTENT_BYTES = 64 * 1024**3
"""Of a vault that nobody said another size of: sixteen blobs a TiB, together at about 1 GB/s."""
MOST_EXTENTS = 128
"""A replica begins with at most so many: each costs a few requests a backup."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The stretch `[start, end)` of an image, in bytes of the disk, and what holds it: a page
    blob, or one's snapshot, whose byte 0 is the disk's byte `start`."""

    held: DiskUrl | Snapshot
    start: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.start + self.size_bytes

    @property
    def url(self) -> DiskUrl:
        """The page blob itself."""
        return self.held.disk if isinstance(self.held, Snapshot) else self.held

    @property
    def snapshot(self) -> Snapshot:
        """Of an extent that a snapshot holds."""
        assert isinstance(self.held, Snapshot)
        return self.held


Image = tuple[Extent, ...]
"""A disk image as its extents, in disk order and without gaps; never empty."""


def check_extent_bytes(size: int) -> int:
    """The size, where extents may have it. Raises `Invalid`."""
    if not TRANSFER_UNIT_BYTES <= size <= LARGEST_IMAGE_BYTES or size % TRANSFER_UNIT_BYTES:
        raise Invalid(
            f"extents cannot have {size} bytes: whole multiples of 4 MiB, up to 8 TiB",
            action="Leave it out for the default of 64 GiB.",
        )
    return size


def extent_bytes_for(disk_bytes: int, wanted: int = EXTENT_BYTES) -> int:
    """The size of the extents of a new replica: as wanted, doubled until they are few enough."""
    size = wanted
    while size * MOST_EXTENTS < disk_bytes and size * 2 <= LARGEST_IMAGE_BYTES:
        size *= 2
    return size


def extent_url(replica: DiskUrl, number: int) -> DiskUrl:
    """The first extent has the replica's own name; the others lie beside it."""
    return DiskUrl(f"{replica}.extents/{number}") if number else replica


def whole(disk: DiskUrl, size_bytes: int) -> Image:
    """An image that is one page blob."""
    return (Extent(disk, 0, size_bytes),)


def replica_image(replica: DiskUrl, extent_bytes: int, size_bytes: int) -> Image:
    """The page blobs of a replica, for a disk of that size."""
    return tuple(
        Extent(extent_url(replica, number), start, min(extent_bytes, size_bytes - start))
        for number, start in enumerate(_starts(extent_bytes, size_bytes))
    )


def image_of(snapshot: Snapshot) -> Image:
    """What a snapshot consists of: itself, or the snapshots of its replica's extents."""
    if not snapshot.extents:
        return (Extent(snapshot, 0, snapshot.size_bytes),)
    starts = _starts(snapshot.extent_bytes, snapshot.size_bytes)
    return tuple(
        Extent(_piece(snapshot, number, start), start, _piece_bytes(snapshot, start))
        for number, start in enumerate(starts)
    )


def pieces(image: Image, range_: PageRange) -> Iterator[tuple[Extent, PageRange]]:
    """The extents that a range of the disk touches, each with its part in the blob's offsets."""
    first = bisect_right(image, range_.start, key=attrgetter("start")) - 1
    for extent in image[first:]:
        if extent.start >= range_.end:
            return
        start, end = max(range_.start, extent.start), min(range_.end, extent.end)
        yield extent, PageRange(start - extent.start, end - extent.start)


def piece(image: Image, range_: PageRange) -> tuple[Extent, PageRange]:
    """The same for a range that lies in one extent. Raises `ValueError` where it does not."""
    [found] = pieces(image, range_)
    return found


def _starts(extent_bytes: int, size_bytes: int) -> range:
    return range(0, max(size_bytes, 1), extent_bytes)


def _piece_bytes(snapshot: Snapshot, start: int) -> int:
    return min(snapshot.extent_bytes, snapshot.size_bytes - start)


def _piece(snapshot: Snapshot, number: int, start: int) -> Snapshot:
    extent = snapshot.extents[number]
    return Snapshot(
        disk=extent_url(snapshot.disk, number),
        id=extent.id,
        taken_at=snapshot.taken_at,
        size_bytes=_piece_bytes(snapshot, start),
        chain=extent.chain,
        tag=snapshot.tag,
    )
