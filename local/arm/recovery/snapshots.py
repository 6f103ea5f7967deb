"""Taking a machine's snapshot, and letting one go: the work of a backup on the cloud."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import randbelow

from local.arm.answers import ArmError, scope_locked
from local.arm.core import Core
from local.arm.groups import group_id
from local.arm.recovery.calendar_rules import keep_until
from local.arm.recovery.cloud import Cloud, Vm
from local.arm.recovery.failures import (
    AGENT_UNAVAILABLE,
    NO_NETWORK,
    SNAPSHOT_STATUS_UNKNOWN,
    VM_NOT_FOUND,
    Failure,
    refused_by_compute,
)
from local.arm.recovery.item import Item
from local.arm.recovery.job import Job
from local.arm.recovery.names import snapshot_group
from local.arm.recovery.point import DiskCopy, Point
from local.arm.recovery.policies import Policy

_ON_DEMAND_DAYS = 30
_DEFAULT_INSTANT_DAYS = 2


def number() -> str:
    """A name as the service draws them: decimal digits, 14 to 19."""
    return str(10**14 + randbelow(9 * 10**14))


@dataclass(frozen=True)
class Snapshots:
    """Recovery points in the making, over the cloud's disks."""

    core: Core
    cloud: Cloud

    async def take(
        self, job: Job, item: Item, policy: Policy | None, *, cleanup_pending: bool
    ) -> Point | Failure:
        """A point that is not ready yet, or why there is none."""
        vm = self.cloud.vm(item.machine.id)
        crash = policy is not None and policy.crash_consistent
        if vm is None:
            return VM_NOT_FOUND
        if failure := _why_not(vm, crash=crash):
            return failure
        group = self._group(item, vm, policy)
        if locked := self._locked(group, cleanup_pending=cleanup_pending):
            return locked
        try:
            return await self._take(job, item, vm, policy, group)
        except ArmError as error:
            return refused_by_compute(error.message)

    async def drop(self, point: Point) -> None:
        """Lets go of a point's copies and of what shows in Compute."""
        await self.release(point)
        for disk in point.disks:
            await self.cloud.drop(disk.vhd)

    async def release(self, point: Point) -> None:
        """Removes the restore point in Compute; the copies stay."""
        await self.cloud.drop_point(point.compute_id)

    def is_locked(self, point: Point) -> bool:
        """Whether a lock keeps the restore point in Compute."""
        return bool(self.core.locks.scopes_over(point.compute_id))

    def _group(self, item: Item, vm: Vm, policy: Policy | None) -> str:
        affixes = policy.group_affixes if policy else (None, None)
        name = snapshot_group(vm.location, *affixes, 1)
        self.core.groups.ensure(item.machine.subscription, name, vm.location)
        return group_id(item.machine.subscription, name)

    def _locked(self, group: str, *, cleanup_pending: bool) -> Failure | None:
        """`ReadOnly` forbids a new restore point; any lock does where old ones must go first."""
        levels = ("ReadOnly", "CanNotDelete") if cleanup_pending else ("ReadOnly",)
        locked = self.core.locks.scopes_over(group, levels)
        if not locked:
            return None
        action = "delete" if cleanup_pending else "write"
        return refused_by_compute(scope_locked(group, action, locked).message)

    async def _take(
        self, job: Job, item: Item, vm: Vm, policy: Policy | None, group: str
    ) -> Point | Failure:
        at = job.moment
        collections = f"{group}/providers/Microsoft.Compute/restorePointCollections"
        collection = f"{collections}/{item.collection}"
        compute_id = f"{collection}/restorePoints/AzureBackup_{at:%Y%m%d_%H%M%S}_{number()}"
        crash = policy is not None and policy.crash_consistent
        self.cloud.make_collection(collection, vm.id, vm.location, at)
        made = await self.cloud.make_point(compute_id, vm.id, at, crash_consistent=crash)
        if made["properties"].get("provisioningState") == "Failed":
            return SNAPSHOT_STATUS_UNKNOWN
        instant_days = policy.instant_days if policy else _DEFAULT_INSTANT_DAYS
        return Point(
            id=f"{item.id}/recoveryPoints/{number()}",
            item=item.id,
            at=at,
            consistency=_consistency(vm, crash=crash),
            machine=vm.id,
            location=vm.location,
            size_name=vm.vm_size,
            os_type=vm.os_type,
            policy_kind=policy.kind if policy else "V1",
            disks=await self._copies(item, vm, compute_id),
            compute_id=compute_id,
            instant_until=at + timedelta(days=instant_days),
            expires_at=_expiry(job, policy, at),
            on_demand=job.on_demand,
        )

    async def _copies(self, item: Item, vm: Vm, compute_id: str) -> tuple[DiskCopy, ...]:
        """Copies of our own, of what the restore point in Compute holds: it may be deleted."""
        held = self.cloud.point_vhds(compute_id)
        return tuple(
            [
                DiskCopy(
                    name=disk.name,
                    lun=disk.lun,
                    size_bytes=disk.size_bytes,
                    sku=disk.sku,
                    os_type=disk.os_type,
                    vhd=await self.cloud.freeze(held[disk.disk_id]),
                )
                for disk in vm.disks
                if item.selects(disk.lun)
            ]
        )


def _why_not(vm: Vm, *, crash: bool) -> Failure | None:
    """A machine that is off, or is to be taken as if it were, needs neither agent nor network."""
    if vm.power != "running" or crash:
        return None
    if not vm.agent_ready:
        return AGENT_UNAVAILABLE
    return None if vm.network else NO_NETWORK


def _consistency(vm: Vm, *, crash: bool) -> str:
    if vm.power != "running" or crash:
        return "CrashConsistent"
    return "AppConsistent" if vm.os_type == "Windows" else "FileSystemConsistent"


def _expiry(job: Job, policy: Policy | None, at: datetime) -> datetime:
    """On demand: as asked for, or 30 days. Scheduled: by the policy's rules."""
    if job.keep_until is not None:
        return job.keep_until
    if job.on_demand or policy is None:
        return at + timedelta(days=_ON_DEMAND_DAYS)
    return keep_until(policy, at)
