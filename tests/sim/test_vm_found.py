"""What a reviewer has found of virtual machines, as small as it gets."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, Transient
from shared.model.extents import SEAT_BYTES, seat_url
from shared.model.ids import DiskUrl, RequestId
from shared.model.job import Status
from shared.model.machine import OS_LUN, Consistency, MachineDisk, RestorePoint
from shared.model.messages import ExpirePoints
from shared.steps.expiry import request_expiry
from shared.steps.retention import expire_points
from shared.steps.views import job_view, point_view
from tests.sim.deaths import deaths
from tests.sim.rot import rot
from tests.sim.test_swapping import OLD, disk_world
from tests.sim.test_vm_restores import ALTERNATE, NEW_VM, ORIGINAL, worn
from tests.sim.vm_scenes import ITEM, VM, VmWorld, disk_url, vm_world
from tests.sim.world import ITEM as OS_DISK

DATA = disk_url("web-0")


async def test_a_disk_that_comes_back_while_its_seat_is_cleared_keeps_its_new_point() -> None:
    """Invariants 2 and 8: retention takes its time; meanwhile the disk is attached again, and
    backed up."""
    world = await vm_world()
    await world.backup()
    world.ports.machines.detach(VM, 0)
    await world.backup()
    world.ports.clock.advance(timedelta(days=32).total_seconds())
    await request_expiry(world.ports, ITEM, RequestId("all"), confirm=True)

    async def meanwhile(call: str) -> None:
        if call == "disks.delete_snapshot":
            world.ports.faults.before = None
            world.ports.machines.attach(VM, 0, DATA)
            await world.backup()

    world.ports.faults.before = meanwhile
    await expire_points(world.ports, ExpirePoints(item_id=ITEM))
    assert world.ports.faults.before is None
    assert (await world.points_of())[-1].size_bytes > world.storage.blob(DATA).size_bytes
    await world.check_all()


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_seat_is_cleared_whoever_dies_and_its_disk_gets_another(applied: bool) -> None:
    """Invariant 6: nothing is left of the seat, and nothing of it stands in the disk's way."""
    world = await vm_world()
    await world.backup()
    world.ports.machines.detach(VM, 0)
    await world.backup()
    world.ports.clock.advance(timedelta(days=32).total_seconds())
    await request_expiry(world.ports, ITEM, RequestId("all"), confirm=True)
    number = 0
    async for life, _ in deaths(world, applied=applied):
        await life.settle()
        item = await life.item_of()
        assert [seat.number for seat in item.replica_layout] == [0]
        assert not life.storage.blobs_below(f"{item.replica}.seats/")
        life.ports.machines.attach(VM, 0, DATA)
        await life.backup()
        assert [seat.number for seat in (await life.item_of()).replica_layout] == [0, 2]
        await life.check_all()
        number += 1
    assert number > 20


async def test_a_restore_point_that_cannot_go_keeps_nothing_else() -> None:
    """A lock on its group: what has expired in the vault goes all the same, the rest later."""
    world = await vm_world()
    for _ in range(3):
        world.work()
        await world.backup()
    world.ports.clock.advance(timedelta(days=32).total_seconds())
    await request_expiry(world.ports, ITEM, RequestId("all"), confirm=True)
    replica = world.storage.blob((await world.item_of()).replica)
    locked = Fault(call="machines.delete_point", error=lambda: Invalid("locked"), times=100)
    world.ports.faults.plan(locked)
    with pytest.raises(Invalid, match="locked"):
        await expire_points(world.ports, ExpirePoints(item_id=ITEM))
    assert len(replica.snapshots) == 1
    world.ports.faults.planned.clear()
    await world.settle()
    assert (len(world.azure_points()), len(await world.points_of())) == (1, 1)
    await world.check_all()


async def test_in_place_a_disk_comes_where_the_machine_has_it_now() -> None:
    """At another LUN than at the point's time: else the machine would have both, with the same
    file system."""
    world = await worn()
    world.ports.machines.detach(VM, 0)
    world.ports.machines.attach(VM, 5, DATA)
    [point] = await world.points_of()
    await world.restored(ORIGINAL)
    held = world.held[point.job_id]
    assert world.now() == {OS_LUN: held[OS_LUN], 5: held[0]}


async def test_the_only_disk_of_an_item_is_lost_and_restored_in_place() -> None:
    """There is nothing to keep before, and no reason to refuse."""
    world = await vm_world(disks={"include": [0]})
    await world.backup()
    world.ports.machines.detach(VM, 0)
    [point] = await world.points_of()
    job = await world.restored(ORIGINAL)
    assert job.status is Status.COMPLETED, job.error
    assert world.now()[0] == world.held[point.job_id][0]
    assert len(await world.points_of()) == 1


