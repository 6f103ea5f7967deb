"""A restore's course: the disks, then the machine where one is wanted, then the end. Pure."""

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from local.arm.answers import JsonObject
from local.arm.recovery.failures import Failure
from local.arm.recovery.formats import american
from local.arm.recovery.item import Item
from local.arm.recovery.job import (
    CREATE_VM,
    FROM_VAULT,
    UPDATE_VM,
    Job,
    Operation,
    RestoredDisk,
    RestoreKind,
    RestoreOrder,
    Status,
    Step,
    Task,
)
from local.arm.recovery.names import parse_machine
from local.arm.recovery.point import DiskCopy, Point
from local.arm.recovery.refusals import invalid_input
from local.arm.recovery.timing import Durations

_SECOND_TASK = {RestoreKind.ORIGINAL: UPDATE_VM, RestoreKind.ALTERNATE: CREATE_VM}
_JOB_TYPE = {
    RestoreKind.DISKS: "Recover disks",
    RestoreKind.ORIGINAL: "Replace disks",
    RestoreKind.ALTERNATE: "Recover VM to an alternate location",
}


def read_order(properties: JsonObject, point: Point) -> RestoreOrder:
    """The order in a request. Raises 400 for one that cannot be carried out."""
    if properties.get("objectType") != "IaasVMRestoreRequest":
        raise invalid_input("objectType must be IaasVMRestoreRequest")
    if properties.get("recoveryPointId", point.name) != point.name:
        raise invalid_input("recoveryPointId is another than the path's")
    if properties.get("recoveryType") not in list(RestoreKind):
        raise invalid_input("recoveryType must be one of " + ", ".join(RestoreKind))
    luns = properties.get("restoreDiskLunList")
    order = RestoreOrder(
        kind=RestoreKind(properties["recoveryType"]),
        storage_account=properties.get("storageAccountId") or "",
        target_group=properties.get("targetResourceGroupId") or None,
        target_machine=parse_machine(properties.get("targetVirtualMachineId") or ""),
        network=properties.get("virtualNetworkId") or None,
        luns=None if luns is None else tuple(luns),
    )
    _check(order, point)
    return order


def _check(order: RestoreOrder, point: Point) -> None:
    if not order.storage_account:
        raise invalid_input("storageAccountId is missing")
    if order.kind is RestoreKind.ALTERNATE and (
        order.target_machine is None or order.target_group is None
    ):
        raise invalid_input("targetVirtualMachineId and targetResourceGroupId are missing")
    if order.kind is RestoreKind.ORIGINAL and point.vault_tier is None:
        raise invalid_input("disks are replaced from points in the vault tier only")
    if not point.can_restore:
        raise invalid_input("the recovery point is in no tier any more")


def wanted_disks(order: RestoreOrder, point: Point) -> tuple[DiskCopy, ...]:
    """The OS disk always, data disks as the order chooses."""
    if order.luns is None:
        return point.disks
    return tuple(disk for disk in point.disks if disk.lun is None or disk.lun in order.luns)


def new_restore(
    job_id: str, item: Item, order: RestoreOrder, point: Point, now: datetime, durations: Durations
) -> Job:
    """A restore that begins now. Its job has the id of its operation (recorded since 2021)."""
    second = _SECOND_TASK.get(order.kind)
    tasks = [Task(FROM_VAULT, Status.IN_PROGRESS), *([Task(second)] if second else [])]
    job = Job(
        id=job_id,
        vault=item.vault,
        item=item.id,
        machine=item.machine,
        operation=Operation.RESTORE,
        started_at=now,
        activity=str(uuid4()),
        tasks=tuple(tasks),
        facts=_facts(item, order, point),
        inner={"restoreLocationType": order.kind.value},
        subject=point.id,
        order=order,
        size_bytes=sum(disk.size_bytes for disk in wanted_disks(order, point)),
    )
    seconds = durations.restore_vhds if order.makes_vhds else durations.restore_disks
    return job.then(Step.RESTORE_DISKS, seconds)


