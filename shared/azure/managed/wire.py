"""Managed disks and snapshots as Resource Manager writes them, and as the pipeline reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.azure.managed.naming import SKU_TAG, ZONE_TAG, tag_in
from shared.decide.vhd import FOOTER_BYTES
from shared.model.arm_ids import ArmId, disk_id, snapshot_id
from shared.model.disk import DiskState, Snapshot, Traits
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl

Json = Mapping[str, Any]

WHOLE = 100.0
UPLOADING = frozenset({"ReadyToUpload", "ActiveUpload"})


@dataclass(frozen=True)
class Taken:
    """One of our snapshots as it stands."""

    snapshot: Snapshot
    state: str
    """Succeeded, Failed, Updating, …"""
    percent: float
    """How much of it is there: a snapshot of a Premium SSD v2 or Ultra disk is filled later."""
    granted: bool
    """Somebody may read it by SAS."""

    @property
    def is_whole(self) -> bool:
        return self.percent >= WHOLE


def chain_of(disk: ArmId, unique_id: str) -> str:
    """Which disk it is: one that was deleted and made again under its name is another."""
    return f"{disk}#{unique_id.lower()}"


def disk_state(disk: ArmId, body: Json) -> DiskState:
    """A disk has no etag: nobody writes to one behind a condition."""
    properties = body["properties"]
    return DiskState(
        url=disk.url,
        size_bytes=size_of(properties),
        chain=chain_of(disk, str(properties.get("uniqueId", ""))),
        etag="",
        tag=tag_in(body),
        region=region_of(body),
        attached_to=_machine_of(body),
    )


def _machine_of(body: Json) -> DiskUrl | None:
    machine = body.get("managedBy")
    return DiskUrl(str(machine).lower()) if machine else None


def region_of(body: Json) -> str:
    """As region names are written in ids: `westeurope`."""
    return str(body.get("location", "")).replace(" ", "").lower()


def traits_of(body: Json) -> Traits:
    """What a disk is besides its bytes."""
    zones = body.get("zones") or ()
    return Traits(
        sku=str((body.get("sku") or {}).get("name", "")),
        region=region_of(body),
        zone=str(next(iter(zones), "")),
        **_system_of(body["properties"]),
    )


def _source_traits(body: Json) -> Traits:
    """Of a snapshot: what the disk was. Its own SKU is another, so that is in its tags."""
    tags = body.get("tags") or {}
    return Traits(
        sku=str(tags.get(SKU_TAG, "")),
        region=region_of(body),
        zone=str(tags.get(ZONE_TAG, "")),
        **_system_of(body["properties"]),
    )


def _system_of(properties: Json) -> dict[str, str]:
    system, generation = properties.get("osType"), properties.get("hyperVGeneration")
    return {"os_type": str(system or ""), "generation": str(generation or "") if system else ""}


def size_of(properties: Json) -> int:
    """In bytes; of a disk that waits for its upload, what it will have."""
    size = properties.get("diskSizeBytes")
    if size is not None:
        return int(size)
    return int(properties["creationData"]["uploadSizeBytes"]) - FOOTER_BYTES


def is_uploading(body: Json) -> bool:
    return body["properties"].get("diskState") in UPLOADING


def source_of(body: Json) -> ArmId | None:
    """The disk that a snapshot is of; None where it is of something else."""
    source = str(body["properties"].get("creationData", {}).get("sourceResourceId", ""))
    try:
        return disk_id(source)
    except Invalid:
        return None


def taken_of(body: Json) -> Taken:
    """A snapshot of a disk. `creationData` names it by its resource id and its unique id."""
    properties, disk = body["properties"], source_of(body)
    assert disk is not None
    snapshot = Snapshot(
        disk=disk.url,
        id=str(snapshot_id(str(body["id"]))),
        taken_at=instant(str(properties["timeCreated"])),
        size_bytes=size_of(properties),
        chain=chain_of(disk, str(properties["creationData"].get("sourceUniqueId", ""))),
        tag=tag_in(body),
        traits=_source_traits(body),
    )
    percent = properties.get("completionPercent")
    return Taken(
        snapshot=snapshot,
        state=str(properties.get("provisioningState", "")),
        percent=WHOLE if percent is None else float(percent),
        granted=properties.get("diskState") == "ActiveSAS",
    )


def instant(text: str) -> datetime:
    """Aware, UTC; of seven digits after the second, six are kept."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    text = f"{whole}{dot}{digits[:6]}{rest[len(digits) :]}"
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
