"""Backups of a virtual machine: one item, one image, all its disks of one moment."""

from datetime import timedelta
from typing import Any

import pytest

from shared.codec import from_json
from shared.memory import MemoryImages
from shared.model.check import Findings
from shared.model.errors import Invalid
from shared.model.extents import SEAT_BYTES, image_of, seat_url
from shared.model.job import TRANSFER, Status
from shared.model.machine import OS_LUN
from shared.model.point import Kind, Tier
from shared.steps.snapshot import PATIENCE
from tests.sim.deaths import deaths
from tests.sim.rot import rot
from tests.sim.scenes import MIB
from tests.sim.vm_scenes import ITEM, SIZES, VM, VmWorld, disk_url, vm_world


async def test_a_machine_is_backed_up_as_one_image() -> None:
    """Invariant 2, for all disks; an increment copies what changed on any of them."""
    world = await vm_world()
    await world.scheduled()
    world.work()
    await world.backup()
    first, second = await world.points_of()
    assert [first.kind, second.kind] == [Kind.FULL, Kind.INCREMENTAL]
    assert first.tiers == (Tier.SNAPSHOT, Tier.VAULT)
    assert first.size_bytes == sum(SIZES.values())
    assert 0 < second.copied_bytes <= second.changed_bytes * 1.25
    assert first.replica is not None
    assert [member.lun for member in first.replica.members] == [OS_LUN, 0]
    await world.check_all()


async def test_a_disk_that_is_added_is_copied_whole_and_the_others_go_on() -> None:
    world = await vm_world()
    await world.backup()
    world.add_disk(1, "logs")
    added = await allocated(world, 1)
    await world.backup()
    second = (await world.points_of())[-1]
    assert second.kind is Kind.INCREMENTAL
    assert added <= second.copied_bytes <= added * 1.25
    assert len((await world.item_of()).seats) == 3
    await world.check_all()


async def test_a_disk_that_is_taken_away_is_not_in_the_next_point() -> None:
    """The others go on, and points before still have it; back again, it lies where it lay."""
    world = await vm_world()
    await world.backup()
    world.ports.machines.detach(VM, 0)
    await world.backup()
    world.ports.machines.attach(VM, 5, disk_url("web-0"))
    world.work()
    await world.backup()
    held = [set(world.held[point.job_id]) for point in await world.points_of()]
    assert held == [{OS_LUN, 0}, {OS_LUN}, {OS_LUN, 5}]
    assert len((await world.item_of()).seats) == 2
    await world.check_all()


async def test_a_disk_in_the_place_of_another_gets_a_seat_of_its_own() -> None:
    world = await vm_world()
    await world.backup()
    world.add_disk(0, "other", 2 * MIB)
    await world.backup()
    _, second = await world.points_of()
    assert second.source is not None
    assert [member.seat for member in second.source.members] == [0, 2]
    await world.check_all()


async def test_a_disk_that_is_made_anew_under_its_name() -> None:
    """Another chain, so another seat: what it held before is no base of what it holds now."""
    world = await vm_world()
    await world.backup()
    world.ports.machines.detach(VM, 0)
    world.storage.remove(disk_url("web-0"))
    world.add_disk(0, "web-0")
    await world.backup()
    assert len((await world.item_of()).seats) == 3
    await world.check_all()


async def test_disks_that_grow_are_followed() -> None:
    world = await vm_world()
    await world.backup()
    for lun, size in SIZES.items():
        world.storage.resize(disk_url(f"web-{lun}"), size + 5 * MIB)
    world.work()
    await world.backup()
    assert (await world.points_of())[-1].kind is Kind.INCREMENTAL
    await world.check_all()


async def test_a_machine_made_anew_under_its_name_is_copied_whole() -> None:
    world = await vm_world()
    await world.backup()
    world.ports.machines.remove(VM)
    world.ports.machines.create(VM, {})
    world.add_disk(OS_LUN, "web-new", 3 * MIB)
    await world.backup()
    second = (await world.points_of())[-1]
    assert (second.kind, bool(second.kind_reason)) == (Kind.FULL, True)
    await world.check_all()


