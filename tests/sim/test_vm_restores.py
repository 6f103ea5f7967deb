"""Restores of a virtual machine: its disks alone, another machine, and in place."""

from typing import Any

import pytest

from shared.codec import from_json
from shared.memory import Fault
from shared.model.ids import DiskUrl, digest
from shared.model.job import Job, Status
from shared.model.machine import Consistency, Power
from shared.model.point import Tier
from shared.model.restore import RestoreWork
from tests.sim.deaths import deaths
from tests.sim.vm_scenes import (
    COMPUTE,
    ITEM,
    OTHER_GROUP,
    SUBNET,
    VM,
    VmWorld,
    disk_url,
    vm_world,
    whole,
)
from tests.sim.world import Crash

NEW_VM = DiskUrl(f"{COMPUTE}/virtualmachines/web-2")
DISKS: dict[str, Any] = {"kind": "disks", "group": OTHER_GROUP, "prefix": "r1"}
ALTERNATE: dict[str, Any] = {"kind": "alternate", "url": NEW_VM, "network": SUBNET}
ORIGINAL: dict[str, Any] = {"kind": "original", "confirm": True}


async def worn(seed: int = 0) -> VmWorld:
    """A machine with one point, which holds something else since."""
    world = await vm_world(seed)
    await world.scheduled()
    world.work()
    return world


def work_of(job: Job) -> RestoreWork:
    return from_json(RestoreWork, job.detail)


async def test_disks_alone() -> None:
    """Invariant 2: each under its name, in the group asked for, free to be attached."""
    world = await worn()
    job = await world.restored(DISKS)
    [point] = await world.points_of()
    assert job.status is Status.COMPLETED
    for lun, held in world.held[point.job_id].items():
        url = disk_url(f"r1-web-{lun}", OTHER_GROUP)
        assert whole(world.storage, url) == held
        assert not world.storage.blob(url).lease_id
    assert not point.pins


async def test_one_disk_of_a_point() -> None:
    world = await worn()
    job = await world.restored({**DISKS, "disks": {"include": [0]}})
    [point] = await world.points_of()
    assert [disk.url for disk in work_of(job).disks] == [disk_url("r1-web-0", OTHER_GROUP)]
    restored = disk_url("r1-web-0", OTHER_GROUP)
    assert whole(world.storage, restored) == world.held[point.job_id][0]
    assert world.storage.find(disk_url("r1-web--1", OTHER_GROUP)) is None


async def test_a_disk_that_the_point_has_not() -> None:
    world = await worn()
    job = await world.restored({**DISKS, "disks": {"include": [7]}})
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "InvalidInput")


async def test_another_machine() -> None:
    """Like the old one, of disks of its own, in the network asked for."""
    world = await worn()
    job = await world.restored(ALTERNATE)
    [point] = await world.points_of()
    built = world.ports.machines.machine(NEW_VM)
    assert job.status is Status.COMPLETED
    assert world.now(NEW_VM) == world.held[point.job_id]
    assert (built.size, built.network, built.os) == (world.vm.size, SUBNET, world.vm.os)
    assert set(built.disks.values()).isdisjoint(world.vm.disks.values())


async def test_a_machine_that_is_gone_comes_back_under_its_name() -> None:
    world = await worn()
    world.ports.machines.remove(VM)
    job = await world.restored({**ALTERNATE, "url": VM})
    assert job.status is Status.COMPLETED
    [point] = await world.points_of()
    assert world.now() == world.held[point.job_id]


async def test_in_place() -> None:
    """New disks in the places of the old ones, which stay; what was there is a point of its own."""
    world = await worn()
    old, held = dict(world.vm.disks), world.now()
    job = await world.restored(ORIGINAL)
    point, safety = await world.points_of()
    assert job.status is Status.COMPLETED
    assert world.now() == world.held[point.job_id]
    assert world.vm.power is Power.RUNNING
    assert world.vm.disks == {lun: disk_url(f"web-{lun}-{digest(job.id)}") for lun in old}
    assert set(work_of(job).replaced) == set(old.values())
    assert {lun: whole(world.storage, disk) for lun, disk in old.items()} == held
    assert (safety.tiers, safety.consistency) == ((Tier.SNAPSHOT,), Consistency.FILE_SYSTEM)
    assert safety.source
    assert world.disks_in(safety.source) == held


async def test_a_machine_that_was_off_stays_off() -> None:
    world = await worn()
    world.vm.power = Power.DEALLOCATED
    await world.restored(ORIGINAL)
    assert world.vm.power is Power.DEALLOCATED


async def test_protection_goes_on_after_a_restore_in_place() -> None:
    """The new disks get seats of their own; the points before stay what they are."""
    world = await worn()
    await world.restored(ORIGINAL)
    world.work()
    await world.backup()
    assert len((await world.item_of()).seats) == 4
    await world.check_all()


