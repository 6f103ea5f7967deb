"""What a managed disk is on the wire; pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from local.arm.answers import JsonObject
from local.arm.clock import stamp
from local.arm.compute.footer import SIZE as FOOTER
from local.arm.compute.skus import GIB, SLOWLY_HYDRATED, performance, sku_tier, whole_gib
from local.arm.shelf import Resource

# What a caller may send back although the service alone decides it.
_PERFORMANCE = frozenset({"diskIOPSReadWrite", "diskMBpsReadWrite"})
_READ_ONLY = frozenset(
    {
        "diskSizeBytes",
        "diskState",
        "timeCreated",
        "uniqueId",
        "provisioningState",
    }
)
# Recorded for Premium SSD v2 in 2025.
_ADJUSTABLE = {
    "diskIOPSReadOnly": 3000,
    "diskMBpsReadOnly": 125,
    "maxShares": 1,
    "readOnly": False,
}
_PASSED_ON = ("tags", "zones", "extendedLocation", "plan", "identity")
_DEFAULTS = {
    "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
    "networkAccessPolicy": "AllowAll",
    "publicNetworkAccess": "Enabled",
}


def asked_for(body: JsonObject) -> dict[str, Any]:
    """The properties of a request that a caller decides; some SKUs let him set performance."""
    given = body.get("properties") or {}
    sku = (body.get("sku") or {}).get("name")
    decided = _READ_ONLY if sku in SLOWLY_HYDRATED else _READ_ONLY | _PERFORMANCE
    return {name: value for name, value in given.items() if name not in decided}


def identity(resource_id: str, kind: str, body: JsonObject, location: str) -> dict[str, Any]:
    """The fields before `properties`, in the order recorded."""
    return {
        "name": resource_id.rpartition("/")[2],
        "id": resource_id,
        "type": f"Microsoft.Compute/{kind}",
        "location": location,
        **{name: body[name] for name in _PASSED_ON if body.get(name) is not None},
    }


def accepted_body(whole: JsonObject, body: JsonObject, kept: JsonObject | None) -> dict[str, Any]:
    """A 202's: what was asked for (over what was `kept` of it), and that it is being worked on."""
    properties = {**(kept or {}), **asked_for(body), "provisioningState": "Updating"}
    sku = {"sku": {"name": whole["sku"]["name"]}}
    named = {key: whole[key] for key in ("name", "id", "type", "location", "tags") if key in whole}
    named["location"] = body.get("location", whole["location"])
    return {**named, **sku, "properties": properties}


def sized(sku: str, size_bytes: int) -> dict[str, Any]:
    """What follows from SKU and size."""
    able = performance(sku, whole_gib(size_bytes))
    return {
        "diskSizeGB": whole_gib(size_bytes),
        "diskIOPSReadWrite": able.iops,
        "diskMBpsReadWrite": able.mbps,
        "diskSizeBytes": size_bytes,
        "tier": able.tier,
    }


def new_disk(
    head: Mapping[str, Any],
    sku: str,
    creation: JsonObject,
    asked: JsonObject,
    *,
    size_bytes: int | None,
    now: datetime,
) -> dict[str, Any]:
    """The body of a disk that has just been made; without a size it waits for its upload."""
    measured = sized(sku, size_bytes) if size_bytes else _unmeasured(sku, creation)
    properties = {
        **_DEFAULTS,
        **(_ADJUSTABLE if sku in SLOWLY_HYDRATED else {}),
        **asked,
        **measured,
        **{name: asked[name] for name in _PERFORMANCE & asked.keys()},
        "creationData": creation,
        "timeCreated": stamp(now),
        "uniqueId": str(uuid4()),
    }
    kept = {name: value for name, value in properties.items() if value is not None}
    return {**head, "sku": {"name": sku, "tier": sku_tier(sku)}, "properties": kept}


def _unmeasured(sku: str, creation: JsonObject) -> dict[str, Any]:
    able = performance(sku, whole_gib(creation["uploadSizeBytes"] - FOOTER))
    return {
        "diskIOPSReadWrite": able.iops,
        "diskMBpsReadWrite": able.mbps,
        "tier": able.tier,
    }


def resized(disk: Resource, sku: str, size_bytes: int) -> Resource:
    """The disk under another SKU or with another size."""
    body = {**disk.body, "sku": {"name": sku, "tier": sku_tier(sku)}}
    measured = sized(sku, size_bytes)
    if sku in SLOWLY_HYDRATED and sku == disk.body["sku"]["name"]:
        measured = {name: value for name, value in measured.items() if name not in _PERFORMANCE}
    return replace(disk, body=body).with_properties(**measured)


def view(disk: Resource, now: datetime) -> dict[str, Any]:
    """What a GET answers at `now`."""
    owner = disk.inner.get("managed_by")
    properties = {
        **disk.properties,
        "provisioningState": disk.state(now, "Updating"),
        "diskState": disk_state(disk, now),
    }
    managed = {"managedBy": owner} if owner else {}
    return {**disk.body, **managed, "properties": properties}


def disk_state(disk: Resource, now: datetime) -> str:
    """Unattached, Attached, Reserved, ActiveSAS, ReadyToUpload or ActiveUpload."""
    granted = grant_is_open(disk, now)
    if disk.inner.get("uploading"):
        return "ActiveUpload" if granted else "ReadyToUpload"
    if owner_state := disk.inner.get("attached_as"):
        return str(owner_state)
    return "ActiveSAS" if granted else "Unattached"


def grant_is_open(resource: Resource, now: datetime) -> bool:
    """Whether a SAS is out that has neither ended nor been taken back."""
    ends = resource.inner.get("grant_ends")
    return ends is not None and now < datetime.fromisoformat(ends)


def asked_bytes(body: JsonObject) -> int | None:
    """The size that a request asks for."""
    properties = body.get("properties") or {}
    gib = properties.get("diskSizeGB")
    return int(gib) * GIB if gib is not None else None
