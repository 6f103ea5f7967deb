"""What restore points of virtual machines are on the wire; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from local.arm.answers import ArmError, JsonObject, not_allowed
from local.arm.clock import stamp
from local.arm.compute.kinds import with_slash
from local.arm.compute.skus import SLOWLY_HYDRATED
from local.arm.compute.snapshots import completion_percent
from local.arm.compute.vms import RUNNING, Attachment, attachments, os_type_of
from local.arm.shelf import Resource

CRASH = "CrashConsistent"
_NO_NETWORK = {
    "code": "VMRestorePointClientError",
    "message": "Restore Point creation failed due to no network connectivity on the virtual "
    "machine. Ensure that VM has network access.",
}
_ENCRYPTION = {"type": "EncryptionAtRestWithPlatformKey"}
_COPIED_PROFILE = ("osType", "lun", "name", "diskSizeGB", "caching", "writeAcceleratorEnabled")
_COPIED_PROPERTIES = (
    "hardwareProfile",
    "osProfile",
    "securityProfile",
    "diagnosticsProfile",
    "licenseType",
)


@dataclass(frozen=True)
class Consistency:
    """What a point will be, or why it cannot be."""

    mode: str
    error: JsonObject | None = None


def consistency_of(vm: Resource, asked: str | None) -> Consistency:
    """The mode a machine's point gets: by default what its guest can do.

    Crash consistency alone can be asked for (documented). Where the guest is asked and cannot
    answer, the operation ends with an error (its code is documented, not recorded).
    """
    if asked not in (None, CRASH):
        raise ArmError(400, "InvalidParameter", f"The consistencyMode '{asked}' is invalid.")
    if asked == CRASH:
        return Consistency(CRASH)
    windows = os_type_of(vm.properties) == "Windows"
    mode = "ApplicationConsistent" if windows else "FileSystemConsistent"
    if vm.inner["power"] != RUNNING or not vm.inner["agent_ready"]:
        return Consistency(mode, _agent_silent(vm))
    return Consistency(mode, None if vm.inner["network"] else _NO_NETWORK)


def _agent_silent(vm: Resource) -> JsonObject:
    return {
        "code": "VMAgentStatusCommunicationError",
        "message": f"VM '{vm.name}' has not reported status for VM agent or extensions. Please "
        "verify the VM has a running VM agent, and can establish outbound connections to Azure "
        "storage.",
    }


def point_in_use() -> ArmError:
    """A point is not deleted while somebody holds a SAS on one of its disks (documented)."""
    return ArmError(
        409,
        "DiskRestorePointUsedByCustomer",
        "There is an active shared access signature outstanding for disk restore point. Call "
        "EndGetAccess before deleting the restore point.",
    )


def refuse_unfit_for_crash(mode: str, disks: Iterable[Resource]) -> None:
    """Crash consistency leaves some disks out (source: azure-limits, VM restore points)."""
    for disk in disks if mode == CRASH else ():
        shared = int(disk.properties.get("maxShares", 1)) > 1
        if disk.body["sku"]["name"] in SLOWLY_HYDRATED or shared:
            raise not_allowed(
                f"Disk {disk.name} does not support crash consistent restore points. "
                "Exclude it or ask for an application consistent one."
            )


def excluded(body: JsonObject) -> frozenset[str]:
    """The disks to leave out, ids in lower case."""
    entries = (body.get("properties") or {}).get("excludeDisks") or ()
    return frozenset(with_slash(each["id"]).casefold() for each in entries)


def included(vm: Resource, left_out: frozenset[str]) -> list[Attachment]:
    return [each for each in attachments(vm.properties) if each.disk_id.casefold() not in left_out]


def disk_point_id(point_id: str, disk_name: str) -> str:
    return f"{point_id}/diskRestorePoints/{disk_name}_{uuid4()}"


def source_metadata(
    vm: Resource, disks: Sequence[Attachment], disk_points: Mapping[str, str]
) -> dict[str, Any]:
    """The machine as it was; `disk_points` are ids by disk id."""
    entries = {each.lun: _profile_entry(each, disk_points[each.disk_id]) for each in disks}
    profile: dict[str, Any] = {
        "osDisk": entries.pop(None, None),
        "dataDisks": list(entries.values()),
    }
    profile["diskControllerType"] = vm.properties["storageProfile"].get("diskControllerType")
    metadata = {
        "vmId": vm.properties["vmId"],
        "location": vm.body["location"],
        **{name: vm.properties.get(name) for name in _COPIED_PROPERTIES},
        "storageProfile": {name: each for name, each in profile.items() if each is not None},
        "hyperVGeneration": "V1",
    }
    return {name: value for name, value in metadata.items() if value is not None}


def _profile_entry(disk: Attachment, disk_point: str) -> dict[str, Any]:
    copied = {name: disk.entry[name] for name in _COPIED_PROFILE if name in disk.entry}
    reference = {"encryption": _ENCRYPTION, "id": disk_point}
    return {**copied, "managedDisk": disk.entry["managedDisk"], "diskRestorePoint": reference}


def new_point(
    point_id: str, metadata: JsonObject, mode: str, body: JsonObject, now: datetime
) -> dict[str, Any]:
    """The body of a restore point; unlike other resources it has no type or location."""
    asked = body.get("properties") or {}
    named = {name: asked[name] for name in ("excludeDisks", "sourceRestorePoint") if name in asked}
    properties = {
        **named,
        "sourceMetadata": metadata,
        "consistencyMode": mode,
        "timeCreated": stamp(now),
    }
    return {"name": point_id.rpartition("/")[2], "id": point_id, "properties": properties}


def point_view(point: Resource, now: datetime) -> dict[str, Any]:
    """What a GET answers.

    As recorded, the disk restore points, and a mode that was not asked for, show once it is done.
    """
    state = point.state(now, "Creating")
    properties = {**point.properties, "provisioningState": state}
    if state != "Succeeded":
        properties["sourceMetadata"] = _without_disk_points(point.properties["sourceMetadata"])
        if point.inner.get("mode_is_chosen_here"):
            del properties["consistencyMode"]
    return {**point.body, "properties": properties}


def _without_disk_points(metadata: JsonObject) -> dict[str, Any]:
    def bare(entry: JsonObject) -> dict[str, Any]:
        return {name: value for name, value in entry.items() if name != "diskRestorePoint"}

    profile = dict(metadata["storageProfile"])
    if "osDisk" in profile:
        profile["osDisk"] = bare(profile["osDisk"])
    profile["dataDisks"] = [bare(each) for each in profile["dataDisks"]]
    return {**metadata, "storageProfile": profile}


def new_disk_point(
    disk_point: str, source: JsonObject, family_root: str, location: str, now: datetime
) -> dict[str, Any]:
    """The body of a disk restore point; `source` has its sourceResourceId, its type and so on."""
    properties = {
        "timeCreated": stamp(now),
        **source,
        "familyId": str(uuid5(NAMESPACE_URL, f"point {family_root} {location}")),
        "encryption": _ENCRYPTION,
        "networkAccessPolicy": "AllowAll",
        "publicNetworkAccess": "Enabled",
    }
    return {"name": disk_point.rpartition("/")[2], "id": disk_point, "properties": properties}


def disk_point_view(disk_point: Resource, now: datetime) -> dict[str, Any]:
    percent = completion_percent(disk_point, now)
    shown = {} if percent is None else {"completionPercent": percent}
    return {**disk_point.body, "properties": {**disk_point.properties, **shown}}


def instance_view(disk_points: Iterable[Resource], now: datetime) -> dict[str, Any]:
    """How far the copying of each disk has come."""
    rows = [(each, completion_percent(each, now)) for each in disk_points]
    done = all(percent in (None, 100.0) for _, percent in rows)
    return {
        "diskRestorePoints": [
            {
                "id": each.id,
                "replicationStatus": {
                    "status": _replication(percent in (None, 100.0)),
                    "completionPercent": int(100 if percent is None else percent),
                },
            }
            for each, percent in rows
        ],
        "statuses": [_replication(done)],
    }


def _replication(done: bool) -> dict[str, str]:
    if done:
        code, says = "ReplicationState/succeeded", "Succeeded"
    else:
        code, says = "ReplicationState/inprogress", "InProgress"
    return {"code": code, "level": "Info", "displayStatus": says}