async def test_the_only_disk_of_an_item_goes_while_its_restore_point_is_taken() -> None:
    """The point has it."""
    world = await vm_world(disks={"include": [0]})
    world.ports.machines.slow = 3
    request = await world.command(type="backup-now", item_id=ITEM)
    await world.serve_one("commands")
    await world.serve_one("snapshot")
    world.ports.machines.detach(VM, 0)
    await world.settle()
    job = await world.job_of("backup", request)
    assert job.status is Status.COMPLETED, job.error
    await world.check_all()


async def test_a_guest_that_failed_before_a_restore_is_not_asked_again() -> None:
    """Although the restore point that came to nothing takes a while to go, and its name with it."""
    world = await worn()
    world.vm.guest_fails = 1000
    asked = asked_for(world)
    job = await world.restored(ORIGINAL)
    assert job.status is Status.COMPLETED, job.error
    assert asked.count(Consistency.FILE_SYSTEM) == 1
    safety = (await world.points_of())[-1]
    assert (safety.consistency, "guest" in safety.consistency_reason) == (Consistency.CRASH, True)


def asked_for(world: VmWorld) -> list[Consistency]:
    """What is asked of the machine from now on; after each failure the next one is put off."""
    asked: list[Consistency] = []
    take = world.ports.machines.take_point

    async def busy(
        vm: DiskUrl, tag: str, consistency: Consistency, leave_out: Sequence[DiskUrl] = ()
    ) -> RestorePoint:
        put_off = asked[-1:] == [Consistency.FILE_SYSTEM]
        asked.append(consistency)
        if put_off:
            raise Deferred("the point is being deleted", retry_after=30)
        return await take(vm, tag, consistency, leave_out)

    world.ports.machines.take_point = busy  # type: ignore[method-assign]
    return asked


async def test_there_is_no_original_any_more() -> None:
    """What the job advises is not what was just refused."""
    world = await worn()
    world.ports.machines.remove(VM)
    job = await world.restored(ORIGINAL)
    assert job.error
    assert job.error.code == "SourceNotFound"
    assert "something new" in job.error.recommended_action


async def test_a_machine_that_needs_an_interface_is_refused_before_anything_is_copied() -> None:
    """The old one is still there, and has it."""
    world = await worn()
    job = await world.restored({**ALTERNATE, "network": None})
    assert (job.status, job.detail) == (Status.FAILED, "")
    assert job.error
    assert "--network" in job.error.recommended_action
    world.ports.machines.remove(VM)
    job = await world.restored({"kind": "alternate", "url": NEW_VM})
    assert job.status is Status.COMPLETED, job.error


def never_starts(world: VmWorld) -> None:
    """There is no room for the machine any more, where it has to run."""
    swap = world.ports.machines.swap

    async def swapped(vm: DiskUrl, disks: Sequence[MachineDisk], *, start: bool) -> None:
        await swap(vm, disks, start=False)
        if start:
            raise Transient("no room for the machine", code="AllocationFailed")

    world.ports.machines.swap = swapped  # type: ignore[method-assign]


async def three_days(world: VmWorld) -> None:
    """Whatever is tried again and again meanwhile."""
    until = world.ports.clock.now() + timedelta(days=3)
    while world.ports.clock.now() < until:
        for _ in range(20):
            await world.serve_one()
        world.ports.clock.advance(1800)
        await world.reconcile()


async def test_a_machine_that_does_not_start_again_keeps_no_restore_for_ever() -> None:
    """It has its disks; after a while its restore ends, and holds nothing (invariant 22)."""
    world = await worn()
    never_starts(world)
    request = await world.command(type="restore", item_id=ITEM, point="latest", target=ORIGINAL)
    await three_days(world)
    assert (await world.job_of("restore", request)).status is Status.FAILED
    assert not (await world.item_of()).restoring
    assert not any(point.pins for point in await world.points_of())


async def test_protection_goes_on_with_a_disk_whose_machine_does_not_start_again() -> None:
    """The machine has it, and the old one no more."""
    world = await disk_world()
    point = await world.point()
    never_starts(world)
    await world.command(type="restore", item_id=OS_DISK, point=point.id, target=ORIGINAL)
    await three_days(world)
    item = await world.protected()
    assert item.source == world.disk != OLD
    assert await world.owner_of(OLD) is None
    assert not item.restoring


async def test_a_check_tells_which_disk_of_a_machine_is_damaged_and_where() -> None:
    """In bytes of that disk, not of an image that nobody sees."""
    world = await vm_world()
    world.add_disk(1, "logs")
    world.add_disk(2, "more")
    await world.backup()
    item = await world.item_of()
    page = next(world.storage.blob(seat_url(item.replica, 3)).pages.allocated()).start
    rot(world, item, 3 * SEAT_BYTES + page)
    request = await world.command(type="consistency-check", item_id=ITEM)
    await world.settle()
    view = job_view(await world.job_of("check", request))
    [place] = view["differing_ranges"]
    assert (place["seat"], place["start"]) == (3, page)
    [point] = await world.points_of()
    assert [disk["lun"] for disk in point_view(point)["disks"] if disk["seat"] == 3] == [2]
    await world.check_all()
