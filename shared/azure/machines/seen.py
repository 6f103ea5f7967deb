"""A machine, its disks and its extensions as Resource Manager writes them, as a check sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.azure.machines.wire import attached_id, entries, machine_of
from shared.azure.managed.wire import instant, size_of
from shared.contracts.vm_snapshot_status import read_instance, told
from shared.model.arm_ids import disk_id
from shared.model.inspection import Lock, SeenDisk, SeenExtension
from shared.model.machine import Machine, Os

Json = Mapping[str, Any]


def managed_machine(body: Json) -> Machine:
    """The machine with its managed disks alone, whatever else it has."""
    properties = body["properties"]
    profile = properties["storageProfile"]
    system = profile.get("osDisk") or {}
    data = [entry for entry in profile.get("dataDisks") or () if attached_id(entry)]
    kept = {**profile, "osDisk": system if attached_id(system) else None, "dataDisks": data}
    found = machine_of({**body, "properties": {**properties, "storageProfile": kept}})
    return replace(found, os=Os.WINDOWS if system.get("osType") == Os.WINDOWS else Os.LINUX)


def seen_disks(body: Json, managed: Mapping[str, Json]) -> Iterator[SeenDisk]:
    """The attached disks, the operating system's first; `managed` are the bodies of those that
    could be read, by id."""
    for lun, entry in entries(body["properties"]["storageProfile"]):
        found = managed.get(attached_id(entry), {})
        yield _seen_disk(lun, entry, found.get("properties") or {}, found)


def _seen_disk(lun: int, entry: Json, properties: Json, body: Json) -> SeenDisk:
    attached = attached_id(entry)
    told = str((entry.get("managedDisk") or {}).get("storageAccountType", ""))
    return SeenDisk(
        lun=lun,
        name=str(entry.get("name") or attached.rpartition("/")[2] or lun),
        url=disk_id(attached).url if attached else None,
        sku=str((body.get("sku") or {}).get("name") or told),
        size_bytes=size_of(properties) if properties else 0,
        shared_by=int(properties.get("maxShares") or 1),
        ephemeral=(entry.get("diffDiskSettings") or {}).get("option") == "Local",
        write_accelerated=bool(entry.get("writeAcceleratorEnabled")),
        exports=str(properties.get("networkAccessPolicy") or "AllowAll"),
        entra_only=properties.get("dataAccessAuthMode") == "AzureActiveDirectory",
    )


def seen_extensions(body: Json) -> Iterator[SeenExtension]:
    """Those that the machine's instance view shows: none of a machine that is off."""
    view = body["properties"].get("instanceView") or {}
    for each in view.get("extensions") or ():
        statuses = each.get("statuses") or ()
        codes = [str(status.get("code", "")) for status in statuses]
        yield SeenExtension(
            name=str(each["name"]),
            kind=str(each.get("type", "")).rpartition(".")[2],
            state=next((code.partition("/")[2].lower() for code in codes), ""),
            message=told(next((str(s["message"]) for s in statuses if s.get("message")), "")),
            version=str(each.get("typeHandlerVersion") or ""),
            status=read_instance(each),
        )


def interface_ids(body: Json) -> list[str]:
    """The machine's network interfaces, the one that its traffic leaves by first."""
    profile = body["properties"].get("networkProfile") or {}
    every = [each for each in profile.get("networkInterfaces") or () if each.get("id")]
    every.sort(key=lambda each: not (each.get("properties") or {}).get("primary"))
    return [str(each["id"]) for each in every]


def source_of(collection: Json) -> str:
    """The machine that a restore point collection is of, in lower case."""
    return str((collection["properties"].get("source") or {}).get("id", "")).lower()


def points_in(collection: Json) -> list[datetime]:
    """When the collection's restore points were taken; unfinished ones do not tell."""
    points = collection["properties"].get("restorePoints") or ()
    times = [(point.get("properties") or {}).get("timeCreated") for point in points]
    return [instant(str(time)) for time in times if time]


def lock_of(body: Json) -> Lock:
    scope = str(body["id"]).lower().partition("/providers/microsoft.authorization/locks/")[0]
    return Lock(name=str(body["name"]), level=str(body["properties"]["level"]), scope=scope)
