"""A managed disk restored in place: another one is filled, its machine gets that, and protection
goes on with it."""

from datetime import timedelta
from typing import Any

import pytest

from shared.model.ids import DiskUrl, digest, item_id
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.machine import OS_LUN, Power
from shared.model.messages import COMMANDS
from shared.model.point import Kind, Point
from shared.steps.expiry import request_expiry
from tests.sim.deaths import deaths
from tests.sim.scenes import MIB
from tests.sim.vm_scenes import VM, VmWorld, disk_url, whole
from tests.sim.world import ITEM

LUN = 3
OLD = disk_url("data")
OTHER = item_id("other")
ORIGINAL: dict[str, Any] = {"kind": "original", "confirm": True}


class DiskWorld(VmWorld):
    """A machine of which one data disk is protected on its own. `held_by` is what that held when
    each point was made."""

    def __init__(self) -> None:
        super().__init__()
        self.held_by: dict[str, bytes] = {}

    @property
    def disk(self) -> DiskUrl:
        """The one that the machine has now."""
        return self.vm.disks[LUN]

    async def point(self) -> Point:
        """A new point of what the disk now holds."""
        held = whole(self.storage, self.disk)
        await self.command(type="backup-now", item_id=ITEM)
        await self.settle()
        made = (await self.points(ITEM))[-1]
        self.held_by[made.id] = held
        return made

    async def in_place(self, point: Point) -> Job:
        await self.command(type="restore", item_id=ITEM, point=point.id, target=ORIGINAL)
        await self.settle()
        return next(job for job in reversed(await self.jobs(ITEM)) if ".restore-" in job.id)

    async def protected(self) -> Item:
        item = await self.item(ITEM)
        assert item is not None
        return item

    async def owner_of(self, disk: DiskUrl) -> str | None:
        known = await self.ports.inventory.disk(disk)
        return known.item if known else None


async def disk_world() -> DiskWorld:
    world = DiskWorld()
    await world.set_up()
    system = disk_url("system")
    for url, size in ((system, MIB), (OLD, 4 * MIB + 256 * 1024)):
        world.storage.create(url, size)
        world.scribble(url)
    world.ports.machines.create(VM, {OS_LUN: system, LUN: OLD})
    await world.protect(OLD, ITEM)
    await world.settle()
    return world


async def test_the_newest_point_in_place() -> None:
    """Its replica is the base already: nothing is copied in the vault, and little after it."""
    world = await disk_world()
    point = await world.point()
    world.scribble(OLD)
    lost = whole(world.storage, OLD)
    job = await world.in_place(point)
    assert job.status is Status.COMPLETED, job.error
    new = disk_url(f"data-{digest(job.id)}")
    assert (world.disk, world.vm.power) == (new, Power.RUNNING)
    assert whole(world.storage, new) == world.held_by[point.id]
    assert whole(world.storage, OLD) == lost, "the old disk has been written to"
    item = await world.protected()
    assert (item.source, item.former) == (new, (OLD,))
    assert (await world.owner_of(new), await world.owner_of(OLD)) == (ITEM, None)

    world.storage.put(new, 512 * 40, b"x" * 512)
    world.storage.copied_bytes = 0
    after = await world.point()
    assert (after.kind, after.copied_bytes, world.storage.copied_bytes) == (
        Kind.INCREMENTAL,
        512,
        512,
    )
    assert after.replica is not None
    assert world.bytes_of(after.replica) == world.held_by[after.id]


async def test_an_older_point_in_place() -> None:
    """The replica becomes the point again, inside the vault; the source is copied from there."""
    world = await disk_world()
    first = await world.point()
    world.scribble(OLD)
    await world.point()
    job = await world.in_place(first)
    assert job.status is Status.COMPLETED, job.error
    assert whole(world.storage, world.disk) == world.held_by[first.id]
    world.storage.put(world.disk, 0, b"y" * 1024)
    after = await world.point()
    assert (after.kind, after.copied_bytes) == (Kind.INCREMENTAL, 1024)
    for point in await world.points(ITEM):
        if point.id in world.held_by and point.replica is not None:
            assert world.bytes_of(point.replica) == world.held_by[point.id]


async def test_there_and_back_again() -> None:
    """What was there before the restore is a point of its own, of the disk that was."""
    world = await disk_world()
    point = await world.point()
    world.scribble(OLD)
    lost = whole(world.storage, OLD)
    await world.in_place(point)
    safety = next(each for each in await world.points(ITEM) if each.id != point.id)
    job = await world.in_place(safety)
    assert job.status is Status.COMPLETED, job.error
    assert whole(world.storage, world.disk) == lost
    item = await world.protected()
    assert (item.source, len(item.former)) == (world.disk, 2)
    assert (await world.point()).kind is Kind.FULL, "the point has no copy in the vault"


async def test_a_disk_that_no_machine_has_is_refused() -> None:
    world = await disk_world()
    point = await world.point()
    world.ports.machines.detach(VM, LUN)
    job = await world.in_place(point)
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "TargetInUse")
    assert job.error
    assert "new disk" in job.error.recommended_action
    assert (await world.protected()).source == OLD