def _facts(item: Item, order: RestoreOrder, point: Point) -> dict[str, str | None]:
    target = order.target_machine
    original = {"Original VM Name": item.machine.name} if target else {}
    named: dict[str, str | None] = {"Target VM Name": target.name if target else "vmName"}
    if order.kind is RestoreKind.ORIGINAL:
        named = {"Target VM Name": None}
    facts = {"Job Type": _JOB_TYPE[order.kind], **original, **named}
    if order.network:
        facts["Target VNet Name"] = _network_name(order.network)
    facts["Target Storage Account Name"] = order.account_name
    facts["Recovery point time "] = american(point.at)
    if group := _target_group_name(item, order):
        facts["Target resource group"] = group
    return facts


def _network_name(network: str) -> str:
    """`Group <resource group> <network>`, as the service names one."""
    parts = network.strip("/").split("/")
    group = parts[3] if len(parts) > 3 else ""
    return f"Group {group} {parts[-1]}"


def _target_group_name(item: Item, order: RestoreOrder) -> str | None:
    if order.kind is RestoreKind.ORIGINAL:
        return item.machine.group
    return order.target_group.rpartition("/")[2] if order.target_group else None


def disks_restored(job: Job, disks: tuple[RestoredDisk, ...], durations: Durations) -> Job:
    """The bytes are there; what comes next depends on the kind."""
    assert job.order is not None
    done = replace(job.with_task(FROM_VAULT, Status.COMPLETED), restored=disks)
    second = _SECOND_TASK.get(job.order.kind)
    if second is None:
        wait = durations.finish if job.order.makes_vhds else durations.restore_finish
        return done.then(Step.FINISH, wait)
    seconds = durations.swap_disks if second == UPDATE_VM else durations.create_vm
    return done.with_task(second, Status.IN_PROGRESS).then(Step.PLACE_VM, seconds)


def machine_placed(job: Job, name: str) -> Job:
    """The machine has its disks, and the job is over; a replaced one is named only now."""
    assert job.order is not None
    done = job.with_task(_SECOND_TASK[job.order.kind], Status.COMPLETED)
    return done.knowing({"Target VM Name": name}).then(Step.FINISH, 0)


def finished(job: Job) -> Job:
    """The end; a restore of disks leaves a template for a machine in the storage account."""
    assert job.order is not None
    if job.order.kind is RestoreKind.DISKS:
        job = job.knowing(_template(job))
    return job.ended(Status.COMPLETED, job.moment)


def _template(job: Job) -> dict[str, str | None]:
    assert job.order is not None
    container = f"{job.machine.name.lower().replace('-', '')}-{job.activity.replace('-', '')}"
    config = f"config-{job.machine.name.lower().replace('-', '')}-{job.id}.json"
    base = f"https://{job.order.account_name}.blob.core.windows.net/{container}"
    return {
        "Config Blob Name": config,
        "Config Blob Container Name": container,
        "Config Blob Uri": f"{base}/{config}",
        "Template Blob Uri": f"{base}/azuredeploy{job.id}.json",
    }


def failed(job: Job, failure: Failure) -> Job:
    running = next(task for task in job.tasks if task.status is Status.IN_PROGRESS)
    return job.with_task(running.name, Status.FAILED).ended(Status.FAILED, job.moment, failure)


_SHOWN_FROM = 0.3


def progress(job: Job, now: datetime) -> float:
    """The share that is transferred, from 0 to 1.

    Before the end only a restore to VHDs shows any, and that not from its start (both recorded).
    """
    if job.task(FROM_VAULT).status is Status.COMPLETED:
        return 1.0
    if job.order is None or not job.order.makes_vhds or job.step is not Step.RESTORE_DISKS:
        return 0.0
    share = (now - job.started_at) / (job.moment - job.started_at)
    return min(1.0, share) if share >= _SHOWN_FROM else 0.0
