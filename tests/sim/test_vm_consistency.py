"""What a machine's points promise, and why it is no more."""

import pytest

from shared.model.job import Status
from shared.model.machine import Agent, Consistency, Os, Power
from shared.model.point import Tier
from tests.sim.vm_scenes import VmWorld, vm_world
from tests.sim.world import POLICY

CRASHING = POLICY + "consistency: crash\n"


async def promise(world: VmWorld) -> tuple[Consistency | None, str]:
    point = (await world.points_of())[-1]
    return point.consistency, point.consistency_reason


async def test_a_running_linux_machine() -> None:
    world = await vm_world()
    await world.backup()
    got, why = await promise(world)
    assert (got, "Linux" in why) == (Consistency.FILE_SYSTEM, True)


async def test_a_running_windows_machine() -> None:
    world = await vm_world()
    world.vm.os = Os.WINDOWS
    await world.backup()
    assert await promise(world) == (Consistency.APPLICATION, "")


async def test_a_machine_that_is_off() -> None:
    world = await vm_world()
    world.vm.power = Power.DEALLOCATED
    await world.backup()
    assert await promise(world) == (Consistency.CRASH, "the machine was off")
    await world.check_all()


async def test_an_agent_that_is_too_old() -> None:
    world = await vm_world()
    world.vm.os, world.vm.agent = Os.WINDOWS, Agent(ready=True, version="2.5.0.0")
    await world.backup()
    got, why = await promise(world)
    assert (got, "too old" in why) == (Consistency.CRASH, True)


async def test_a_policy_that_wants_no_more() -> None:
    world = await vm_world(policy=CRASHING)
    await world.backup()
    assert await promise(world) == (Consistency.CRASH, "")


async def test_a_guest_that_fails_is_asked_again() -> None:
    world = await vm_world()
    world.vm.guest_fails = 2
    job = await world.backup()
    assert (job.status, job.guest_failures) == (Status.COMPLETED, 2)
    assert (await promise(world))[0] is Consistency.FILE_SYSTEM
    assert len(world.azure_points()) == 1


async def test_a_guest_that_fails_again_and_again_is_left_out() -> None:
    """The backup is made without it, and the next one asks it again."""
    world = await vm_world()
    world.vm.guest_fails = 3
    job = await world.backup()
    assert (job.status, job.guest_failures) == (Status.COMPLETED, 3)
    got, why = await promise(world)
    assert (got, "failed 3 times" in why) == (Consistency.CRASH, True)
    await world.backup()
    assert (await promise(world))[0] is Consistency.FILE_SYSTEM
    await world.check_all()


async def test_what_was_asked_for_is_asked_for_again() -> None:
    """A machine that is switched off while its point is being taken changes nothing of why."""
    world = await vm_world()
    world.ports.machines.slow = 3
    take = world.ports.machines._take

    def and_switch_off(machine, *rest):  # type: ignore[no-untyped-def]
        point = take(machine, *rest)
        machine.power = Power.DEALLOCATED
        return point

    world.ports.machines._take = and_switch_off  # type: ignore[method-assign]
    await world.backup()
    got, why = await promise(world)
    assert (got, "Linux" in why) == (Consistency.FILE_SYSTEM, True)


async def test_a_point_of_the_snapshot_tier_says_so_too() -> None:
    """Of two backups at once the second has no transfer; it promises what it promises."""
    world = await vm_world()
    world.vm.power = Power.STOPPED
    for _ in range(2):
        await world.command(type="backup-now", item_id="web")
    while await world.serve_one("commands", "snapshot"):
        pass
    await world.settle()
    points = await world.points_of()
    assert sorted(len(point.tiers) for point in points) == [1, 2]
    assert {point.consistency_reason for point in points} == {"the machine was off"}
    assert any(point.tiers == (Tier.SNAPSHOT,) for point in points)
    await world.check_all()


@pytest.mark.parametrize("fails", [0, 1])
async def test_a_safety_point_asks_the_guest_once(fails: int) -> None:
    """Before a restore in place; a guest that fails must not hold it up."""
    world = await vm_world()
    await world.backup()
    world.vm.guest_fails = fails
    await world.restored({"kind": "original", "confirm": True})
    expected = Consistency.CRASH if fails else Consistency.FILE_SYSTEM
    assert (await promise(world))[0] is expected