async def test_snapshots_of_the_old_disk_are_released_in_the_end() -> None:
    """The item remembers which disks it had: nobody else would look for their snapshots."""
    world = await disk_world()
    point = await world.point()
    await world.in_place(point)
    assert world.storage.blob(OLD).snapshots
    world.ports.clock.set(world.ports.clock.now() + timedelta(days=40))
    await world.point()
    await request_expiry(world.ports, ITEM, "all", confirm=True)  # type: ignore[arg-type]
    await world.settle()
    assert not world.storage.blob(OLD).snapshots


async def test_the_old_disk_can_be_protected_anew() -> None:
    """It never was as the restored point; and what was kept of it before the restore stays the
    other item's."""
    world = await disk_world()
    point = await world.point()
    world.scribble(OLD)
    await world.in_place(point)
    await world.protect(OLD, OTHER)
    await world.settle()
    held = whole(world.storage, OLD)
    await world.command(type="backup-now", item_id=OTHER)
    await world.settle()
    (made,) = await world.points(OTHER)
    assert made.kind is Kind.FULL
    assert made.replica is not None
    assert world.bytes_of(made.replica) == held
    safety = next(each for each in await world.points(ITEM) if each.id != point.id)
    assert safety.source is not None
    assert safety.source.id in world.storage.blob(OLD).snapshots


async def test_another_item_cannot_have_the_restored_disk() -> None:
    """Invariant 18, also while the machine does not have it yet."""
    world = await disk_world()
    point = await world.point()
    job = await world.in_place(point)
    assert job.status is Status.COMPLETED
    await world.command(
        type="protect", source=world.disk, policy="gold", vault="vault", item_id="other"
    )
    await world.settle()
    assert await world.item("other") is None  # type: ignore[arg-type]


async def test_two_at_once_are_not() -> None:
    world = await disk_world()
    point = await world.point()
    for _ in range(2):
        await world.command(type="restore", item_id=ITEM, point=point.id, target=ORIGINAL)
    while await world.serve_one(COMMANDS):
        pass
    await world.settle()
    ended = [job for job in await world.jobs(ITEM) if ".restore-" in job.id]
    assert sorted(job.status for job in ended) == [Status.COMPLETED, Status.FAILED]
    assert [job.error.code for job in ended if job.error] == ["TargetInUse"]


async def test_two_disks_of_a_machine_are_not_swapped_at_once() -> None:
    """They would switch it off and on again under each other."""
    world = await disk_world()
    await world.protect(world.vm.disks[OS_LUN], OTHER)
    await world.settle()
    point = await world.point()
    await world.command(type="backup-now", item_id=OTHER)
    await world.settle()
    await world.command(type="restore", item_id=ITEM, point=point.id, target=ORIGINAL)
    while not world.running:
        await world.serve_one(COMMANDS)
    await world.command(type="restore", item_id=OTHER, point="latest", target=ORIGINAL)
    while await world.serve_one(COMMANDS):
        pass
    await world.settle()
    refused = [job for job in await world.jobs(OTHER) if ".restore-" in job.id]
    assert [job.error.code for job in refused if job.error] == ["TargetInUse"]
    assert world.vm.power is Power.RUNNING
    await world.command(type="restore", item_id=OTHER, point="latest", target=ORIGINAL)
    await world.settle()
    again = [job.status for job in await world.jobs(OTHER) if ".restore-" in job.id]
    assert sorted(again) == [Status.COMPLETED, Status.FAILED]


async def test_a_swap_that_fails_leaves_everything_as_it_was() -> None:
    """Somebody gives the new disk to another machine meanwhile. The old one runs on as it did."""
    world = await disk_world()
    point = await world.point()
    other = DiskUrl(f"{VM}-2")
    world.ports.machines.create(other, {})

    async def meddle(call: str) -> None:
        if call == "machines.switch_off":
            new = next(blob.url for blob in world.storage.blobs_below(f"{OLD}-"))
            world.ports.machines.attach(other, 5, new)

    world.ports.faults.before = meddle
    job = await world.in_place(point)
    assert job.status is Status.FAILED
    assert (world.disk, world.vm.power) == (OLD, Power.RUNNING)
    assert (await world.protected()).source == OLD
    new = world.ports.machines.machine(other).disks[5]
    assert (await world.owner_of(OLD), await world.owner_of(new)) == (ITEM, None)


@pytest.mark.fault(16)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_is_survived(applied: bool) -> None:
    """Invariants 6 and 18: from the request to the item's new source."""
    world = await disk_world()
    point = await world.point()
    world.ports.machines.slow = 1
    await world.command(type="restore", item_id=ITEM, point=point.id, target=ORIGINAL)
    number = 0
    async for life, _ in deaths(world, applied=applied):
        await life.settle()
        item = await life.protected()
        assert item.source == life.disk != OLD, number
        assert whole(life.storage, life.disk) == life.held_by[point.id], number
        assert life.vm.power is Power.RUNNING
        assert (await life.owner_of(OLD), await life.owner_of(life.disk)) == (None, ITEM)
        assert item.base is not None
        assert item.base.source.disk == life.disk, number
        number += 1
    assert number > 30