async def test_disks_may_be_chosen_and_chosen_anew() -> None:
    world = await vm_world(disks={"include": ["os"]})
    await world.backup()
    await world.protect_vm(disks={"exclude": ["os"]})
    await world.backup()
    await world.protect_vm()
    await world.backup()
    held = [set(world.held[point.job_id]) for point in await world.points_of()]
    assert held == [{OS_LUN}, {0}, {OS_LUN, 0}]
    await world.check_all()


async def test_no_disk_is_left_to_back_up() -> None:
    world = await vm_world(disks={"include": [0]})
    world.ports.machines.detach(VM, 0)
    job = await world.backup()
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "NoDiskLeft")


async def test_what_takes_its_time_is_looked_at_again() -> None:
    """A restore point that is not there yet: the message comes again, and no delivery is used."""
    world = await vm_world()
    world.ports.machines.slow = 5
    job = await world.backup()
    assert (job.status, job.attempts) == (Status.COMPLETED, 0)
    assert len(world.azure_points()) == 1
    await world.check_all()


@pytest.mark.parametrize(("slow", "pause"), [(250, 20.0), (70, 900.0)])
async def test_what_takes_an_hour_is_not_taken_for_stuck(slow: int, pause: float) -> None:
    """However often it is looked at meanwhile: a limit of the service may last long."""
    world = await vm_world()
    world.ports.machines.slow, world.ports.machines.pause_seconds = slow, pause
    job = await world.backup_for(timedelta(hours=3))
    assert job.status is Status.COMPLETED, job.error
    assert job.ended_at
    assert job.ended_at - job.started_at > timedelta(hours=1)


async def test_what_takes_days_is_given_up() -> None:
    world = await vm_world()
    world.ports.machines.slow = 20_000
    job = await world.backup_for(timedelta(minutes=5))
    assert not job.status.ended
    world.ports.clock.advance(PATIENCE.total_seconds())
    await world.settle()
    job = await world.job_of("backup", "request-2")
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "Stalled")


@pytest.mark.fault(18)
async def test_one_disk_that_cannot_be_copied_leaves_nothing_half_there() -> None:
    """The machine's point is not in the vault, and the one before is whole; the next one heals."""
    world = await vm_world()
    await world.backup()
    world.work()
    struck = refuse_copies(world, ".seats/1")
    job = await world.backup()
    first, second = await world.points_of()
    assert struck
    assert (job.status, job.task(TRANSFER)) == (Status.COMPLETED_WITH_WARNINGS, Status.FAILED)
    assert (first.tiers, second.tiers) == ((Tier.SNAPSHOT, Tier.VAULT), (Tier.SNAPSHOT,))
    await world.check_all()
    struck.clear()
    world.ports.images.copy = MemoryImages.copy.__get__(world.ports.images)  # type: ignore[method-assign]
    world.work()
    await world.backup()
    assert (await world.points_of())[-1].tiers == (Tier.SNAPSHOT, Tier.VAULT)
    await world.check_all()


def refuse_copies(world: VmWorld, where: str) -> list[str]:
    """From now on no copy into a page blob with that in its name; those that were refused."""
    struck: list[str] = []
    copy = world.ports.images.copy

    async def refusing(disk, *rest):  # type: ignore[no-untyped-def]
        if where in disk:
            struck.append(disk)
            raise Invalid("this disk cannot be copied")
        return await copy(disk, *rest)

    world.ports.images.copy = refusing  # type: ignore[method-assign]
    return struck


async def test_a_machine_deleted_during_its_transfer_is_backed_up() -> None:
    """Its restore point outlives it; and what was backed up can be restored."""
    world = await vm_world()
    await with_snapshot(world)
    world.ports.machines.remove(VM)
    await world.settle()
    [point] = await world.points_of()
    assert point.tiers == (Tier.SNAPSHOT, Tier.VAULT)
    await world.check_all()


@pytest.mark.parametrize("disks", [None, {"include": ["os"]}])
async def test_a_machine_deleted_while_its_restore_point_is_taken(disks: Any) -> None:
    world = await vm_world(disks=disks)
    world.ports.machines.slow = 3
    request = await world.command(type="backup-now", item_id=ITEM)
    await world.serve_one("commands")
    await world.serve_one("snapshot")
    world.ports.machines.remove(VM)
    await world.settle()
    assert (await world.job_of("backup", request)).status is Status.COMPLETED
    await world.check_all()


