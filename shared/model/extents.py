"""Images in extents: a page blob, or the snapshot of one, for each stretch of a disk.

A page blob ends at 8 TiB and moves about 60 MiB a second, so the replica of a large disk is
several of them. Extents are multiples of 4 MiB, so that no copy of at most 4 MiB, aligned to its
size, crosses from one into the next.

The image of a virtual machine is all its disks: each has a *seat*, a stretch of the image in which
nothing else ever lies. So the whole pipeline treats a machine as one image, most of which is not
there.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from shared.model.disk import Member, Snapshot
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.image_size import LARGEST_IMAGE_BYTES
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange

EXTENT_BYTES = 64 * 1024**3
"""Of a vault that nobody said another size of: sixteen blobs a TiB, together at about 1 GB/s."""
MOST_EXTENTS = 128
"""A replica begins with at most so many: each costs a few requests a backup."""
SEAT_BYTES = 64 * 1024**4
"""Room for any disk: Azure's largest have 64 TiB."""


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
"""A disk image as its extents, in order; gapless but between the seats of a machine; never
empty."""


class Seat(NamedTuple):
    """The stretch of an image that one disk has, from `number * SEAT_BYTES` on."""

    number: int
    size_bytes: int

    @property
    def start(self) -> int:
        return self.number * SEAT_BYTES


Layout = tuple[Seat, ...]
"""The disks of an image, by their seats' numbers. A single disk has seat 0."""


def one_disk(size_bytes: int) -> Layout:
    """The layout of a single disk's image."""
    return (Seat(0, size_bytes),)


def seat_at(offset: int) -> tuple[int, int]:
    """The number of the seat that a byte of an image is in, and which byte of its disk it is."""
    return divmod(offset, SEAT_BYTES)


def told(offset: int) -> str:
    """The same for people, to whom a single disk has no seat."""
    number, local = seat_at(offset)
    return f"{local} of the disk in seat {number}" if number else str(local)


NO_LAYOUT = one_disk(0)
"""Of a replica that was never written to."""


def layout_of(snapshot: Snapshot) -> Layout:
    """Which disks an image of the snapshot has, and of what size."""
    if not snapshot.members:
        return one_disk(snapshot.size_bytes)
    return tuple(Seat(each.seat, each.snapshot.size_bytes) for each in snapshot.members)


def largest(one: Layout, other: Layout) -> Layout:
    """Every seat that either has, with the larger size."""
    sizes = dict(one)
    for number, size in other:
        sizes[number] = max(size, sizes.get(number, 0))
    return tuple(Seat(number, sizes[number]) for number in sorted(sizes))


def covers(image: Image, range_: PageRange) -> bool:
    """Whether all of the range, which lies in one disk, is in the image."""
    covered = sum(part.size_bytes for _, part in pieces(image, range_))
    return covered == range_.size_bytes


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


def seat_url(replica: DiskUrl, number: int) -> DiskUrl:
    """The disk in the first seat has the replica's own name; the others lie beside it."""
    return DiskUrl(f"{replica}.seats/{number}") if number else replica


def replica_image(replica: DiskUrl, extent_bytes: int, layout: Layout) -> Image:
    """The page blobs of a replica, for disks of those sizes."""
    return tuple(
        Extent(
            extent_url(seat_url(replica, seat.number), number),
            seat.start + start,
            min(extent_bytes, seat.size_bytes - start),
        )
        for seat in layout
        for number, start in enumerate(_starts(extent_bytes, seat.size_bytes))
    )


def image_of(snapshot: Snapshot) -> Image:
    """What a snapshot consists of: itself, the snapshots of its replica's extents, or those of its
    machine's disks."""
    if snapshot.members:
        return tuple(_seated(snapshot.members))
    if not snapshot.extents:
        return (Extent(snapshot, 0, snapshot.size_bytes),)
    starts = _starts(snapshot.extent_bytes, snapshot.size_bytes)
    return tuple(
        Extent(_piece(snapshot, number, start), start, _piece_bytes(snapshot, start))
        for number, start in enumerate(starts)
    )


def _seated(members: Iterable[Member]) -> Iterator[Extent]:
    for member in members:
        for extent in image_of(member.snapshot):
            yield moved(extent, member.seat * SEAT_BYTES)


def moved(extent: Extent, by: int) -> Extent:
    """The extent so much further on."""
    return Extent(extent.held, extent.start + by, extent.size_bytes)


def pieces(image: Image, range_: PageRange) -> Iterator[tuple[Extent, PageRange]]:
    """The extents that a range of the disk touches, each with its part in the blob's offsets."""
    first = max(bisect_right(image, range_.start, key=attrgetter("start")) - 1, 0)
    for extent in image[first:]:
        if extent.start >= range_.end:
            return
        if extent.end <= range_.start:
            continue
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
