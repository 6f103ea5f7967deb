"""Machines and restore points as Resource Manager writes them, and as the pipeline reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.azure.machines.naming import tag_of_point
from shared.azure.managed.wire import chain_of, instant
from shared.decide.governor import GIBIBYTE
from shared.model.arm_ids import DiskPointId, PointId, disk_id, disk_point_id, machine_id, point_id
from shared.model.disk import Snapshot, Traits
from shared.model.errors import Invalid, SourceGone
from shared.model.ids import DiskUrl
from shared.model.machine import (
    OS_LUN,
    Agent,
    Consistency,
    Machine,
    MachineDisk,
    Os,
    PointDisk,
    Power,
)

Json = Mapping[str, Any]

CRASH = "CrashConsistent"
_CONSISTENCY = {
    CRASH: Consistency.CRASH,
    "FileSystemConsistent": Consistency.FILE_SYSTEM,
    "ApplicationConsistent": Consistency.APPLICATION,
}
_POWER = {f"PowerState/{each}": each for each in Power}
_UNKNOWN = "Unknown"
_NO_DISK: Json = {"properties": {}}


def machine_of(body: Json) -> Machine:
    """A machine with its instance view. Raises `Invalid` where one of its disks is not managed."""
    properties, zones = body["properties"], body.get("zones") or ()
    url = machine_id(str(body["id"])).url
    return Machine(
        url=url,
        vm_id=str(properties["vmId"]).lower(),
        region=str(body["location"]),
        os=_os_of(properties),
        power=power_of(properties),
        agent=_agent_of(properties.get("instanceView") or {}),
        disks=tuple(_attached(url, properties["storageProfile"])),
        size=str((properties.get("hardwareProfile") or {}).get("vmSize", "")),
        zone=str(zones[0]) if zones else "",
    )


def power_of(properties: Json) -> Power:
    """Whether it runs, of the instance view; one that says nothing of it is on its way."""
    statuses = (properties.get("instanceView") or {}).get("statuses") or ()
    codes = [str(status.get("code", "")) for status in statuses]
    return next((_POWER[code] for code in codes if code in _POWER), Power.CHANGING)


def state_of(body: Json) -> str:
    """Succeeded, Failed, Creating, Updating, …"""
    return str(body["properties"].get("provisioningState", ""))


def entries(profile: Json) -> Iterator[tuple[int, Json]]:
    """The disks of a storage profile with their LUNs, the operating system's first."""
    if profile.get("osDisk"):
        yield OS_LUN, profile["osDisk"]
    for entry in profile.get("dataDisks") or ():
        yield int(entry["lun"]), entry


def attached_id(entry: Json) -> str:
    """The managed disk of an entry, in lower case; "" where it has none."""
    return str((entry.get("managedDisk") or {}).get("id", "")).lower()


def _attached(machine: DiskUrl, profile: Json) -> Iterator[MachineDisk]:
    for lun, entry in entries(profile):
        attached = attached_id(entry)
        if not attached:
            raise Invalid(
                f"{machine} has a disk that is not a managed one ({entry.get('name', lun)})",
                action="Convert it to a managed disk: `az vm convert`.",
            )
        disk = disk_id(attached)
        yield MachineDisk(disk=disk.url, lun=lun, name=str(entry.get("name") or disk.name))


def _os_of(properties: Json) -> Os:
    disk = properties["storageProfile"].get("osDisk") or {}
    return Os.WINDOWS if disk.get("osType") == Os.WINDOWS else Os.LINUX


def _agent_of(view: Json) -> Agent:
    """As it shows in the instance view; of a machine that is off there is none."""
    agent = view.get("vmAgent") or {}
    statuses = agent.get("statuses") or ()
    version = str(agent.get("vmAgentVersion") or "")
    return Agent(
        ready=any(status.get("displayStatus") == "Ready" for status in statuses),
        version="" if version == _UNKNOWN else version,
        message=next((str(each["message"]) for each in statuses if each.get("message")), ""),
    )


