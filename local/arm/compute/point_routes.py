"""Restore points of virtual machines, and the disk restore points in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from local.arm.answers import Answer, ArmError, not_allowed
from local.arm.compute.access import Access
from local.arm.compute.collection_routes import ONE as COLLECTION
from local.arm.compute.disks import grant_is_open
from local.arm.compute.kinds import Shelves, Terms, require
from local.arm.compute.point_taking import PointTaking, Taken
from local.arm.compute.points import (
    disk_point_view,
    instance_view,
    point_in_use,
    point_view,
)
from local.arm.compute.polling import Family, Polling
from local.arm.compute.snapshots import completion_percent
from local.arm.core import Core
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

ONE = COLLECTION + "/restorePoints/{point}"
DISKS = ONE + "/diskRestorePoints"
DISK = DISKS + "/{disk}"


@dataclass(frozen=True)
class PointRoutes:
    """The operations on restorePoints and diskRestorePoints."""

    core: Core
    shelves: Shelves
    taking: PointTaking
    polling: Polling
    access: Access
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "RestorePoints_Create", self._put),
            Route("GET", ONE, "RestorePoints_Get", self._get),
            Route("DELETE", ONE, "RestorePoints_Delete", self._delete),
            Route("GET", DISKS, "DiskRestorePoint_ListByRestorePoint", self._disks),
            Route("GET", DISK, "DiskRestorePoint_Get", self._disk),
            Route("POST", DISK + "/beginGetAccess", "DiskRestorePoint_GrantAccess", self._grant),
            Route("POST", DISK + "/endGetAccess", "DiskRestorePoint_RevokeAccess", self._revoke),
        ]

    async def _put(self, call: Call) -> Answer:
        collection = require(
            self.shelves.collections, call, call.path.rpartition("/restorePoints/")[0]
        )
        if self.shelves.points.get(call.path):
            raise ArmError(
                409, "Conflict", f"Restore point '{call.params['point']}' already exists."
            )
        taken = await self._taken(call, collection)
        seconds = self.terms.pace.restore_point
        operation = self.core.operations.begin(call, seconds, error=taken.error)
        if operation.error and not taken.point.failed:
            self.shelves.points.put(replace(taken.point, failed=True))
        location = collection.body["location"]
        headers = self.polling.headers(call, operation, Family.COMPUTE, location, monitor=False)
        return Answer(HTTPStatus.CREATED, point_view(taken.point, call.now), headers)

    async def _taken(self, call: Call, collection: Resource) -> Taken:
        if "sourceRestorePoint" in (call.body.get("properties") or {}):
            return await self.taking.copy(
                call.path, collection.body["location"], call.body, call.now
            )
        source = collection.properties["source"]["id"]
        return await self.taking.take(call.path, source, call.body, call.now)

    async def _get(self, call: Call) -> Answer:
        point = require(self.shelves.points, call)
        body: dict[str, Any] = point_view(point, call.now)
        if call.query.get("$expand", "").casefold() == "instanceview":
            disks = self.shelves.disk_points.under(point.id)
            body["properties"]["instanceView"] = instance_view(disks, call.now)
        return Answer(200, body)

    async def _delete(self, call: Call) -> Answer:
        point = self.shelves.points.get(call.path)
        if point is None:
            return Answer(HTTPStatus.NO_CONTENT)
        self.refuse_granted(point, call)
        await self.taking.drop(point)
        operation = self.core.operations.begin(call, self.terms.pace.delete_restore_point)
        location = point.inner["location"]
        headers = self.polling.headers(call, operation, Family.COMPUTE, location, monitor=True)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    def refuse_granted(self, point: Resource, call: Call) -> None:
        """Raises 409 while somebody holds a SAS on one of its disks."""
        for each in self.shelves.disk_points.under(point.id):
            if grant_is_open(each, call.now):
                raise point_in_use()

    async def _disks(self, call: Call) -> Answer:
        point = require(self.shelves.points, call, call.path.rpartition("/diskRestorePoints")[0])
        found = self.shelves.disk_points.under(point.id)
        return Answer(200, {"value": [disk_point_view(each, call.now) for each in found]})

    async def _disk(self, call: Call) -> Answer:
        return Answer(200, disk_point_view(require(self.shelves.disk_points, call), call.now))

    async def _grant(self, call: Call) -> Answer:
        disk = require(self.shelves.disk_points, call)
        percent = completion_percent(disk, call.now)
        if call.now < disk.settles_at or (percent is not None and percent < 100):
            raise not_allowed(f"Disk restore point {disk.name} cannot be read yet.")
        return await self.access.grant(call, self.shelves.disk_points, disk)

    async def _revoke(self, call: Call) -> Answer:
        disk = require(self.shelves.disk_points, call)
        return await self.access.revoke(call, self.shelves.disk_points, disk)
