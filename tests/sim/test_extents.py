"""Replicas in several page blobs: what has not changed is not snapshotted again, and every point
is put together from the snapshots it names (invariant 29)."""

import pytest

from shared.model.extents import EXTENT_BYTES as DEFAULT_EXTENT_BYTES
from shared.model.extents import image_of
from shared.model.ids import RequestId, request_job
from shared.model.point import Kind
from shared.model.ranges import PageRange
from tests.sim.scenes import (
    MIB,
    Truth,
    backup,
    confirmed_expiry,
    content,
    restore,
    restore_all,
    started,
)
from tests.sim.test_invariants import first_backup
from tests.sim.test_protection import days_go_by
from tests.sim.world import DISK, ITEM, World

EXTENT = 4 * MIB


async def shared_by(world: World) -> list[list[str]]:
    """The extents' snapshots of every point in the vault, oldest point first."""
    return [
        [extent.id for extent in point.replica.extents]
        for point in await world.points()
        if point.replica
    ]


async def sealed(world: World) -> int:
    return world.ports.storage.requests["take_snapshot"]


async def test_an_extent_without_changes_is_not_snapshotted_again() -> None:
    world = await started(size=5 * EXTENT)
    truth = Truth(world)
    world.ports.storage.put(DISK, 0, world.random.randbytes(5 * EXTENT))
    await backup(world)
    before = await sealed(world)
    world.ports.storage.put(DISK, 2 * EXTENT + 512, b"new!" * 128)
    await backup(world)
    assert await sealed(world) == before + 2, "the source's, and one extent's"
    old, new = await shared_by(world)
    assert [a == b for a, b in zip(old, new, strict=True)] == [True, True, False, True, True]
    await restore_all(world, truth)


async def test_a_backup_of_nothing_new_shares_every_extent() -> None:
    world, truth = await first_backup()
    before = await sealed(world)
    await backup(world)
    assert await sealed(world) == before + 1
    old, new = await shared_by(world)
    assert old == new
    await restore_all(world, truth)


async def test_a_clear_across_extents_reaches_each() -> None:
    world = await started(size=4 * EXTENT)
    truth = Truth(world)
    world.ports.storage.put(DISK, 0, world.random.randbytes(4 * EXTENT))
    await backup(world)
    world.ports.storage.erase(DISK, PageRange(EXTENT // 2, 3 * EXTENT + 512))
    await backup(world)
    assert len((await shared_by(world))[-1]) == 4
    await restore_all(world, truth)


async def test_what_a_younger_point_shares_outlives_the_older_one() -> None:
    """The older point goes; the snapshots that the younger one names stay."""
    world, truth = await first_backup()
    world.ports.storage.put(DISK, 0, b"new!" * 128)
    await backup(world)
    older, younger = await world.points()
    world.ports.clock.advance(40 * 86_400)
    await confirmed_expiry(world, "clean-up")
    (left,) = await world.points()
    assert left.id == younger.id != older.id
    assert content(world, await restore(world, left)) == truth.at(left)


@pytest.mark.parametrize("sizes", [(3, 5), (5, 3), (4, 8), (8, 4), (12, 2, 12), (2, 20, 7)])
async def test_a_disk_that_changes_its_size_across_extents(sizes: tuple[int, ...]) -> None:
    """Fault 7: extents come and go at the end of the replica; older points keep theirs."""
    world = await started(size=sizes[0] * MIB)
    truth = Truth(world)
    for size in sizes:
        world.ports.storage.resize(DISK, size * MIB)
        world.ports.storage.put(DISK, (size - 1) * MIB, world.random.randbytes(MIB))
        await backup(world)
    points = await world.points()
    assert [point.kind for point in points[1:]] == [Kind.INCREMENTAL] * (len(sizes) - 1)
    await restore_all(world, truth)


async def test_an_extent_that_somebody_deleted_gets_a_full_copy() -> None:
    world, _ = await first_backup()
    item = await world.item()
    assert item is not None
    world.ports.storage.remove(item.largest_replica[1].url)
    await backup(world)
    last = (await world.points())[-1]
    assert (last.kind, "missing" in last.kind_reason) == (Kind.FULL, True)
    truth = content(world, DISK)
    assert content(world, await restore(world, last)) == truth


async def test_a_disk_of_32_tib_is_backed_up_and_its_pieces_are_found() -> None:
    """Larger than any page blob: only its replica can be looked at, there is no target for it."""
    tib = 1024**4
    world = await started(size=0, extent_bytes=DEFAULT_EXTENT_BYTES)
    world.ports.storage.resize(DISK, 8 * tib)
    world.ports.storage.put(DISK, 8 * tib - 4096, b"end." * 1024)
    await backup(world)
    (point,) = await world.points()
    assert point.replica is not None
    image = image_of(point.replica)
    assert len(image) == 128
    last = image[-1]
    where = PageRange(last.size_bytes - 4096, last.size_bytes)
    assert await world.ports.disks.read(last.snapshot, where) == b"end." * 1024


async def test_deleting_an_item_deletes_every_extent() -> None:
    world, _ = await first_backup()
    item = await world.item()
    assert item is not None
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()
    await days_go_by(world, 16)
    assert [world.ports.storage.find(extent.url) for extent in item.largest_replica] == [None, None]


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.parametrize("lie", ["diff_answers_everything", "diff_loses", ""])
async def test_what_a_cancelled_transfer_cleared_is_in_the_next_points_snapshot(lie: str) -> None:
    """Invariants 2 and 29: where a transfer came to nothing, no older snapshot stands, although
    neither the diffs nor what is allocated tell that it wrote anything."""
    world = await started(size=65_536)
    world.ports.storage.put(DISK, 0, b"disk" * 1024)
    truth = Truth(world)
    await backup(world)
    world.ports.storage.erase(DISK, PageRange(0, 65_536))
    if lie:
        setattr(world.ports.storage, lie, 10)
    await world.command(type="backup-now", item_id=ITEM, request_id="cleared")
    while not world.ports.storage.requests["clear"]:
        if not await world.serve_one():
            await world.wait()
    job = request_job(ITEM, "backup", RequestId("cleared"))
    await world.command(type="cancel", job_id=job)
    await world.serve_one("commands")
    await world.settle()
    await backup(world)
    last = (await world.points())[-1]
    assert last.replica is not None
    assert content(world, last.replica) == truth.at(last)