async def test_the_state_before_a_restore_can_be_had_back() -> None:
    world = await worn()
    held = world.now()
    await world.restored(ORIGINAL)
    safety = (await world.points_of())[-1]
    await world.restored(ORIGINAL, safety)
    assert world.now() == held


async def test_what_takes_its_time_is_waited_for_by_timers() -> None:
    """Nothing waits in a function, and nobody takes it for stuck."""
    world = await worn()
    world.ports.machines.slow = 3
    for target in (ORIGINAL, ALTERNATE, DISKS):
        job = await world.restored(target)
        assert job.status is Status.COMPLETED, job.error
        assert job.attempts == 0


async def test_a_target_group_that_goes_away_during_the_restore() -> None:
    """The job tells it; the point stays, and nothing is held."""
    world = await worn()
    world.ports.machines.gone_groups.add(COMPUTE.partition("/providers/")[0])
    job = await world.restored(ALTERNATE)
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "ResourceGroupNotFound")
    [point] = await world.points_of()
    assert not point.pins
    assert not any(world.storage.blob(disk.url).lease_id for disk in work_of(job).disks)


@pytest.mark.parametrize("target", [{**DISKS, "prefix": "taken"}, {**ALTERNATE, "url": VM}])
async def test_what_exists_is_not_overwritten(target: dict[str, Any]) -> None:
    world = await worn()
    theirs = disk_url("taken-web-0", OTHER_GROUP)
    world.storage.create(theirs, 512)
    job = await world.restored(target)
    assert job.status is Status.FAILED
    assert whole(world.storage, theirs) == bytes(512)


async def test_a_machine_whose_swap_fails_runs_again() -> None:
    """Somebody attaches the new disk elsewhere in the meantime: the machine runs on as it was."""
    world = await worn()
    world.ports.machines.create(NEW_VM, {})
    old = dict(world.vm.disks)

    async def meddle(call: str) -> None:
        if call == "machines.switch_off":
            new = next(blob.url for blob in world.storage.blobs_below(f"{COMPUTE}/disks/web-0-"))
            world.ports.machines.attach(NEW_VM, 5, new)

    world.ports.faults.before = meddle
    job = await world.restored(ORIGINAL)
    assert job.status is Status.FAILED
    assert world.vm.power is Power.RUNNING
    assert world.vm.disks == old


async def test_a_restore_that_was_cancelled_swaps_nothing() -> None:
    world = await worn()
    old = dict(world.vm.disks)
    await world.command(type="restore", item_id=ITEM, point="latest", target=ORIGINAL)
    while not world.running:
        await world.serve_one()
    [job] = world.running
    world.ports.faults.plan(Fault(call="images.copy", times=1, error=Crash))
    await world.serve_one()
    await world.command(type="cancel", job_id=job)
    await world.serve_one("commands")
    world.ports.faults.planned.clear()
    await world.settle()
    ended = next(each for each in await world.jobs(ITEM) if each.id == job)
    assert ended.status is Status.CANCELLED
    assert (world.vm.disks, world.vm.power) == (old, Power.RUNNING)


@pytest.mark.parametrize("target", [ORIGINAL, ALTERNATE], ids=["in place", "alternate"])
async def test_a_restore_that_is_cancelled_at_the_last_moment_hands_nothing_over(
    target: dict[str, Any],
) -> None:
    """All is copied; then somebody wants it to end, before any machine gets it."""
    world = await worn()
    old, play = dict(world.vm.disks), world._activity

    async def and_cancel(name: str, given: dict[str, Any]) -> dict[str, Any]:
        if name == "restore_finish":
            await world.command(type="cancel", job_id=given["job_id"], request_id="end")
            await world.serve_one("commands")
        return await play(name, given)

    world._activity = and_cancel  # type: ignore[method-assign]
    job = await world.restored(target)
    assert job.status is Status.CANCELLED
    assert (world.vm.disks, world.vm.power) == (old, Power.RUNNING)
    assert NEW_VM not in world.ports.machines.every()


@pytest.mark.fault(16)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("target", [ORIGINAL, ALTERNATE], ids=["in place", "alternate"])
async def test_a_death_at_any_call_of_a_restore_is_survived(
    target: dict[str, Any], applied: bool
) -> None:
    """Invariant 6: the process dies before or after the n-th I/O call takes effect."""
    world = await worn()
    [point] = await world.points_of()
    world.ports.machines.slow = 1
    await world.command(type="restore", item_id=ITEM, point=point.id, target=target)
    restored = VM if target is ORIGINAL else NEW_VM
    number = 0
    async for life, _ in deaths(world, applied=applied):
        await life.settle()
        assert life.now(restored) == life.held[point.job_id], number
        assert life.vm.power is Power.RUNNING
        jobs = [job for job in await life.jobs(ITEM) if ".restore-" in job.id]
        assert [job.status for job in jobs] == [Status.COMPLETED]
        assert not any(each.pins for each in await life.points_of())
        number += 1
    assert number > 30
