"""What a snapshot of a managed disk is on the wire; pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from local.arm.answers import JsonObject
from local.arm.clock import stamp
from local.arm.compute.disks import grant_is_open
from local.arm.compute.skus import SLOWLY_HYDRATED, sku_tier, whole_gib
from local.arm.shelf import Resource

_DEFAULTS = {
    "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
    "incremental": False,
    "networkAccessPolicy": "AllowAll",
    "publicNetworkAccess": "Enabled",
}


def family_of(source: Resource, location: str) -> str:
    """The family of a disk's incremental snapshots in a region; a copied one keeps its root's."""
    root = source.inner.get("family") or source.properties["uniqueId"]
    return str(uuid5(NAMESPACE_URL, f"{root} {location}"))


def new_snapshot(
    head: Mapping[str, Any],
    sku: str,
    creation: JsonObject,
    asked: JsonObject,
    *,
    size_bytes: int,
    family: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The body of a snapshot that has just been taken."""
    properties = {
        **_DEFAULTS,
        **asked,
        "creationData": creation,
        "diskSizeGB": whole_gib(size_bytes),
        "timeCreated": stamp(now),
        "diskSizeBytes": size_bytes,
        "uniqueId": str(uuid4()),
        "incrementalSnapshotFamilyId": family,
    }
    kept = {name: value for name, value in properties.items() if value is not None}
    return {**head, "sku": {"name": sku, "tier": sku_tier(sku)}, "properties": kept}


def hydration(
    option: str, source: Resource | None, now: datetime, seconds: Mapping[str, float]
) -> dict[str, str]:
    """The times between which the bytes arrive, for what is copied in the background.

    `seconds` has `CopyStart` (another region) and `slow` (Premium SSD v2 and Ultra disks).
    """
    sku = source.body["sku"]["name"] if source else ""
    if option == "CopyStart":
        took = seconds["CopyStart"]
    elif sku in SLOWLY_HYDRATED:
        took = seconds["slow"]
    else:
        return {}
    ends = now + timedelta(seconds=took)
    return {"hydrating_since": now.isoformat(), "hydrated_at": ends.isoformat()}


def completion_percent(snapshot: Resource, now: datetime) -> float | None:
    """How much has been copied; None for what is whole from the start."""
    if "hydrated_at" not in snapshot.inner:
        return None
    begins = datetime.fromisoformat(snapshot.inner["hydrating_since"])
    ends = datetime.fromisoformat(snapshot.inner["hydrated_at"])
    if now >= ends:
        return 100.0
    return float(int((now - begins) / (ends - begins) * 100))


def view(snapshot: Resource, now: datetime) -> dict[str, Any]:
    """What a GET answers at `now`.

    As recorded, a copy is Succeeded while its completionPercent is still 0.0.
    """
    percent = completion_percent(snapshot, now)
    properties = {
        **snapshot.properties,
        "provisioningState": snapshot.state(now, "Updating"),
        "diskState": "ActiveSAS" if grant_is_open(snapshot, now) else "Unattached",
        **({} if percent is None else {"completionPercent": percent}),
    }
    return {**snapshot.body, "properties": properties}


def settled_output(snapshot: Resource) -> dict[str, Any]:
    """The output of the operation that made it, which says nothing of completionPercent."""
    shown = view(snapshot, snapshot.settles_at)
    shown["properties"].pop("completionPercent", None)
    return shown
