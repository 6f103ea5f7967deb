"""Items, jobs, points and operations as Recovery Services write them, and as the pipeline reads
them. Enums may come as numbers, times without a zone; what is yet to happen, happened in year 1."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.azure.errors import scrub
from shared.azure.managed.wire import instant
from shared.azure.recovery.naming import machine_in, machine_url
from shared.decide.explaining import explained
from shared.model.arm_ids import VaultId
from shared.model.errors import ErrorDetail
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Status, SubTask
from shared.model.machine import Consistency
from shared.model.point import Tier
from shared.model.recovery import VaultItem, VaultItemState, VaultJob, VaultOperation, VaultPoint

Json = Mapping[str, Any]

_NEVER = 2001
"""The latest year of what has not happened: items were last backed up in 2001, tasks ended in 1."""
_OPERATIONS = {
    "InProgress": Status.IN_PROGRESS,
    "Succeeded": Status.COMPLETED,
    "Failed": Status.FAILED,
    "Canceled": Status.CANCELLED,
}
_JOB_STATES = (
    "Invalid",
    "InProgress",
    "Completed",
    "Failed",
    "CompletedWithWarnings",
    "Cancelled",
    "Cancelling",
)
_TIERS = ("Invalid", "InstantRP", "HardenedRP", "ArchivedRP")
_TIER_STATES = ("Invalid", "Valid", "Disabled", "Deleted", "Rehydrated")
"""In the order of their numbers."""
_OUR_TIERS = {"InstantRP": Tier.SNAPSHOT, "HardenedRP": Tier.VAULT}
_CONSISTENCY = {
    "AppConsistent": Consistency.APPLICATION,
    "FileSystemConsistent": Consistency.FILE_SYSTEM,
    "CrashConsistent": Consistency.CRASH,
}
_TASKS = {name.casefold(): name for name in (TAKE_SNAPSHOT, TRANSFER)}
_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_MEBIBYTES = re.compile(r"(\d+(?:\.\d+)?) MB")
_GREEN = frozenset({"Passed", "Healthy", ""})


# --- operations and jobs --------------------------------------------------------------------------


def operation_of(body: Json) -> VaultOperation:
    """An operation's status. Its job is named once it has succeeded."""
    error = body.get("error") or {}
    return VaultOperation(
        status=_OPERATIONS.get(str(body.get("status")), Status.IN_PROGRESS),
        job=str((body.get("properties") or {}).get("jobId") or ""),
        error=_refusal(error) if error else None,
    )


def _refusal(error: Json) -> ErrorDetail:
    code, text = str(error.get("code") or "OperationFailed"), str(error.get("message") or "")
    return explained(code, scrub(text))


def job_of(body: Json, vault: VaultId) -> VaultJob:
    """A job; in a listing it comes without its sub-tasks."""
    properties = body["properties"]
    extended = properties.get("extendedInfo") or {}
    started = moment(properties.get("startTime"))
    assert started is not None, "every job has begun"
    percent = extended.get("progressPercentage")
    return VaultJob(
        id=str(body["name"]),
        operation=str(properties.get("operation", "")),
        machine=machine_in(str(properties.get("containerName") or ""), vault),
        status=_status(properties.get("status"), _JOB_STATES),
        sub_tasks=tuple(_tasks(extended.get("tasksList") or ())),
        started_at=started,
        ended_at=moment(properties.get("endTime")),
        percent=None if percent is None else float(percent),
        backup_bytes=_backup_bytes(extended.get("propertyBag") or {}),
        error=_error(properties.get("errorDetails") or ()),
    )


def _tasks(tasks: Sequence[Json]) -> Iterator[SubTask]:
    """Those that we have too, by our names."""
    for task in tasks:
        name = str(task["taskId"])
        yield SubTask(name=_TASKS.get(name.casefold(), name), status=_status(task.get("status")))


def _status(value: object, names: Sequence[str] = ()) -> Status:
    """Azure's states are ours; what we do not know is still going on."""
    try:
        return Status(_named(value, names))
    except ValueError:
        return Status.IN_PROGRESS


