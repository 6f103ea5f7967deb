"""Jobs on the wire."""

from datetime import datetime, timedelta
from typing import Any

from local.arm.answers import JsonObject
from local.arm.recovery.failures import Failure
from local.arm.recovery.formats import YEAR_ONE, gigabytes, iso_duration, utc
from local.arm.recovery.job import FROM_VAULT, Job, Operation, Status, Task
from local.arm.recovery.names import MANAGEMENT_TYPE
from local.arm.recovery.restores import progress

_CANCELLABLE = (Operation.BACKUP, Operation.RESTORE)
_GIB = 1 << 30
_NO_TIME = iso_duration(timedelta(0))


def job_body(job: Job, now: datetime, *, in_list: bool = False) -> JsonObject:
    """A job; a listing leaves its sub-tasks and facts out.

    `actionsInfo` says Cancellable also when it has long been over (recorded).
    """
    ended = job.ended_at or now
    properties: dict[str, Any] = {
        "jobType": "AzureIaaSVMJob",
        **({"actionsInfo": ["Cancellable"]} if job.operation in _CANCELLABLE else {}),
        "containerName": job.machine.short_name,
        "duration": iso_duration(ended - job.started_at),
        **({"errorDetails": [_error(job.error)]} if job.error else {}),
        "virtualMachineVersion": "Compute",
        **({} if in_list else {"extendedInfo": _extended(job, now)}),
        "entityFriendlyName": job.machine.name,
        "backupManagementType": MANAGEMENT_TYPE,
        "operation": job.operation.value,
        "status": job.status.value,
        "startTime": utc(job.started_at),
        **({"endTime": utc(job.ended_at)} if job.ended_at else {}),
        "activityId": job.activity,
    }
    return {
        "id": job.key,
        "name": job.id,
        "type": "Microsoft.RecoveryServices/vaults/backupJobs",
        "properties": properties,
    }


def _error(failure: Failure) -> JsonObject:
    return {
        "errorCode": failure.code,
        "errorTitle": failure.title,
        "errorString": failure.text,
        "recommendations": failure.recommendations,
    }


def _extended(job: Job, now: datetime) -> JsonObject:
    extended: dict[str, Any] = {
        "tasksList": [_task(job, task, now) for task in job.tasks],
        "propertyBag": dict(job.facts),
    }
    if job.inner:
        extended["internalPropertyBag"] = dict(job.inner)
    return extended | (_progress(job, now) if job.operation is Operation.RESTORE else {})


def _progress(job: Job, now: datetime) -> dict[str, Any]:
    if job.status is Status.COMPLETED:
        return {"progressPercentage": 100.0, "estimatedRemainingDuration": _NO_TIME}
    if job.is_over:
        return {"estimatedRemainingDuration": _NO_TIME}
    share = progress(job, now) if job.order and job.order.makes_vhds else 0.0
    percentage = {"progressPercentage": float(max(1, int(share * 100)))}
    remaining = {}
    if share:
        left = job.moment - now
        remaining = {"estimatedRemainingDuration": iso_duration(left)}
    return {**percentage, **remaining, "dynamicErrorMessage": ""}


def _task(job: Job, task: Task, now: datetime) -> JsonObject:
    """A backup's tasks have times, a restore's have none (both recorded)."""
    common = {"status": task.status.value, "taskType": "Normal"}
    if job.operation is Operation.RESTORE:
        details = _transferred(job, task, now)
        return {"taskId": task.name, "duration": _NO_TIME, **details, **common}
    ended = task.ended_at or (now if not job.is_over else task.started_at)
    ran = ended - task.started_at if task.started_at and ended else timedelta(0)
    return {
        "taskId": task.name,
        "startTime": utc(task.started_at) if task.started_at else YEAR_ONE,
        "endTime": utc(task.ended_at) if task.ended_at else YEAR_ONE,
        "duration": iso_duration(ran),
        **common,
    }


def _transferred(job: Job, task: Task, now: datetime) -> dict[str, str]:
    if task.name != FROM_VAULT or job.order is None or not job.order.makes_vhds:
        return {}
    whole, share = job.size_bytes / _GIB, progress(job, now)
    if not share and task.status is not Status.FAILED:
        return {}
    moved = f"{gigabytes(whole * share)} / {gigabytes(whole)} Transferred"
    return {"taskExecutionDetails": moved}
