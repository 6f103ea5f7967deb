"""Random lives of a machine: disks come, go and grow, its power and its guest change, processes die
at any call; every point restores what its machine held (invariants 2, 4 and 6)."""

from collections.abc import Callable

import pytest

from shared.memory import Fault
from shared.model.machine import OS_LUN, Power
from tests.sim.scenes import MIB
from tests.sim.vm_scenes import VM, VmWorld, disk_url, vm_world
from tests.sim.world import POLICY, Crash

STEPS = 30
SHORT = POLICY.replace("keep: 30", "keep: 7")
"""Points expire within a life, and with them what the vault has of disks that are gone."""
ORIGINAL = {"kind": "original", "confirm": True}


class Life:
    """What may become of a machine, one thing at a time."""

    def __init__(self, world: VmWorld) -> None:
        self.world = world
        self.free: list[str] = []
        self.made = 0

    @property
    def happenings(self) -> list[Callable[[], None]]:
        return [
            self.world.work,
            self.world.work,
            self.a_disk_comes,
            self.a_disk_goes,
            self.a_disk_comes_back,
            self.a_disk_grows,
            self.power_changes,
            self.the_guest_fails,
        ]

    def lun(self) -> int:
        """One where there is nothing."""
        return next(lun for lun in range(64) if lun not in self.world.vm.disks)

    def a_disk_comes(self) -> None:
        self.made += 1
        size = self.world.random.choice([512 * 1024, MIB, 4 * MIB + 512])
        self.world.add_disk(self.lun(), f"disk-{self.made}", size)

    def a_disk_goes(self) -> None:
        luns = [lun for lun in self.world.vm.disks if lun != OS_LUN]
        if luns:
            lun = self.world.random.choice(luns)
            self.free.append(self.world.vm.disks[lun])
            self.world.ports.machines.detach(VM, lun)

    def a_disk_comes_back(self) -> None:
        if self.free:
            disk = self.free.pop()
            self.world.ports.machines.attach(VM, self.lun(), disk_url(disk.rpartition("/")[2]))

    def a_disk_grows(self) -> None:
        disk = self.world.random.choice(list(self.world.vm.disks.values()))
        size = self.world.storage.blob(disk).size_bytes
        self.world.storage.resize(disk, size + self.world.random.choice([512, MIB]))

    def power_changes(self) -> None:
        off = self.world.vm.power is Power.DEALLOCATED
        self.world.vm.power = Power.RUNNING if off else Power.DEALLOCATED

    def the_guest_fails(self) -> None:
        self.world.vm.guest_fails = self.world.random.randrange(1, 5)


@pytest.mark.parametrize("seed", range(6))
async def test_a_machines_life(seed: int) -> None:
    world = await vm_world(seed, policy=SHORT)
    life, dice = Life(world), world.random
    world.ports.machines.slow = dice.randrange(3)
    deaths = Fault(call="*", times=40, share=0.01, applied=bool(seed % 2), error=Crash, dice=dice)
    world.ports.faults.plan(deaths)
    for _ in range(STEPS):
        dice.choice(life.happenings)()
        if dice.random() < 0.3:
            await world.backup()
        elif dice.random() < 0.8:
            await world.scheduled()
        elif await world.points_of():
            await world.restored(ORIGINAL, dice.choice(await world.points_of()))
    world.ports.faults.planned.clear()
    await world.backup()
    await world.settle()
    assert deaths.fired
    await world.check_all()
    for point in (await world.points_of())[-3:]:
        await world.restored(ORIGINAL, point)
        held = world.held[point.job_id]
        assert {lun: world.now()[lun] for lun in held} == held