def _backup_bytes(facts: Json) -> int:
    found = _MEBIBYTES.fullmatch(str(facts.get("Backup Size") or ""))
    return int(float(found[1]) * 1024**2) if found else 0


def _error(details: Sequence[Json]) -> ErrorDetail | None:
    if not details:
        return None
    texts = [scrub(str(each.get("errorString") or "")) for each in details]
    advice = [str(text) for each in details for text in each.get("recommendations") or ()]
    first = details[0]
    return explained(
        str(first.get("errorTitle") or first.get("errorCode")),
        " ".join(text.strip() for text in texts),
        " ".join(text.strip() for text in advice),
    )


# --- points ---------------------------------------------------------------------------------------


def point_of(body: Json) -> VaultPoint:
    """A recovery point of a machine."""
    properties = body["properties"]
    taken = moment(properties["recoveryPointTime"])
    assert taken is not None, "every point was taken"
    expiry = (properties.get("recoveryPointProperties") or {}).get("expiryTime")
    return VaultPoint(
        name=str(body["name"]),
        taken_at=taken,
        consistency=_CONSISTENCY.get(properties.get("recoveryPointType"), Consistency.CRASH),
        tiers=tuple(_tiers(properties.get("recoveryPointTierDetails"))),
        expires_at=moment(expiry),
    )


def _tiers(details: Sequence[Json] | None) -> Iterator[Tier]:
    """Those that it can be restored from. Points from before there were tiers are in the vault."""
    if details is None:
        yield Tier.VAULT
    for each in details or ():
        tier = _OUR_TIERS.get(_named(each.get("type"), _TIERS))
        if tier and _named(each.get("status"), _TIER_STATES) == "Valid":
            yield tier


# --- items ----------------------------------------------------------------------------------------


def item_of(body: Json) -> VaultItem:
    """A protected machine."""
    properties = body["properties"]
    machine = properties.get("sourceResourceId") or properties.get("virtualMachineId")
    deleted = bool(properties.get("isScheduledForDeferredDelete"))
    return VaultItem(
        id=str(body["id"]).lower(),
        machine=machine_url(str(machine)),
        state=_state(properties.get("protectionState")),
        policy=str(properties.get("policyName") or _last(properties.get("policyId"))),
        healthy=_is_healthy(properties),
        health="" if _is_healthy(properties) else _health(properties),
        deleted=deleted,
        kept_seconds=seconds(properties.get("deferredDeleteTimeRemaining")) if deleted else None,
        last_backup_at=moment(properties.get("lastBackupTime")),
    )


def _state(value: object) -> VaultItemState:
    try:
        return VaultItemState(str(value))
    except ValueError:
        return VaultItemState.OTHER


def _is_healthy(properties: Json) -> bool:
    """By Azure's two words for it; a machine before its first backup has been found well."""
    return all(
        str(properties.get(word) or "") in _GREEN for word in ("protectionStatus", "healthStatus")
    )


def _health(properties: Json) -> str:
    details = properties.get("healthDetails") or ()
    texts = [f"{each.get('title')}: {each.get('message')}" for each in details]
    return scrub(" ".join(texts)) or str(properties.get("healthStatus"))


def _last(id_: object) -> str:
    return str(id_ or "").rpartition("/")[2]


# --- what is the same everywhere ------------------------------------------------------------------


def moment(text: object) -> datetime | None:
    """A time, in UTC; None where there is none (yet)."""
    at = instant(str(text)) if text else None
    return None if at is None or at.year <= _NEVER else at


def seconds(text: object) -> float | None:
    """A .NET time span, `13.23:59:42.86`; None where there is none."""
    found = _TIMESPAN.fullmatch(str(text or ""))
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=float(found[4]))
    return span.total_seconds()


def _named(value: object, names: Sequence[str]) -> str:
    """An enum's name. Old services send its number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else ""
    return str(value or "")
