"""Blueprints: what a machine is besides its disks, as JSON in Resource Manager's own words.

One is kept with each restore point, so that a new machine can be made when the old one is gone.
What belongs to the old machine alone is left out: its sets and groups, identities, secrets, and
the profile of an operating system that is installed already.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shared.azure.machines.wire import entries
from shared.model.errors import Invalid
from shared.model.machine import OS_LUN, MachineDisk

Json = Mapping[str, Any]

_PROPERTIES = ("hardwareProfile", "securityProfile", "licenseType", "additionalCapabilities")
_PLACE = ("osType", "lun", "caching", "writeAcceleratorEnabled")
_BODY = ("tags", "plan")


def blueprint(metadata: Json, body: Json | None) -> str:
    """Of a restore point's `sourceMetadata`, and of the machine where it still exists: only the
    machine itself tells its tags, plan and network interfaces."""
    machine: Json = body or {"properties": {}}
    known = {**machine["properties"], **metadata}
    profile = known.get("storageProfile") or {}
    places = [_place(entry) for _, entry in entries(profile)]
    storage = {"places": places, "diskControllerType": profile.get("diskControllerType")}
    properties = {name: known[name] for name in _PROPERTIES if known.get(name)}
    interfaces = (known.get("networkProfile") or {}).get("networkInterfaces") or ()
    document = {
        **{name: machine[name] for name in _BODY if machine.get(name)},
        "properties": properties,
        "storage": {name: each for name, each in storage.items() if each},
        "interfaces": [str(each["id"]).lower() for each in interfaces],
        "bootDiagnostics": _is_diagnosed(known),
    }
    return json.dumps(document, sort_keys=True)


def interfaces_of(text: str) -> list[str]:
    """The network interfaces that the machine had, the first of them its primary one."""
    return list(_read(text)["interfaces"])


def machine_body(text: str, disks: Iterable[MachineDisk], system: Json) -> dict[str, Any]:
    """A new machine of disks that exist, without its network, tags and region; `system` is the
    disk that it starts from, as Resource Manager has it. Raises `Invalid` for no blueprint, or no
    disk to start from."""
    document = _read(text)
    properties = dict(document["properties"])
    properties["storageProfile"] = _storage(document["storage"], disks)
    properties["diagnosticsProfile"] = {"bootDiagnostics": {"enabled": document["bootDiagnostics"]}}
    if security := _security(properties.pop("securityProfile", {}), system):
        properties["securityProfile"] = security
    return {
        **{name: document[name] for name in _BODY if name in document},
        "properties": properties,
    }


def _place(entry: Json) -> dict[str, Any]:
    return {name: entry[name] for name in _PLACE if entry.get(name) is not None}


def _is_diagnosed(properties: Json) -> bool:
    diagnostics = (properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") or {}
    return bool(diagnostics.get("enabled"))


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Invalid(
            "the point does not say what the machine was: it cannot be made anew",
            action="Restore its disks, and make a machine of them.",
        ) from None


def _storage(storage: Json, disks: Iterable[MachineDisk]) -> dict[str, Any]:
    places = {each.get("lun", OS_LUN): each for each in storage["places"]}
    attached = {disk.lun: _attach(places.get(disk.lun, {}), disk) for disk in disks}
    if OS_LUN not in attached:
        raise Invalid("a machine needs the disk that it starts from: none was restored")
    profile = {"osDisk": attached.pop(OS_LUN), "dataDisks": [*attached.values()]}
    if controller := storage.get("diskControllerType"):
        profile["diskControllerType"] = controller
    return profile


def _attach(place: Json, disk: MachineDisk) -> dict[str, Any]:
    lun = {} if disk.lun == OS_LUN else {"lun": disk.lun}
    managed = {"createOption": "Attach", "deleteOption": "Detach", "managedDisk": {"id": disk.disk}}
    return {**place, **lun, **managed}


def _security(security: Json, system: Json) -> dict[str, Any]:
    """A machine is trusted, or confidential, only where the disk that it starts from is."""
    if (system["properties"].get("securityProfile") or {}).get("securityType"):
        return dict(security)
    return {name: security[name] for name in ("encryptionAtHost",) if name in security}
