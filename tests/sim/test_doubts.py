"""What a sample, or a suspicion, does to backups, restores and retention (invariants 31 to 33)."""

from dataclasses import replace

import pytest

from shared.model.ids import DiskUrl, RequestId, request_job
from shared.model.job import Job, Status
from shared.model.point import Kind, Point
from shared.model.ranges import PageRange
from tests.sim.checking import (
    SMALL,
    TINY,
    ask,
    backed_up,
    check,
    nothing_is_left,
    the_item,
    the_job,
    vault_copies_are_right,
)
from tests.sim.deaths import deaths
from tests.sim.rot import rot
from tests.sim.scenes import (
    MIB,
    SIZE,
    backup,
    content,
    restore,
)
from tests.sim.world import DISK, ITEM, World

# ---------------------------------------------------------------- sampling


async def sampling_everything(world: World, samples: int = 2_000) -> None:
    """So many places that every block of a small disk is among them."""
    world.ports = replace(world.ports, pace=replace(world.ports.pace, samples=samples))


async def backup_job(world: World) -> Job:
    await world.command(type="backup-now", item_id=ITEM, request_id="doubted")
    await world.settle()
    return await the_job(world, request_job(ITEM, "backup", RequestId("doubted")))


@pytest.mark.fault(1)
async def test_a_range_that_the_diff_loses_is_found_by_a_sample() -> None:
    """Fault 1: the job says so, the point is right, and no older point is blamed."""
    world, truth = await backed_up(size=SMALL)
    await sampling_everything(world)
    world.ports.storage.put(DISK, 64 * 1024, world.random.randbytes(4096))
    world.ports.storage.put(DISK, SMALL // 2, world.random.randbytes(4096))
    world.ports.storage.diff_loses = 1
    job = await backup_job(world)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error
    assert job.error.code == "DiffIncomplete"
    assert str(SMALL // 2) in job.error.message
    first, last = await world.points()
    assert last.repaired_bytes == 4096
    assert last.kind is Kind.INCREMENTAL
    assert not first.suspect
    await vault_copies_are_right(world, truth)
    assert content(world, await restore(world, last)) == truth.at(last)
    await nothing_is_left(world)


@pytest.mark.fault(1)
@pytest.mark.parametrize("samples", [0, 2_000], ids=["unsampled", "sampled"])
async def test_a_restore_to_the_original_does_not_trust_the_diff_alone(samples: int) -> None:
    """What was overwritten since the base and the diff does not tell is found by a sample; then
    the whole disk is copied. Without samples it stays as it is: the fault strikes."""
    world, truth = await backed_up(size=SMALL)
    await sampling_everything(world, samples)
    (point,) = await world.points()
    world.ports.storage.put(DISK, 64 * 1024, world.random.randbytes(4096))
    world.ports.storage.put(DISK, SMALL // 2, world.random.randbytes(4096))
    world.ports.storage.diff_loses = 1
    await world.command(
        type="restore",
        item_id=ITEM,
        point=point.id,
        target={"kind": "original", "confirm": True},
    )
    await world.settle()
    world.ports.storage.diff_loses = 0
    assert (content(world, DISK) == truth.at(point)) is bool(samples)


async def test_without_samples_the_lost_range_would_stay_unseen() -> None:
    """What the test before proves is the samples' doing."""
    world, truth = await backed_up(size=SMALL)
    world.ports = replace(world.ports, pace=replace(world.ports.pace, samples=0))
    world.ports.storage.put(DISK, SMALL // 2, world.random.randbytes(4096))
    world.ports.storage.diff_loses = 1
    await backup(world)
    last = (await world.points())[-1]
    assert last.replica
    assert content(world, last.replica) != truth.at(last)


@pytest.mark.fault(15)
async def test_a_sample_finds_rot_and_older_points_are_marked() -> None:
    world, truth = await backed_up(size=SMALL, backups=2)
    await sampling_everything(world)
    rot(world, await the_item(world), SMALL // 2)
    rot(world, await the_item(world), SMALL - 700)
    world.ports.storage.put(DISK, 0, world.random.randbytes(4096))
    job = await backup_job(world)
    assert job.error
    assert job.error.code == "ReplicaDamaged"
    *older, last = await world.points()
    assert all(point.suspect for point in older)
    assert not last.suspect
    assert last.repaired_bytes == 1024
    await vault_copies_are_right(world, truth)
    await nothing_is_left(world)


@pytest.mark.fault(1, 15)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", ["diff", "rot"])
async def test_a_death_at_any_call_after_a_sample_differs(fault: str, applied: bool) -> None:
    """Invariants 31 and 32: the point is right, and the job says what was wrong."""
    world, truth = await backed_up(size=TINY)
    await sampling_everything(world, 60)
    world.ports.storage.put(DISK, TINY // 2, world.random.randbytes(4096))
    if fault == "diff":
        world.ports.storage.diff_loses = 1
    else:
        rot(world, await the_item(world), 4096)
    await world.command(type="backup-now", item_id=ITEM, request_id="doubted")
    number = 0
    async for life, held in deaths(world, truth, applied=applied):
        await life.settle()
        job = await the_job(life, request_job(ITEM, "backup", RequestId("doubted")))
        assert job.status is Status.COMPLETED_WITH_WARNINGS, number
        first, _ = await life.points()
        assert bool(first.suspect) is (fault == "rot")
        await vault_copies_are_right(life, held)
        await nothing_is_left(life)
        number += 1
    assert number > 90


# ---------------------------------------------------------------- suspect points


async def suspect(world: World, point: Point, *, tiers: str) -> None:
    """A check found the point's copy in the vault damaged; `s`: its source is still there."""
    row = await world.ports.ledger.get(ITEM, Point, point.id)
    assert row is not None
    from shared.model.ledger import Replace

    source = row.record.source if "s" in tiers else None
    marked = replace(row.record, suspect="damaged", source=source)
    await world.ports.ledger.commit(ITEM, [Replace(marked, row.etag)])


async def restored(world: World, point: str, name: str) -> Job:
    target = {"kind": "alternate", "url": f"{DISK}-{name}"}
    await world.command(type="restore", item_id=ITEM, point=point, target=target, request_id=name)
    await world.settle()
    return await the_job(world, request_job(ITEM, "restore", RequestId(name)))


async def test_the_latest_point_is_the_latest_sound_one() -> None:
    world, truth = await backed_up(backups=2)
    first, last = await world.points()
    await suspect(world, last, tiers="v")
    job = await restored(world, "latest", "latest")
    assert job.status is Status.COMPLETED
    assert first.id in job.detail
    assert content(world, DiskUrl(f"{DISK}-latest")) == truth.at(first)


async def test_a_suspect_point_asked_for_by_name_is_restored_with_a_warning() -> None:
    world, _ = await backed_up(backups=2)
    last = (await world.points())[-1]
    await suspect(world, last, tiers="v")
    job = await restored(world, last.id, "named")
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error
    assert job.error.code == "PointSuspect"


async def test_a_suspect_point_is_read_from_its_source_while_that_is_there() -> None:
    world, truth = await backed_up(backups=2)
    rot(world, await the_item(world), 5 * MIB)
    last = (await world.points())[-1]
    await suspect(world, last, tiers="sv")
    job = await restored(world, "latest", "sound")
    assert job.status is Status.COMPLETED
    assert content(world, DiskUrl(f"{DISK}-sound")) == truth.at(last)


async def test_a_point_that_is_healed_while_it_is_restored() -> None:
    """The restore reads the snapshot it began with, to its end, and says that it was damaged."""
    world, _ = await backed_up()
    rot(world, await the_item(world), 1024)
    await world.command(
        type="restore",
        item_id=ITEM,
        point="latest",
        target={"kind": "alternate", "url": f"{DISK}-meanwhile"},
        request_id="meanwhile",
    )
    while not world.running:
        await world.serve_one()
    held, world.running = world.running, {}
    await ask(world)
    for _ in range(200):
        if not await world.serve_one():
            break
    await world.expire()
    world.running = held
    await world.settle()
    job = await the_job(world, request_job(ITEM, "restore", RequestId("meanwhile")))
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error
    assert "put right" in job.error.message
    await nothing_is_left(world)


async def test_retention_keeps_the_newest_point_that_is_not_suspect() -> None:
    """Invariant 8: a suspect point is no substitute for it."""
    world, _ = await backed_up(backups=3)
    first, second, last = await world.points()
    for point in (second, last):
        await suspect(world, point, tiers="v")
    world.ports.clock.advance(400 * 86400)
    from tests.sim.scenes import confirmed_expiry

    await confirmed_expiry(world, "late")
    assert {point.id for point in await world.points()} == {first.id, last.id}


# ---------------------------------------------------------------- instead of a full copy


async def test_a_source_that_is_streamed_is_compared_instead_of_copied_whole() -> None:
    """The diff is gone, and the service does not read the source: what the replica has already is
    not written again."""
    world, truth = await backed_up(size=SIZE)
    world.ports.storage.refuse_server_side_copy = True
    world.ports.storage.put(DISK, 0, world.random.randbytes(4096))
    await backup(world)
    item = await the_item(world)
    assert item.base
    await world.ports.disks.delete_snapshot(item.base.source)
    world.ports.storage.put(DISK, MIB, world.random.randbytes(8192))
    world.ports.storage.erase(DISK, PageRange(2 * MIB, 3 * MIB))
    written = world.ports.storage.worker_bytes_written
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert "only what differed" in last.kind_reason
    assert world.ports.storage.worker_bytes_written - written == last.copied_bytes == 8192
    assert last.repaired_bytes == 0
    assert (await world.jobs())[-1].status is Status.COMPLETED
    assert content(world, await restore(world, last)) == truth.at(last)


async def test_a_repair_streams_where_the_service_does_not_read_the_source() -> None:
    world, truth = await backed_up()
    world.ports.storage.refuse_server_side_copy = True
    rot(world, await the_item(world), 1024)
    assert (await check(world)).status is Status.COMPLETED_WITH_WARNINGS
    await vault_copies_are_right(world, truth)
    await nothing_is_left(world)
