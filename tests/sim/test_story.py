"""The whole story on memory ports: backups by schedule and by request, restores of every point."""

import pytest

from shared.decide.sampling import SAMPLE_BYTES
from shared.model.job import Status
from shared.model.point import Kind
from tests.sim.deaths import deaths
from tests.sim.scenes import MIB, Truth, backup, content, restore_all, scheduled, scribble, started
from tests.sim.world import DISK, ITEM

SMALL = 4 * MIB + 256 * 1024
"""Still a replica of two extents; the stories that die at every call are long."""


async def test_backups_restore_byte_for_byte() -> None:
    """Invariant 2, and on the server-side path no disk byte passes through us but samples."""
    world = await started()
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    await backup(world)
    scribble(world)
    await backup(world)
    points = await world.points()
    assert [point.kind for point in points] == [Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL]
    assert all(point.copied_bytes <= 1.25 * point.changed_bytes for point in points)
    assert all(point.worker_bytes == 0 for point in points)
    await restore_all(world, truth)
    sampled = 2 * world.ports.pace.samples * SAMPLE_BYTES
    of = 2 + len(points)  # the increments, and the restores
    assert 0 < world.ports.storage.worker_bytes_read <= of * sampled
    assert {job.status for job in await world.jobs()} == {Status.COMPLETED}


@pytest.mark.fault(9, 16, 53)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_backup_is_survived(applied: bool) -> None:
    """Invariants 1 and 6: the process dies before or after the n-th I/O call takes effect."""
    world = await started(size=SMALL)
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    number = 0
    async for life, held in deaths(world, truth, applied=applied):
        await life.settle()
        assert life.crashes == 1
        points = await life.points()
        assert [point.kind for point in points] == [Kind.FULL, Kind.INCREMENTAL]
        await restore_all(life, held)
        number += 1
    assert number > 20


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_restore_is_survived(applied: bool) -> None:
    """Invariant 6, for a restore onto the original disk."""
    world = await started(size=SMALL)
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    (point,) = await world.points()
    await world.command(
        type="restore",
        item_id=ITEM,
        point=point.id,
        target={"kind": "original", "confirm": True},
    )
    number = 0
    async for life, held in deaths(world, truth, applied=applied):
        await life.settle()
        assert content(life, DISK) == held.at(point)
        await life.let_go()
        number += 1
    assert number > 20
