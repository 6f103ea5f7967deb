"""`Machines` over Resource Manager."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace

from shared.azure.arm import Arm, pages_of
from shared.azure.arm_errors import arm_translated
from shared.azure.machines.blueprints import blueprint
from shared.azure.machines.building import Building
from shared.azure.machines.points import Asked, Points
from shared.azure.machines.swapping import Swapping
from shared.azure.machines.wire import (
    Json,
    Listed,
    entries,
    machine_of,
    point_disks,
)
from shared.azure.managed.naming import is_tagged
from shared.azure.managed.wire import size_of
from shared.decide.governor import GIBIBYTE
from shared.model.arm_ids import ArmId, compute_scope, disk_id, machine_id, point_id
from shared.model.deferral import Deferred
from shared.model.errors import SourceGone
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.machine import Consistency, Machine, MachineDisk, NewMachine, RestorePoint


class ArmMachines:
    def __init__(self, arm: Arm, points: Points, building: Building, swapping: Swapping) -> None:
        self._arm = arm
        self._points = points
        self._building = building
        self._swapping = swapping

    async def state(self, vm: DiskUrl) -> Machine:
        return machine_of(await self._machine(machine_id(vm), expand="instanceView"))

    async def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        where = compute_scope(scope.url)
        machines = self._arm.compute(where.subscription).virtual_machines
        listing = machines.list(where.group) if where.group else machines.list_all()
        async for page in pages_of(listing, str(where)):
            yield [_found(body) for body in page if is_tagged(body, scope.tag)]

    async def take_point(
        self, vm: DiskUrl, tag: str, consistency: Consistency, leave_out: Sequence[DiskUrl] = ()
    ) -> RestorePoint:
        id_ = machine_id(vm)
        try:
            body = await self._machine(id_)
        except SourceGone:
            return await self._told(await self._points.outlived(id_, tag), None)
        point = await self._points.take(Asked(id_, tag, consistency, tuple(leave_out)), body)
        return await self._told(point, body)

    async def points(self, vm: DiskUrl) -> list[RestorePoint]:
        id_ = machine_id(vm)
        try:
            body = await self._machine(id_)
        except SourceGone:
            body = None
        return [await self._known(each, body) for each in await self._points.of(id_)]

    async def delete_point(self, point: str) -> None:
        await self._points.delete(point_id(point))

    async def build(self, machine: NewMachine, tag: str) -> None:
        await self._building.build(machine, tag)

    async def swap(self, vm: DiskUrl, disks: Sequence[MachineDisk], *, start: bool) -> None:
        await self._swapping.swap(machine_id(vm), disks, start=start)

    async def switch_off(self, vm: DiskUrl) -> None:
        await self._swapping.switch_off(machine_id(vm))

    async def size_bytes(self, machine: Machine) -> int:
        """Of all its disks together."""
        bodies = await self._disks(disk_id(each.disk) for each in machine.disks)
        return sum(size_of(body["properties"]) for body in bodies.values())

    async def _machine(self, vm: ArmId, **options: str) -> Json:
        machines = self._arm.compute(vm.subscription).virtual_machines
        with arm_translated(str(vm)):
            body: Json = (await machines.get(*vm.names, **options)).as_dict()
        return body

    async def _known(self, point: Listed, machine: Json | None) -> RestorePoint:
        """A point with its disks, once they are all there."""
        try:
            return await self._told(point, machine) if point.is_whole else _bare(point)
        except Deferred:
            return _bare(point)

    async def _told(self, point: Listed, machine: Json | None) -> RestorePoint:
        """A finished point with all that is known of its disks. Raises `Deferred`."""
        kept = await self._points.disks_of(point.id)
        sources = [disk_id(str(each["properties"]["sourceResourceId"])) for each in kept.values()]
        return replace(
            _bare(point),
            disks=point_disks(point, kept, await self._disks(sources)),
            blueprint=blueprint(point.metadata, machine),
        )

    async def _disks(self, disks: Iterable[ArmId]) -> Mapping[str, Json]:
        """The disks that still exist, by id."""

        async def disk(id_: ArmId) -> Json | None:
            try:
                with arm_translated(str(id_)):
                    found = await self._arm.compute(id_.subscription).disks.get(*id_.names)
            except SourceGone:
                return None
            body: Json = found.as_dict()
            return body

        wanted = list(disks)
        bodies = await asyncio.gather(*map(disk, wanted))
        return {id_.url: body for id_, body in zip(wanted, bodies, strict=True) if body}


def _bare(point: Listed) -> RestorePoint:
    return RestorePoint(
        machine=point.machine,
        vm_id=point.vm_id,
        id=str(point.id),
        tag=point.tag,
        taken_at=point.taken_at,
        consistency=point.consistency,
        disks=(),
    )


def _found(body: Json) -> FoundDisk:
    """A machine's size is what its disks have together, as far as the listing tells."""
    profile = body["properties"]["storageProfile"]
    gibibytes = sum(int(entry.get("diskSizeGB") or 0) for _, entry in entries(profile))
    return FoundDisk(url=machine_id(str(body["id"])).url, size_bytes=gibibytes * GIBIBYTE)
