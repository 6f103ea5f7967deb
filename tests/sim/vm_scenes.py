"""What the simulation's tests of virtual machines share: a machine of small disks, its backups, its
restores, and the oracle: the bytes of every disk at every restore point."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from shared.memory import MemoryMachine, MemoryStorage
from shared.model.disk import Snapshot
from shared.model.extents import image_of
from shared.model.ids import DiskUrl, RequestId, item_id, request_job
from shared.model.item import Item
from shared.model.job import Job
from shared.model.machine import OS_LUN, Consistency, RestorePoint
from shared.model.point import Point
from shared.model.ranges import PageRange
from shared.steps.tick import tick
from tests.sim.scenes import MIB
from tests.sim.world import POLICY, World

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/prod"
COMPUTE = f"{GROUP}/providers/microsoft.compute"
VM = DiskUrl(f"{COMPUTE}/virtualmachines/web")
OTHER_GROUP = GROUP.replace("prod", "restored")
SUBNET = f"{GROUP}/providers/microsoft.network/virtualnetworks/net/subnets/default"
ITEM = item_id("web")
SIZES = {OS_LUN: 4 * MIB + 256 * 1024, 0: 1 * MIB}
"""The system's disk has a replica of two extents."""

Bytes = dict[int, bytes]
"""What a machine's disks hold, by LUN."""


def disk_url(name: str, group: str = GROUP) -> DiskUrl:
    return DiskUrl(f"{group}/providers/microsoft.compute/disks/{name}")


class VmWorld(World):
    """A world of one machine. `held` is what its disks held at each restore point, by job."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.held: dict[str, Bytes] = {}
        self._take = self.ports.machines._take
        self.ports.machines._take = self._noting  # type: ignore[method-assign]

    def _noting(
        self,
        machine: MemoryMachine,
        tag: str,
        consistency: Consistency,
        leave_out: Iterable[DiskUrl],
    ) -> RestorePoint:
        left = set(leave_out)
        held = {
            lun: whole(self.storage, disk)
            for lun, disk in machine.disks.items()
            if disk not in left
        }
        point = self._take(machine, tag, consistency, left)
        self.held[tag] = held
        return point

    @property
    def storage(self) -> MemoryStorage:
        return self.ports.storage

    @property
    def vm(self) -> MemoryMachine:
        return self.ports.machines.machine(VM)

    def add_disk(self, lun: int, name: str, size_bytes: int = MIB) -> DiskUrl:
        """A new disk with some content, attached."""
        url = disk_url(name)
        self.storage.create(url, size_bytes)
        self.scribble(url)
        self.ports.machines.attach(VM, lun, url)
        return url

    def scribble(self, disk: DiskUrl, times: int = 4) -> None:
        size = self.storage.blob(disk).size_bytes
        for _ in range(times):
            start = self.random.randrange(size // 512) * 512
            end = min(size, start + self.random.choice([512, 4096, 65536, 300 * 1024]))
            if self.random.random() < 0.3:
                self.storage.erase(disk, PageRange(start, end))
            else:
                self.storage.put(disk, start, self.random.randbytes(end - start))

    def work(self) -> None:
        """The machine writes to all its disks."""
        for disk in self.vm.disks.values():
            self.scribble(disk)

    async def protect_vm(self, **more: Any) -> None:
        await self.command(
            type="protect", source=VM, policy="gold", vault="vault", item_id=ITEM, **more
        )
        await self.settle()

    async def backup(self) -> Job:
        """A backup on demand, at its end."""
        request = await self.command(type="backup-now", item_id=ITEM)
        await self.settle()
        return await self.job_of("backup", request)

    async def backup_for(self, time: timedelta) -> Job:
        """A backup on demand, however far it has come after that time."""
        request = await self.command(type="backup-now", item_id=ITEM)
        until = self.ports.clock.now() + time
        while self.ports.clock.now() < until:
            if not await self.serve_one():
                await self.wait()
        return await self.job_of("backup", request)

    async def job_of(self, operation: str, request: str) -> Job:
        job_id = request_job(ITEM, operation, RequestId(request))
        row = await self.look(self.ports.ledger.get(ITEM, Job, job_id))
        assert row is not None
        return row.record

    async def scheduled(self) -> None:
        """The next slot comes."""
        now = self.ports.clock.now()
        at = now.replace(hour=2, minute=0, second=30)
        self.ports.clock.set(at if at > now else at + timedelta(days=1))
        await self.survive(tick(self.ports))
        await self.settle()

    async def points_of(self) -> list[Point]:
        points: list[Point] = await self.look(self.points(ITEM))
        return points

    async def item_of(self) -> Item:
        item: Item | None = await self.look(self.item(ITEM))
        assert item is not None
        return item

    async def restored(self, target: dict[str, Any], point: Point | None = None) -> Job:
        """A restore at its end."""
        chosen = point.id if point else "latest"
        request = await self.command(type="restore", item_id=ITEM, point=chosen, target=target)
        await self.settle()
        return await self.job_of("restore", request)

    async def check_all(self) -> None:
        """The oracle: every point's every disk, in each tier, is what it was (invariant 2)."""
        for point in await self.points_of():
            for image in (point.source, point.replica):
                if image is not None and not point.expiring:
                    assert self.disks_in(image) == self.held[point.job_id], point.id

    def disks_in(self, image: Snapshot) -> Bytes:
        return {member.lun: self.bytes_of(member.snapshot) for member in image.members}

    def bytes_of(self, snapshot: Snapshot) -> bytes:
        return b"".join(whole(self.storage, extent.snapshot) for extent in image_of(snapshot))

    def now(self, vm: DiskUrl = VM) -> Bytes:
        """What the machine's disks hold."""
        disks = self.ports.machines.machine(vm).disks
        return {lun: whole(self.storage, disk) for lun, disk in disks.items()}

    def azure_points(self) -> list[RestorePoint]:
        return self.ports.machines._of(VM)


def whole(storage: MemoryStorage, image: Snapshot | DiskUrl) -> bytes:
    version = storage.version(image)
    return version.pages.read(PageRange(0, version.size_bytes))


async def vm_world(seed: int = 0, policy: str = POLICY, **protect: Any) -> VmWorld:
    """A protected machine of two disks, before its first backup."""
    world = VmWorld(seed)
    await world.set_up(policy)
    for lun, size in SIZES.items():
        world.storage.create(disk_url(f"web-{lun}"), size)
        world.scribble(disk_url(f"web-{lun}"))
    world.ports.machines.create(VM, {lun: disk_url(f"web-{lun}") for lun in SIZES})
    await world.protect_vm(**protect)
    return world
