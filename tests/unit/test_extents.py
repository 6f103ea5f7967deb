"""Images in extents: which page blob holds which bytes of a disk."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codec import from_json, to_json
from shared.model.disk import ExtentSnapshot, Snapshot
from shared.model.errors import Invalid
from shared.model.extents import (
    EXTENT_BYTES,
    MOST_EXTENTS,
    check_extent_bytes,
    extent_bytes_for,
    image_of,
    one_disk,
    piece,
    pieces,
    replica_image,
)
from shared.model.ids import DiskUrl
from shared.model.image_size import LARGEST_IMAGE_BYTES
from shared.model.plan import Draft
from shared.model.ranges import PAGE_BYTES, TRANSFER_UNIT_BYTES, PageRange

REPLICA = DiskUrl("https://vlvault.blob.core.windows.net/vault/os-disk/3f9c")
MIB = 1024 * 1024
GIB = 1024 * MIB
TIB = 1024 * GIB

sizes = st.integers(1, 64 * MIB // PAGE_BYTES).map(lambda pages: pages * PAGE_BYTES)
extent_sizes = st.integers(1, 5).map(lambda units: units * TRANSFER_UNIT_BYTES)


@given(size=sizes, extent_bytes=extent_sizes)
def test_extents_cover_the_disk_without_gaps(size: int, extent_bytes: int) -> None:
    image = replica_image(REPLICA, extent_bytes, one_disk(size))
    assert image[0].start == 0
    assert image[-1].end == size
    assert all(a.end == b.start for a, b in pairwise(image))
    assert len({extent.url for extent in image}) == len(image)
    assert all(extent.size_bytes == extent_bytes for extent in image[:-1])


@given(data=st.data(), size=sizes, extent_bytes=extent_sizes)
def test_pieces_are_the_range_cut_at_the_extents(
    data: st.DataObject, size: int, extent_bytes: int
) -> None:
    pages = size // PAGE_BYTES
    start = data.draw(st.integers(0, pages - 1))
    end = data.draw(st.integers(start + 1, pages))
    range_ = PageRange(start * PAGE_BYTES, end * PAGE_BYTES)
    found = list(pieces(replica_image(REPLICA, extent_bytes, one_disk(size)), range_))
    on_disk = [(extent.start + local.start, extent.start + local.end) for extent, local in found]
    assert on_disk[0][0] == range_.start
    assert on_disk[-1][1] == range_.end
    assert all(a[1] == b[0] for a, b in pairwise(on_disk))
    assert all(local.end <= extent.size_bytes for extent, local in found)


@given(data=st.data(), size=sizes, extent_bytes=extent_sizes)
def test_no_aligned_copy_crosses_an_extent(
    data: st.DataObject, size: int, extent_bytes: int
) -> None:
    unit = data.draw(st.integers(0, (size - 1) // TRANSFER_UNIT_BYTES)) * TRANSFER_UNIT_BYTES
    range_ = PageRange(unit, min(size, unit + TRANSFER_UNIT_BYTES))
    extent, local = piece(replica_image(REPLICA, extent_bytes, one_disk(size)), range_)
    assert (extent.start + local.start, local.size_bytes) == (range_.start, range_.size_bytes)


def test_the_first_extent_has_the_replicas_name() -> None:
    image = replica_image(REPLICA, 4 * MIB, one_disk(9 * MIB))
    assert [extent.url for extent in image] == [
        REPLICA,
        f"{REPLICA}.extents/1",
        f"{REPLICA}.extents/2",
    ]
    assert [extent.size_bytes for extent in image] == [4 * MIB, 4 * MIB, MIB]
    assert [extent.size_bytes for extent in replica_image(REPLICA, 4 * MIB, one_disk(0))] == [0]


def test_a_snapshot_in_extents_names_each_and_survives_storage() -> None:
    snapshot = Snapshot(
        disk=REPLICA,
        id="2026-01-02",
        taken_at=datetime(2026, 1, 2, tzinfo=UTC),
        size_bytes=6 * MIB,
        chain="c0",
        tag="os-disk.backup-1",
        extents=(ExtentSnapshot("2026-01-02", "c0"), ExtentSnapshot("2026-01-01", "c1")),
        extent_bytes=4 * MIB,
    )
    first, second = image_of(from_json(Snapshot, to_json(snapshot)))
    assert (first.url, first.snapshot.id, first.snapshot.size_bytes) == (
        REPLICA,
        "2026-01-02",
        4 * MIB,
    )
    assert (second.url, second.snapshot.id, second.snapshot.chain, second.snapshot.size_bytes) == (
        f"{REPLICA}.extents/1",
        "2026-01-01",
        "c1",
        2 * MIB,
    )


@pytest.mark.parametrize("size", [GIB, 128 * GIB, TIB, 32 * TIB])
def test_a_new_replica_has_few_extents(size: int) -> None:
    extent_bytes = extent_bytes_for(size)
    assert extent_bytes % EXTENT_BYTES == 0
    assert len(replica_image(REPLICA, extent_bytes, one_disk(size))) <= MOST_EXTENTS
    assert extent_bytes == EXTENT_BYTES or size > MOST_EXTENTS * EXTENT_BYTES


def test_the_largest_disk_fits() -> None:
    image = replica_image(REPLICA, extent_bytes_for(32 * TIB), one_disk(32 * TIB))
    assert len(image) == 128
    assert max(extent.size_bytes for extent in image) < LARGEST_IMAGE_BYTES


@pytest.mark.parametrize("size", [0, MIB, 4 * MIB + 512, 16 * TIB])
def test_extents_are_whole_units(size: int) -> None:
    with pytest.raises(Invalid, match="4 MiB"):
        check_extent_bytes(size)


def test_a_plan_knows_the_extents_that_it_writes_to() -> None:
    draft = Draft([(n * 4 * MIB, (n + 1) * 4 * MIB) for n in range(11)])
    draft.add([(0, 512, False), (1024, 2048, True)])
    draft.add([(8 * MIB, 21 * MIB, True), (40 * MIB, 44 * MIB, False)])
    assert draft.reference("plan").extents == tuple(4 * MIB * n for n in (0, 2, 3, 4, 5, 10))
