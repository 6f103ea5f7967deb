"""Restore point collections: one for a machine, or for another collection to copy from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from local.arm.answers import Answer, ArmError, source_not_found
from local.arm.compute.disk_routes import scope_of
from local.arm.compute.disks import grant_is_open, identity
from local.arm.compute.kinds import (
    IN_GROUP,
    IN_SUBSCRIPTION,
    Shelves,
    Terms,
    require,
    required_location,
    with_slash,
)
from local.arm.compute.point_taking import PointTaking
from local.arm.compute.points import point_in_use, point_view
from local.arm.compute.polling import Family, Polling
from local.arm.compute.vms import shouted
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

EVERY = "/restorePointCollections"
ONE = IN_GROUP + EVERY + "/{collection}"


@dataclass(frozen=True)
class CollectionRoutes:
    """The operations on restorePointCollections."""

    core: Core
    shelves: Shelves
    taking: PointTaking
    polling: Polling
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "RestorePointCollections_CreateOrUpdate", self._put),
            Route("PATCH", ONE, "RestorePointCollections_Update", self._patch),
            Route("GET", ONE, "RestorePointCollections_Get", self._get),
            Route("DELETE", ONE, "RestorePointCollections_Delete", self._delete),
            Route("GET", IN_GROUP + EVERY, "RestorePointCollections_List", self._list),
            Route("GET", IN_SUBSCRIPTION + EVERY, "RestorePointCollections_ListAll", self._list),
        ]

    async def _put(self, call: Call) -> Answer:
        known = self.shelves.collections.get(call.path)
        source = ((call.body.get("properties") or {}).get("source") or {}).get("id", "")
        if known:
            _refuse_other_source(known, source)
            return self._retagged(call, known)
        location = required_location(call.body)
        collection = self.make(call.path, source, location, call)
        return Answer(HTTPStatus.CREATED, collection.body)

    def make(self, collection_id: str, source: str, location: str, call: Call) -> Resource:
        """A new collection. Raises 404 where its machine or collection is not there."""
        found = self.shelves.vms.get(with_slash(source)) or self.shelves.collections.get(
            with_slash(source)
        )
        if found is None:
            raise source_not_found(source.rpartition("/")[2])
        properties = {
            "source": {"location": found.body["location"], "id": found.id},
            "restorePointCollectionId": str(uuid4()),
            "provisioningState": "Succeeded",
        }
        head = identity(collection_id, "restorePointCollections", call.body, location)
        collection = Resource(collection_id, {**head, "properties": properties}, call.now)
        self.shelves.collections.put(collection)
        return collection

    async def _patch(self, call: Call) -> Answer:
        return self._retagged(call, require(self.shelves.collections, call))

    def _retagged(self, call: Call, known: Resource) -> Answer:
        tags = {"tags": call.body["tags"]} if call.body.get("tags") is not None else {}
        collection = replace(known, body={**known.body, **tags})
        self.shelves.collections.put(collection)
        return Answer(200, collection.body)

    async def _get(self, call: Call) -> Answer:
        collection = require(self.shelves.collections, call)
        if call.query.get("$expand", "").casefold() != "restorepoints":
            return Answer(200, collection.body)
        points = self.shelves.points.under(collection.id)
        shown: list[dict[str, Any]] = [point_view(each, call.now) for each in points]
        return Answer(200, collection.with_properties(restorePoints=shown).body)

    async def _list(self, call: Call) -> Answer:
        bodies = [each.body for each in self.shelves.collections.under(scope_of(call))]
        return listed(call, bodies if "group" in call.params else [shouted(b) for b in bodies])

    async def _delete(self, call: Call) -> Answer:
        collection = self.shelves.collections.get(call.path)
        if collection is None:
            return Answer(HTTPStatus.NO_CONTENT)
        for each in self.shelves.disk_points.under(collection.id):
            if grant_is_open(each, call.now):
                raise point_in_use()
        for point in list(self.shelves.points.under(collection.id)):
            await self.taking.drop(point)
        self.shelves.collections.delete(collection.id)
        operation = self.core.operations.begin(call, self.terms.pace.delete_restore_point)
        location = collection.body["location"]
        headers = self.polling.headers(call, operation, Family.COMPUTE, location, monitor=True)
        return Answer(HTTPStatus.ACCEPTED, None, headers)


def _refuse_other_source(known: Resource, source: str) -> None:
    if source and with_slash(source).casefold() != known.properties["source"]["id"].casefold():
        raise ArmError(
            409, "PropertyChangeNotAllowed", "Changing property 'source.id' is not allowed."
        )