@dataclass(frozen=True)
class Listed:
    """A restore point of ours as a listing shows it: enough to keep or to delete it by."""

    id: PointId
    machine: DiskUrl
    vm_id: str
    tag: str
    taken_at: datetime
    state: str
    disks: tuple[DiskPointId, ...]
    body: Json

    @property
    def is_whole(self) -> bool:
        return self.state == "Succeeded"

    @property
    def came_to_nothing(self) -> bool:
        return self.state in ("Failed", "Canceled")

    @property
    def consistency(self) -> Consistency:
        """What it promises; the least, where it does not tell yet."""
        mode = self.body["properties"].get("consistencyMode")
        return _CONSISTENCY.get(str(mode), Consistency.CRASH)

    @property
    def metadata(self) -> Json:
        """The machine as it was."""
        found: Json = self.body["properties"].get("sourceMetadata") or {}
        return found


def listed_of(machine: DiskUrl, body: Json, now: datetime) -> Listed:
    """A restore point of the machine. `now` is its time where it does not tell one yet."""
    properties, id_ = body["properties"], point_id(str(body["id"]))
    metadata = properties.get("sourceMetadata") or {}
    profile = metadata.get("storageProfile") or {}
    created = properties.get("timeCreated")
    return Listed(
        id=id_,
        machine=machine,
        vm_id=str(metadata.get("vmId", "")).lower(),
        tag=tag_of_point(id_.name),
        taken_at=instant(str(created)) if created else now,
        state=state_of(body),
        disks=tuple(_disk_points(profile)),
        body=body,
    )


def _disk_points(profile: Json) -> Iterator[DiskPointId]:
    for _, entry in entries(profile):
        if named := (entry.get("diskRestorePoint") or {}).get("id"):
            yield disk_point_id(str(named))


def point_disks(
    point: Listed, kept: Mapping[str, Json], disks: Mapping[str, Json]
) -> tuple[PointDisk, ...]:
    """The disks of a finished point, the operating system's first. `kept` are its disk restore
    points by id, `disks` the managed disks by id, as they are now, those that still exist."""
    found = []
    for lun, entry in entries(point.metadata["storageProfile"]):
        if named := (entry.get("diskRestorePoint") or {}).get("id"):
            body = kept[str(disk_point_id(str(named)))]
            source = disk_id(str(body["properties"]["sourceResourceId"]))
            found.append(_point_disk(point, lun, entry, body, disks.get(source.url, _NO_DISK)))
    return tuple(found)


def _point_disk(point: Listed, lun: int, entry: Json, body: Json, now: Json) -> PointDisk:
    properties, zones = body["properties"], now.get("zones") or ()
    disk = disk_id(str(properties["sourceResourceId"]))
    traits = Traits(
        sku=str((entry.get("managedDisk") or {}).get("storageAccountType", "")),
        zone=str(zones[0]) if zones else "",
        os_type=str(properties.get("osType") or ""),
        generation=str(properties.get("hyperVGeneration") or ""),
    )
    snapshot = Snapshot(
        disk=disk.url,
        id=str(disk_point_id(str(body["id"]))),
        taken_at=point.taken_at,
        size_bytes=_size_of(entry, now["properties"]),
        chain=chain_of(disk, str(properties.get("sourceUniqueId", ""))),
        tag=point.tag,
        traits=traits,
    )
    return PointDisk(lun=lun, name=str(entry.get("name") or disk.name), snapshot=snapshot)


def _size_of(entry: Json, disk: Json) -> int:
    """In bytes. A point tells whole GiB; the disk tells more, unless it has grown since. Raises
    `SourceGone` where neither tells."""
    exact = int(disk.get("diskSizeBytes", 0))
    gibibytes = int(entry.get("diskSizeGB") or -(-exact // GIBIBYTE))
    if not gibibytes:
        raise SourceGone(f"disk {entry.get('name')} is gone, and nothing tells its size any more")
    return exact if -(-exact // GIBIBYTE) == gibibytes else gibibytes * GIBIBYTE
