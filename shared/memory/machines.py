"""Virtual machines in memory: their disks are page images, their restore points outlive them.

What people do (`create`, `remove`, `attach`, `behave`…) is done here directly; the pipeline's port
works on the same machines.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.codec import from_json, to_json
from shared.memory.faults import Faults
from shared.memory.numbers import Numbers
from shared.memory.storage import Blob, Kept, MemoryStorage
from shared.model.arm_ids import compute_scope
from shared.model.deferral import Deferred
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import AlreadyExists, GuestFailed, Invalid, SourceGone
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.machine import (
    Agent,
    Consistency,
    Machine,
    MachineDisk,
    NewMachine,
    Os,
    PointDisk,
    Power,
    RestorePoint,
)

REGION = "westeurope"
PAUSE_SECONDS = 20.0
READY = Agent(ready=True, version="2.7.41491.1095")


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a machine of memory is besides its disks."""

    size: str
    os: Os


@dataclass(kw_only=True)
class MemoryMachine:
    """One machine, and how its guest behaves: it fails the next `guest_fails` points that need
    it."""

    url: DiskUrl
    vm_id: str
    os: Os = Os.LINUX
    power: Power = Power.RUNNING
    agent: Agent = READY
    region: str = REGION
    size: str = "Standard_B2s"
    disks: dict[int, DiskUrl] = field(default_factory=dict)
    guest_fails: int = 0
    network: str = ""
    tag: str = ""

    @property
    def blueprint(self) -> str:
        return to_json(Blueprint(size=self.size, os=self.os))

    @property
    def attached(self) -> tuple[MachineDisk, ...]:
        return tuple(
            MachineDisk(disk=disk, lun=lun, name=_name(disk))
            for lun, disk in sorted(self.disks.items())
        )


