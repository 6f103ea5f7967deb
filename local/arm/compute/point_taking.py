"""Taking restore points: every disk of a machine at one moment, or a point from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from local.arm.answers import ArmError, JsonObject, not_allowed, source_not_found
from local.arm.compute.kinds import Shelves, Terms, with_slash
from local.arm.compute.points import (
    consistency_of,
    disk_point_id,
    excluded,
    included,
    new_disk_point,
    new_point,
    refuse_unfit_for_crash,
    source_metadata,
)
from local.arm.compute.skus import SLOWLY_HYDRATED
from local.arm.compute.snapshot_limits import too_many_requests
from local.arm.compute.vhds import Vhds
from local.arm.compute.vms import Attachment
from local.arm.core import Core
from local.arm.shelf import Resource

_TAKEN = "compute.point_times"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Taken:
    """A point and, where it is going to fail, why."""

    point: Resource
    error: JsonObject | None = None


@dataclass(frozen=True)
class PointTaking:
    """Makes points under Azure's limits: one at a time, three an hour, 500 for a machine."""

    core: Core
    shelves: Shelves
    vhds: Vhds
    terms: Terms

    async def take(
        self, point_id: str, vm_id: str, body: JsonObject, now: datetime, *, limited: bool = True
    ) -> Taken:
        """A point of the machine as it is now. Raises 404 NotFound where there is no machine."""
        vm = self._machine(vm_id)
        if limited:
            self._refuse_over_limits(vm, now)
        asked = (body.get("properties") or {}).get("consistencyMode")
        consistency = consistency_of(vm, asked)
        disks = included(vm, excluded(body))
        refuse_unfit_for_crash(consistency.mode, [self._disk(each) for each in disks])
        self._note_taken(vm, now)
        ids = {each.disk_id: disk_point_id(point_id, each.name) for each in disks}
        if not consistency.error:
            for each in disks:
                await self._freeze(each, ids[each.disk_id], vm, now)
        metadata = source_metadata(vm, disks, ids)
        wire = new_point(point_id, metadata, consistency.mode, body, now)
        inner = {"vm": vm.id, "mode_is_chosen_here": asked is None}
        point = self._settling(wire, vm.body["location"], now, inner)
        point = replace(point, failed=consistency.error is not None)
        self.shelves.points.put(point)
        return Taken(point, consistency.error)

    async def copy(self, point_id: str, location: str, body: JsonObject, now: datetime) -> Taken:
        """A copy of a point in another region; its bytes arrive over time."""
        source_id = with_slash(body["properties"]["sourceRestorePoint"]["id"])
        source = self.shelves.points.get(source_id)
        if source is None:
            raise source_not_found(source_id.rpartition("/")[2])
        if source.state(now, "Creating") != "Succeeded":
            raise not_allowed(f"Restore point {source.name} is not complete.")
        ids: dict[str, str] = {}
        for each in list(self.shelves.disk_points.under(source.id)):
            disk_name = each.name[: -len("_") - 36]
            ids[each.id.casefold()] = disk_point_id(point_id, disk_name)
            await self._copy_disk(each, ids[each.id.casefold()], location, now)
        metadata = _renamed(source.properties["sourceMetadata"], ids)
        wire = new_point(point_id, metadata, source.properties["consistencyMode"], body, now)
        point = self._settling(wire, location, now, {"vm": source.inner["vm"]})
        self.shelves.points.put(point)
        return Taken(point)

    async def drop(self, point: Resource) -> None:
        """The point, its disk restore points and their bytes."""
        for each in list(self.shelves.disk_points.under(point.id)):
            self.shelves.disk_points.delete(each.id)
            await self.vhds.delete(each.inner["vhd"])
        self.shelves.points.delete(point.id)

    def points_of(self, vm_id: str) -> Iterator[Resource]:
        for each in self.shelves.points.every():
            if each.inner["vm"].casefold() == vm_id.casefold():
                yield each

    def _machine(self, vm_id: str) -> Resource:
        vm = self.shelves.vms.get(with_slash(vm_id))
        if vm is None:
            raise source_not_found(vm_id.rpartition("/")[2])
        return vm

    def _refuse_over_limits(self, vm: Resource, now: datetime) -> None:
        points = list(self.points_of(vm.id))
        if any(now < each.settles_at for each in points):
            raise ArmError(
                409,
                "VMRestorePointClientError",
                "RestorePoint creation failed since a concurrent 'Create RestorePoint' operation "
                "was triggered on the VM.",
            )
        if len(points) >= self.terms.points_per_vm:
            raise not_allowed(
                "The number of restore points across restore point collections and resource "
                f"groups for a VM cannot exceed {self.terms.points_per_vm}. To create a new "
                "restore point, please delete existing restore points."
            )
        recent = [at for at in self._times(vm) if now - at < _HOUR]
        if len(recent) >= self.terms.points_per_hour:
            wait = recent[-self.terms.points_per_hour] + _HOUR - now
            raise too_many_requests("RestorePointCreate", wait.total_seconds())

    def _times(self, vm: Resource) -> list[datetime]:
        known = self.core.store.get(_TAKEN, vm.properties["vmId"])
        return [datetime.fromisoformat(at) for at in known["at"]] if known else []

    def _note_taken(self, vm: Resource, now: datetime) -> None:
        kept = [*self._times(vm), now][-self.terms.points_per_hour :]
        times = {"at": [at.isoformat() for at in kept]}
        self.core.store.put(_TAKEN, vm.properties["vmId"], times)

    def _disk(self, attachment: Attachment) -> Resource:
        disk = self.shelves.disks.get(attachment.disk_id)
        if disk is None:
            raise source_not_found(attachment.name)
        return disk

    async def _freeze(
        self, attachment: Attachment, disk_point: str, vm: Resource, now: datetime
    ) -> None:
        disk = self._disk(attachment)
        location = vm.body["location"]
        os_type = attachment.entry.get("osType")
        generation = disk.properties.get("hyperVGeneration", "V1")
        source = {
            "sourceResourceId": disk.id,
            **({"osType": os_type, "hyperVGeneration": generation} if os_type else {}),
            "sourceUniqueId": disk.properties["uniqueId"],
        }
        body = new_disk_point(disk_point, source, disk.properties["uniqueId"], location, now)
        slow = disk.body["sku"]["name"] in SLOWLY_HYDRATED
        vhd = await self.vhds.copy(disk.inner["vhd"])
        arrives = _arrival(now, self.terms.pace.hydration) if slow else {}
        self._keep(body, vhd, location, now, arrives)

    async def _copy_disk(
        self, source: Resource, disk_point: str, location: str, now: datetime
    ) -> None:
        properties = {
            name: source.properties[name]
            for name in ("sourceResourceId", "osType", "hyperVGeneration", "sourceUniqueId")
            if name in source.properties
        }
        root = source.properties["sourceUniqueId"]
        body = new_disk_point(disk_point, properties, root, location, now)
        vhd = await self.vhds.copy(source.inner["vhd"])
        self._keep(body, vhd, location, now, _arrival(now, self.terms.pace.region_copy))

    def _keep(
        self, body: JsonObject, vhd: str, location: str, now: datetime, arrives: JsonObject
    ) -> None:
        family = body["properties"]["familyId"]
        inner = {"vhd": vhd, "family": family, **arrives}
        self.shelves.disk_points.put(self._settling(body, location, now, inner))

    def _settling(
        self, body: JsonObject, location: str, now: datetime, inner: JsonObject
    ) -> Resource:
        """A point that is being made; unlike others it does not tell its region."""
        settles_at = now + timedelta(seconds=self.terms.pace.restore_point)
        return Resource(body["id"], body, settles_at, inner={**inner, "location": location})


def _arrival(now: datetime, seconds: float) -> dict[str, str]:
    ends = now + timedelta(seconds=seconds)
    return {"hydrating_since": now.isoformat(), "hydrated_at": ends.isoformat()}


def _renamed(metadata: JsonObject, ids: JsonObject) -> dict[str, Any]:
    """The metadata with each disk restore point replaced by its copy, which names its source."""

    def renamed(entry: JsonObject) -> dict[str, Any]:
        source = entry["diskRestorePoint"]
        copied = ids[source["id"].casefold()]
        reference = {**source, "sourceDiskRestorePoint": {"id": source["id"]}, "id": copied}
        return {**entry, "diskRestorePoint": reference}

    profile = dict(metadata["storageProfile"])
    if "osDisk" in profile:
        profile["osDisk"] = renamed(profile["osDisk"])
    profile["dataDisks"] = [renamed(each) for each in profile["dataDisks"]]
    return {**metadata, "storageProfile": profile}
