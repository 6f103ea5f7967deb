"""What a virtual machine is on the wire, and what its guest shows of itself; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.arm.answers import JsonObject
from local.arm.shelf import Resource

RUNNING, STOPPED, DEALLOCATED = "running", "stopped", "deallocated"
_POWER_SAYS = {RUNNING: "VM running", STOPPED: "VM stopped", DEALLOCATED: "VM deallocated"}
_AGENTS = {"Linux": "2.11.1.12", "Windows": "2.7.41491.1095"}
_SYSTEMS = {"Linux": ("ubuntu", "18.04"), "Windows": ("Windows Server 2022 Datacenter", "10.0")}


@dataclass(frozen=True)
class Attachment:
    """A disk of a machine; `lun` None is the OS disk."""

    lun: int | None
    name: str
    disk_id: str
    entry: JsonObject


def attachments(properties: JsonObject) -> Iterator[Attachment]:
    """The OS disk first, then the data disks in the order of the machine's own list."""
    profile = properties.get("storageProfile") or {}
    for lun, entry in _entries(profile):
        disk_id = (entry.get("managedDisk") or {}).get("id", "")
        yield Attachment(lun, entry.get("name") or disk_id.rpartition("/")[2], disk_id, entry)


def _entries(profile: JsonObject) -> Iterator[tuple[int | None, JsonObject]]:
    if profile.get("osDisk"):
        yield None, profile["osDisk"]
    for entry in profile.get("dataDisks") or ():
        yield entry["lun"], entry


def interfaces(properties: JsonObject) -> Iterator[str]:
    """The ids of a machine's network interfaces."""
    for entry in (properties.get("networkProfile") or {}).get("networkInterfaces") or ():
        yield str(entry["id"])


def os_type_of(properties: JsonObject) -> str:
    """`Linux` unless the OS disk or the profile says Windows."""
    disk = (properties.get("storageProfile") or {}).get("osDisk") or {}
    windows = "windowsConfiguration" in (properties.get("osProfile") or {})
    return str(disk.get("osType") or ("Windows" if windows else "Linux"))


def new_guest(os_type: str) -> dict[str, Any]:
    """A guest that has just booted: its agent is ready and reaches everything."""
    return {
        "power": RUNNING,
        "agent_ready": True,
        "agent_version": _AGENTS.get(os_type, _AGENTS["Linux"]),
        "network": True,
    }


def view(vm: Resource, now: datetime, working: str = "Updating") -> dict[str, Any]:
    """What a GET answers at `now`, without the instance view."""
    state = vm.state(now, str(vm.inner.get("working", working)))
    return {**vm.body, "properties": {**vm.properties, "provisioningState": state}}


def instance_view(vm: Resource, extensions: tuple[Resource, ...], now: datetime) -> dict[str, Any]:
    """Power, agent, disks and extensions as Azure shows them; a machine that is off shows less."""
    shown: dict[str, Any] = {}
    power = vm.inner["power"]
    if power == RUNNING:
        shown |= _guest_view(vm, now)
    shown["disks"] = [
        {"name": each.name, "statuses": [_provisioned(now)]} for each in attachments(vm.properties)
    ]
    if extensions and power == RUNNING:
        shown["extensions"] = [_extension_view(each) for each in extensions]
    shown["hyperVGeneration"] = "V1"
    shown["statuses"] = [
        _provisioned(now),
        {"code": f"PowerState/{power}", "level": "Info", "displayStatus": _POWER_SAYS[power]},
    ]
    return shown


def _guest_view(vm: Resource, now: datetime) -> dict[str, Any]:
    """What the agent tells of its machine; nothing while it is silent (recorded)."""
    if not vm.inner["agent_ready"]:
        return {"vmAgent": _silent_agent(now)}
    name, version = _SYSTEMS.get(os_type_of(vm.properties), _SYSTEMS["Linux"])
    profile: Mapping[str, Any] = vm.properties.get("osProfile") or {}
    return {
        "computerName": profile.get("computerName", vm.name),
        "osName": name,
        "osVersion": version,
        "vmAgent": _agent_view(vm, now),
    }


def _agent_view(vm: Resource, now: datetime) -> dict[str, Any]:
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "Guest Agent is running",
        "time": seconds_stamp(now),
    }
    version = vm.inner["agent_version"]
    return {"vmAgentVersion": version, "statuses": [status], "extensionHandlers": []}


def _silent_agent(now: datetime) -> dict[str, Any]:
    status = {
        "code": "ProvisioningState/Unavailable",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": "VM status blob is found but not yet populated.",
        "time": seconds_stamp(now),
    }
    return {"vmAgentVersion": "Unknown", "statuses": [status]}


def _extension_view(extension: Resource) -> dict[str, Any]:
    state = str(extension.inner.get("state", "succeeded"))
    status = {
        "code": f"ProvisioningState/{state}",
        "level": "Info" if state == "succeeded" else "Error",
        "displayStatus": f"Provisioning {state}",
        "message": extension.inner.get("message", ""),
    }
    properties = extension.properties
    told = extension.inner.get("substatus")
    return {
        **({"substatuses": [_component_status(told)]} if told else {}),
        "name": extension.name,
        "type": f"{properties['publisher']}.{properties['type']}",
        "typeHandlerVersion": properties["typeHandlerVersion"],
        "statuses": [status],
    }


def _component_status(message: str) -> dict[str, str]:
    """What an extension tells of its work, as its own text."""
    return {
        "code": "ComponentStatus//succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": message,
    }


def _provisioned(now: datetime) -> dict[str, str]:
    return {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": seconds_stamp(now),
    }


def seconds_stamp(moment: datetime) -> str:
    """A time as the guest's statuses carry it: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def shouted(body: JsonObject) -> dict[str, Any]:
    """The body with its group in capitals, as lists over a whole subscription have it (recorded
    for restore point collections)."""
    before, marker, rest = str(body["id"]).partition("/resourceGroups/")
    group, slash, tail = rest.partition("/")
    return {**body, "id": f"{before}{marker}{group.upper()}{slash}{tail}"}