class MemoryMachines:
    """All machines by id. Each piece of work is put off `slow` times, for `pause_seconds`, before
    it is done. What is made in a group of `gone_groups` is refused."""

    def __init__(self, storage: MemoryStorage, faults: Faults | None = None) -> None:
        self.slow = 0
        self.pause_seconds = PAUSE_SECONDS
        self.gone_groups: set[str] = set()
        self._storage = storage
        self._faults = faults or Faults()
        self._machines: dict[DiskUrl, MemoryMachine] = {}
        self._points: dict[str, RestorePoint] = {}
        self._asked: Counter[str] = Counter()
        self._ids = Numbers()

    # What people do with their machines.

    def create(
        self, url: DiskUrl, disks: Mapping[int, DiskUrl], os: Os = Os.LINUX
    ) -> MemoryMachine:
        """A machine that runs on disks that exist; another one where the name was in use."""
        machine = MemoryMachine(url=url, vm_id=f"vm-{next(self._ids)}", os=os)
        self._machines[url] = machine
        for lun, disk in disks.items():
            self.attach(url, lun, disk)
        return machine

    def machine(self, url: DiskUrl) -> MemoryMachine:
        """Raises `SourceGone`."""
        if url not in self._machines:
            raise SourceGone(f"{url} does not exist")
        return self._machines[url]

    def every(self) -> frozenset[DiskUrl]:
        """The machines that there are."""
        return frozenset(self._machines)

    def attach(self, url: DiskUrl, lun: int, disk: DiskUrl) -> None:
        """In the place of what was there."""
        self.detach(url, lun)
        blob = self._storage.blob(disk)
        _check_free(blob)
        blob.machine = url
        self.machine(url).disks[lun] = disk

    def detach(self, url: DiskUrl, lun: int) -> None:
        before = self.machine(url).disks.pop(lun, None)
        if before and (blob := self._storage.find(before)):
            blob.machine = ""

    def remove(self, url: DiskUrl, *, with_disks: bool = True) -> None:
        """Its restore points stay."""
        machine = self._machines.pop(url)
        for disk in machine.disks.values():
            self._storage.blob(disk).machine = ""
            if with_disks:
                self._storage.remove(disk)

    # The port.

    async def state(self, vm: DiskUrl) -> Machine:
        async with self._faults.around("machines.state"):
            machine = self.machine(vm)
            return Machine(
                url=vm,
                vm_id=machine.vm_id,
                region=machine.region,
                os=machine.os,
                power=machine.power,
                agent=machine.agent,
                disks=machine.attached,
                size=machine.size,
            )

    async def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        where = replace(compute_scope(scope.url), machines=False)
        async with self._faults.around("machines.search"):
            urls = sorted(url for url in self._machines if url.startswith(f"{where}/"))
            found = [FoundDisk(url=url, size_bytes=self._size_of(url)) for url in urls]
        if found:
            yield found

    async def take_point(
        self, vm: DiskUrl, tag: str, consistency: Consistency, leave_out: Sequence[DiskUrl] = ()
    ) -> RestorePoint:
        async with self._faults.around("machines.take_point"):
            point = self._tagged(vm, tag)
            if point is None:
                point = self._take(self.machine(vm), tag, consistency, leave_out)
            self._take_time(point.id)
            return point

    async def points(self, vm: DiskUrl) -> list[RestorePoint]:
        async with self._faults.around("machines.points"):
            return self._of(vm)

    async def delete_point(self, point: str) -> None:
        async with self._faults.around("machines.delete_point"):
            gone = self._points.pop(point, None)
            for disk in gone.disks if gone else ():
                self._storage.apart.pop(disk.snapshot.id, None)

    async def build(self, machine: NewMachine, tag: str) -> None:
        async with self._faults.around("machines.build"):
            group = machine.url.partition("/providers/")[0]
            if group in self.gone_groups:
                raise SourceGone(f"{group} does not exist", code="ResourceGroupNotFound")
            known = self._machines.get(machine.url)
            if known is not None and known.tag != tag:
                raise AlreadyExists(f"{machine.url} exists already")
            if known is None:
                self._build(machine, tag)
            self._take_time(f"build {machine.url}")

    async def swap(self, vm: DiskUrl, disks: Sequence[MachineDisk], *, start: bool) -> None:
        async with self._faults.around("machines.swap"):
            machine = self.machine(vm)
            wanted = {each.lun: each.disk for each in disks}
            if not wanted.items() <= machine.disks.items():
                if machine.power is not Power.DEALLOCATED:
                    raise Invalid(f"{vm} has to be off")
                for disk in set(wanted.values()).difference(machine.disks.values()):
                    _check_free(self._storage.blob(disk))
                for lun, disk in wanted.items():
                    self.attach(vm, lun, disk)
            if start:
                machine.power = Power.RUNNING
            self._take_time(f"swap {vm} {sorted(wanted.values())}")

    async def switch_off(self, vm: DiskUrl) -> None:
        async with self._faults.around("machines.switch_off"):
            self.machine(vm).power = Power.DEALLOCATED
            self._take_time(f"switch off {vm}")

    # The same for `Disks`, to which a machine is a disk of a kind.

    def disk_state(self, vm: DiskUrl) -> DiskState:
        chain = f"{vm}#{self.machine(vm).vm_id}"
        size = self._size_of(vm)
        return DiskState(url=vm, size_bytes=size, chain=chain, etag=chain, region=REGION)

    def snapshots(self, vm: DiskUrl) -> list[Snapshot]:
        return [
            Snapshot(
                disk=vm,
                id=point.id,
                taken_at=point.taken_at,
                size_bytes=sum(disk.snapshot.size_bytes for disk in point.disks),
                chain=f"{vm}#{point.vm_id}",
                tag=point.tag,
            )
            for point in self._of(vm)
        ]

    # What they are made of.

    def _of(self, vm: DiskUrl) -> list[RestorePoint]:
        return [point for point in self._points.values() if point.machine == vm]

    def _tagged(self, vm: DiskUrl, tag: str) -> RestorePoint | None:
        return next((point for point in self._of(vm) if point.tag == tag), None)

    def _take(
        self,
        machine: MemoryMachine,
        tag: str,
        consistency: Consistency,
        leave_out: Iterable[DiskUrl],
    ) -> RestorePoint:
        """All disks at one moment: nothing is awaited in between."""
        promised, now = _promised(machine, consistency), self._storage.moment()
        id_ = f"{machine.url}-points/restorepoints/{now:%Y%m%dt%H%M%S.%f}-{tag}"
        point = RestorePoint(
            machine=machine.url,
            vm_id=machine.vm_id,
            id=id_,
            tag=tag,
            taken_at=now,
            consistency=promised,
            disks=tuple(
                self._keep(disk, id_, tag, now)
                for disk in machine.attached
                if disk.disk not in set(leave_out)
            ),
            blueprint=machine.blueprint,
        )
        self._points[id_] = point
        return point

    def _keep(self, disk: MachineDisk, point: str, tag: str, at: datetime) -> PointDisk:
        blob = self._storage.blob(disk.disk)
        snapshot = Snapshot(
            disk=disk.disk,
            id=f"{point}/diskrestorepoints/{disk.name}",
            taken_at=at,
            size_bytes=blob.size_bytes,
            chain=f"{disk.disk}#{blob.chain}",
            tag=tag,
            traits=blob.traits,
        )
        self._storage.apart[snapshot.id] = Kept(snapshot=snapshot, pages=blob.pages)
        return PointDisk(lun=disk.lun, name=disk.name, snapshot=snapshot)

    def _build(self, new: NewMachine, tag: str) -> None:
        for each in new.disks:
            _check_free(self._storage.blob(each.disk))
        blueprint = from_json(Blueprint, new.blueprint)
        built = self.create(new.url, {each.lun: each.disk for each in new.disks}, blueprint.os)
        built.size, built.network, built.tag = blueprint.size, new.network, tag

    def _take_time(self, work: str) -> None:
        self._asked[work] += 1
        if self._asked[work] <= self.slow:
            raise Deferred(f"{work}: under way", retry_after=self.pause_seconds)

    def _size_of(self, vm: DiskUrl) -> int:
        disks = self.machine(vm).disks.values()
        return sum(self._storage.blob(disk).size_bytes for disk in disks)


def _check_free(blob: Blob) -> None:
    """Raises `Invalid` for a disk that no machine can have."""
    if blob.machine or blob.lease_id:
        raise Invalid(f"{blob.url} is in use: by {blob.machine or 'who fills it'}")


def _promised(machine: MemoryMachine, asked: Consistency) -> Consistency:
    """What a point of the machine gets. Raises `GuestFailed` where its guest would have to help,
    and does not."""
    if asked is Consistency.CRASH:
        return asked
    if machine.power is not Power.RUNNING or not machine.agent.ready:
        raise GuestFailed(f"the agent of {machine.url} does not answer")
    if machine.guest_fails:
        machine.guest_fails -= 1
        raise GuestFailed(f"the guest of {machine.url} did not do its part")
    return Consistency.APPLICATION if machine.os is Os.WINDOWS else Consistency.FILE_SYSTEM


def _name(disk: DiskUrl) -> str:
    return disk.rpartition("/")[2]