async def test_a_machine_and_its_restore_point_deleted_during_its_transfer() -> None:
    """The job fails and says so; the points before stay."""
    world = await vm_world()
    await world.backup()
    world.work()
    request = await with_snapshot(world)
    world.ports.machines.remove(VM)
    await world.ports.machines.delete_point(world.azure_points()[-1].id)
    await world.settle()
    job = await world.job_of("backup", request)
    assert (job.error and job.error.code) == "SourceNotFound"
    [point] = await world.points_of()
    assert point.tiers == (Tier.SNAPSHOT, Tier.VAULT)
    await world.check_all()


async def with_snapshot(world: VmWorld) -> str:
    """A backup that has its restore point, and whose transfer has not begun; its request."""
    request = await world.command(type="backup-now", item_id=ITEM)
    while await world.serve_one("commands", "snapshot"):
        pass
    assert world.ports.bus.available("transfer-to-vault")
    return request


async def test_a_deleted_machine_fails_its_backups_and_keeps_its_points() -> None:
    world = await vm_world()
    await world.backup()
    world.ports.machines.remove(VM)
    job = await world.backup()
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "SourceNotFound")
    await world.check_all()


async def test_retention_deletes_restore_points_and_the_snapshots_of_every_seat() -> None:
    """Invariant 8: what a point, or the next increment, needs stays; nothing else does."""
    world = await vm_world()
    for _ in range(5):
        world.work()
        await world.scheduled()
    points = await world.points_of()
    held = {point.source.id for point in points if point.source}
    assert {point.id for point in world.azure_points()} == held
    assert len(held) < len(points)
    await world.check_all()
    for _ in range(40):
        world.ports.clock.advance(timedelta(days=1).total_seconds())
        await world.scheduled()
    await world.settle()
    points = await world.points_of()
    images = [image_of(point.replica) for point in points if point.replica]
    kept = {(extent.url, extent.snapshot.id) for image in images for extent in image}
    replica = (await world.item_of()).replica
    for url in (replica, seat_url(replica, 1)):
        assert {(url, id_) for id_ in world.storage.blob(url).snapshots} <= kept


async def test_a_machine_whose_data_is_deleted_leaves_nothing() -> None:
    world = await vm_world()
    await world.backup()
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()
    world.ports.clock.advance(timedelta(days=15).total_seconds())
    await world.scheduled()
    await world.settle()
    assert await world.item(ITEM) is None
    assert not world.azure_points()
    assert not world.storage.blobs_below("https://vlvault.blob.core.windows.net/vault/")


async def test_a_check_finds_what_rots_in_any_seat() -> None:
    """Invariants 30 to 33, for an image of several disks."""
    world = await vm_world()
    await world.backup()
    item = await world.item_of()
    blob = world.storage.blob(seat_url(item.replica, 1))
    rot(world, item, SEAT_BYTES + next(blob.pages.allocated()).start)
    request = await world.command(type="consistency-check", item_id=ITEM)
    await world.settle()
    job = await world.job_of("check", request)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert [range_[0] // SEAT_BYTES for range_ in from_json(Findings, job.detail).ranges] == [1]
    await world.check_all()


async def allocated(world: VmWorld, lun: int) -> int:
    pages = world.storage.blob(world.vm.disks[lun]).pages
    return sum(range_.size_bytes for range_ in pages.allocated())


@pytest.mark.fault(9, 16)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_machines_backup_is_survived(applied: bool) -> None:
    """Invariants 1 and 6: the process dies before or after the n-th I/O call takes effect."""
    world = await vm_world()
    world.ports.machines.slow = 1
    await world.backup()
    world.work()
    world.add_disk(1, "logs", 512 * 1024)
    await world.command(type="backup-now", item_id=ITEM)
    number = 0
    async for life, _ in deaths(world, applied=applied):
        await life.settle()
        points = await life.points_of()
        assert [point.kind for point in points] == [Kind.FULL, Kind.INCREMENTAL]
        assert len((await life.item_of()).seats) == 3
        await life.check_all()
        number += 1
    assert number > 30
