# ruff: noqa: ARG002 (the port has arguments that a machine has no use for)
"""Machines where the pipeline asks for `Disks`: as the sources that are protected, and whose
snapshots are kept and let go.

A machine's snapshots are its restore points. What is in one is read disk by disk, each a managed
disk's snapshot with an id of its own.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from shared.azure.machines.machines import ArmMachines
from shared.azure.machines.points import Points
from shared.azure.machines.wire import Listed
from shared.azure.managed.wire import chain_of
from shared.model.arm_ids import machine_id, point_id
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.ranges import ChangedRange, PageRange
from shared.ports import ReadGrant


class MachineSources:
    def __init__(self, machines: ArmMachines, points: Points) -> None:
        self._machines = machines
        self._points = points

    async def state(self, disk: DiskUrl) -> DiskState:
        machine = await self._machines.state(disk)
        return DiskState(
            url=machine.url,
            size_bytes=await self._machines.size_bytes(machine),
            chain=chain_of(machine_id(disk), machine.vm_id),
            etag="",
            region=machine.region,
        )

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        return self._machines.search(scope)

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        raise _not_whole(disk)

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        """Those that failed, too: nobody else removes what a dead process left."""
        points = await self._points.of(machine_id(disk))
        return [_snapshot(each) for each in points if each.state != "Creating"]

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        await self._points.delete(point_id(snapshot.id))

    async def take_back(self, disk: DiskUrl) -> None:
        await self._points.take_back(machine_id(disk))

    def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        raise _not_whole(image)

    def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        raise _not_whole(image)

    def grant(self, snapshot: Snapshot) -> AbstractAsyncContextManager[ReadGrant]:
        raise _not_whole(snapshot)

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        raise _not_whole(image)


def _snapshot(point: Listed) -> Snapshot:
    """A restore point as retention sees it: nothing of what is in it."""
    return Snapshot(
        disk=point.machine,
        id=str(point.id),
        taken_at=point.taken_at,
        size_bytes=0,
        chain=chain_of(machine_id(point.machine), point.vm_id),
        tag=point.tag,
    )


def _not_whole(image: Snapshot | DiskUrl) -> Invalid:
    name = image.id if isinstance(image, Snapshot) else image
    return Invalid(f"{name} is a virtual machine's: it is read disk by disk")
