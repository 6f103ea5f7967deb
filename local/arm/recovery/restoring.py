"""Making disks and machines from a recovery point: the work of a restore on the cloud."""

from dataclasses import dataclass

from local.arm.answers import ArmError
from local.arm.core import Core
from local.arm.groups import group_id
from local.arm.recovery.cloud import Cloud, Exports
from local.arm.recovery.failures import (
    GROUP_GONE,
    STORAGE_ACCOUNT_GONE,
    VM_NOT_FOUND,
    Failure,
    refused_by_compute,
)
from local.arm.recovery.job import Job, RestoredDisk, RestoreKind, RestoreOrder
from local.arm.recovery.point import DiskCopy, Point
from local.arm.recovery.restores import wanted_disks

_DISKS = "providers/Microsoft.Compute/disks"


@dataclass(frozen=True)
class Restoring:
    """Restores, over the cloud."""

    core: Core
    cloud: Cloud
    exports: Exports | None

    async def make_disks(self, job: Job, point: Point) -> tuple[RestoredDisk, ...] | Failure:
        """The disks of a restore, or why there are none."""
        assert job.order is not None
        try:
            if job.order.makes_vhds:
                return await self._export(job, job.order, point)
            return await self._make_managed(job, job.order, point)
        except ArmError as error:
            return refused_by_compute(error.message)

    async def place(self, job: Job, point: Point) -> str | Failure:
        """Puts a machine onto its disks: the name of the machine, or why not."""
        assert job.order is not None
        try:
            if job.order.kind is RestoreKind.ORIGINAL:
                return await self._swap(job)
            return await self._create(job, job.order, point)
        except ArmError as error:
            return refused_by_compute(error.message)

    async def _make_managed(
        self, job: Job, order: RestoreOrder, point: Point
    ) -> tuple[RestoredDisk, ...] | Failure:
        subscription, group = _target(job, order)
        if self.core.groups.find(subscription, group) is None:
            return GROUP_GONE
        scope = f"{group_id(subscription, group)}/{_DISKS}"
        made = []
        for disk in wanted_disks(order, point):
            disk_id = f"{scope}/{disk_name(job, disk)}"
            made.append(RestoredDisk(await self._make(job, disk_id, disk, point), disk.lun))
        return tuple(made)

    async def _make(self, job: Job, disk_id: str, disk: DiskCopy, point: Point) -> str:
        return await self.cloud.make_disk(
            disk_id,
            location=point.location,
            sku=disk.sku,
            vhd=disk.vhd,
            now=job.moment,
            os_type=disk.os_type,
        )

    async def _export(
        self, job: Job, order: RestoreOrder, point: Point
    ) -> tuple[RestoredDisk, ...] | Failure:
        assert self.exports is not None
        container = f"vhd-{job.id.replace('-', '')}"
        made = []
        for disk in wanted_disks(order, point):
            blob = f"{disk_name(job, disk)}.vhd"
            url = await self.exports.export(disk.vhd, order.account_name, container, blob)
            if url is None:
                return STORAGE_ACCOUNT_GONE
            made.append(RestoredDisk(url, disk.lun))
        return tuple(made)

    async def _swap(self, job: Job) -> str | Failure:
        vm = self.cloud.vm(job.machine.id)
        if vm is None:
            return VM_NOT_FOUND
        os_disk, data_disks = _by_lun(job.restored)
        await self.cloud.swap_disks(vm.id, job.moment, os_disk, data_disks)
        return vm.name

    async def _create(self, job: Job, order: RestoreOrder, point: Point) -> str | Failure:
        assert order.target_machine is not None
        like = self.cloud.vm_body(point.machine)
        os_disk, data_disks = _by_lun(job.restored)
        if os_disk is None:
            return refused_by_compute("A machine needs an OS disk.")
        body = like or _plain(point)
        await self.cloud.make_vm(order.target_machine.id, body, os_disk, data_disks, job.moment)
        return order.target_machine.name


def disk_name(job: Job, disk: DiskCopy) -> str:
    """`<vm>-osdisk-<time>` and `<vm>-datadisk-<lun>-<time>`, by the restore's start."""
    kind = "osdisk" if disk.lun is None else f"datadisk-{disk.lun:03d}"
    return f"{job.machine.name}-{kind}-{job.started_at:%Y%m%d-%H%M%S}"


def _target(job: Job, order: RestoreOrder) -> tuple[str, str]:
    """Subscription and resource group that the disks go to; the machine's own for a swap."""
    if order.target_group is None:
        return job.machine.subscription, job.machine.group
    parts = order.target_group.strip("/").split("/")
    return parts[1], parts[3]


def _by_lun(disks: tuple[RestoredDisk, ...]) -> tuple[str | None, dict[int, str]]:
    os_disk = next((disk.id for disk in disks if disk.lun is None), None)
    return os_disk, {disk.lun: disk.id for disk in disks if disk.lun is not None}


def _plain(point: Point) -> dict[str, object]:
    """What is known of a machine that is gone."""
    return {
        "location": point.location,
        "properties": {
            "hardwareProfile": {"vmSize": point.size_name},
            "storageProfile": {"osDisk": {"osType": point.os_type}, "dataDisks": []},
        },
    }
