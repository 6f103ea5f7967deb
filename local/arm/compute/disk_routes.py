"""Managed disks: create, update, read, list, delete."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from local.arm.answers import Answer, ArmError, JsonObject, in_use, not_allowed
from local.arm.compute.access import Access
from local.arm.compute.disks import (
    accepted_body,
    asked_bytes,
    asked_for,
    disk_state,
    grant_is_open,
    identity,
    new_disk,
    resized,
    view,
)
from local.arm.compute.kinds import (
    IN_GROUP,
    IN_SUBSCRIPTION,
    Shelves,
    Terms,
    check_name,
    require,
    required_location,
)
from local.arm.compute.polling import Family, Polling
from local.arm.compute.sources import Sources, Wish
from local.arm.compute.vhds import Vhds
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

ONE = IN_GROUP + "/disks/{name}"
_DEFAULT_SKU = "Standard_LRS"


@dataclass(frozen=True)
class DiskRoutes:
    """The operations on Microsoft.Compute/disks."""

    core: Core
    shelves: Shelves
    vhds: Vhds
    sources: Sources
    polling: Polling
    access: Access
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "Disks_CreateOrUpdate", self._put),
            Route("PATCH", ONE, "Disks_Update", self._patch),
            Route("GET", ONE, "Disks_Get", self._get),
            Route("DELETE", ONE, "Disks_Delete", self._delete),
            Route("GET", IN_GROUP + "/disks", "Disks_ListByResourceGroup", self._list),
            Route("GET", IN_SUBSCRIPTION + "/disks", "Disks_List", self._list),
            Route("POST", ONE + "/beginGetAccess", "Disks_GrantAccess", self._grant),
            Route("POST", ONE + "/endGetAccess", "Disks_RevokeAccess", self._revoke),
        ]

    async def _put(self, call: Call) -> Answer:
        known = self.shelves.disks.get(call.path)
        if known:
            return await self._updated(call, known)
        check_name(call.params["name"], "diskName")
        location = required_location(call.body)
        disk = await self._created(call, location)
        self.shelves.disks.put(disk)
        return self._accepted(call, disk, asked_for(call.body))

    async def _created(self, call: Call, location: str) -> Resource:
        asked = asked_for(call.body)
        wish = Wish(asked.get("creationData") or {}, location, asked_bytes(call.body), call.now)
        made = await self.sources.make(wish)
        head = identity(call.path, "disks", call.body, location)
        sku = (call.body.get("sku") or {}).get("name", _DEFAULT_SKU)
        body = new_disk(
            head,
            sku,
            made.creation,
            {**made.inherited, **asked},
            size_bytes=made.size_bytes,
            now=call.now,
        )
        seconds = self.terms.pace.copy if made.source else self.terms.pace.disk
        inner = {"vhd": made.vhd, "uploading": made.size_bytes is None}
        return Resource(call.path, body, call.now + timedelta(seconds=seconds), inner=inner)

    async def _patch(self, call: Call) -> Answer:
        return await self._updated(call, require(self.shelves.disks, call))

    async def _updated(self, call: Call, known: Resource) -> Answer:
        refuse_other_source(known, call.body)
        disk = await self._changed(call, known)
        self.shelves.disks.put(disk)
        return self._accepted(call, disk, {"creationData": disk.properties["creationData"]})

    async def _changed(self, call: Call, known: Resource) -> Resource:
        """The disk with what the request changes of it."""
        asked = {k: v for k, v in asked_for(call.body).items() if k != "creationData"}
        disk = known.with_properties(**asked)
        if call.body.get("tags") is not None:
            disk = replace(disk, body={**disk.body, "tags": call.body["tags"]})
        if not known.inner.get("uploading"):
            disk = await self._measured(call, known, disk)
        seconds = self.terms.pace.disk
        return replace(disk, settles_at=call.now + timedelta(seconds=seconds))

    async def _measured(self, call: Call, known: Resource, disk: Resource) -> Resource:
        before = int(known.properties["diskSizeBytes"])
        size_bytes = asked_bytes(call.body) or before
        if size_bytes < before:
            raise not_allowed(
                f"Disk {known.name} cannot be resized to a smaller size: "
                f"from {before} to {size_bytes} bytes."
            )
        if size_bytes > before:
            await self.vhds.resize(known.inner["vhd"], size_bytes)
        sku = (call.body.get("sku") or known.body["sku"])["name"]
        return resized(disk, sku, size_bytes)

    def _accepted(self, call: Call, disk: Resource, kept: JsonObject) -> Answer:
        settled = view(disk, disk.settles_at)
        seconds = (disk.settles_at - call.now).total_seconds()
        operation = self.core.operations.begin(call, seconds, output=settled)
        if operation.error:
            self.shelves.disks.put(replace(disk, failed=True))
        headers = self.polling.headers(
            call, operation, Family.DISK, disk.body["location"], monitor=True
        )
        return Answer(HTTPStatus.ACCEPTED, accepted_body(disk.body, call.body, kept), headers)

    async def _get(self, call: Call) -> Answer:
        return Answer(200, view(require(self.shelves.disks, call), call.now))

    async def _list(self, call: Call) -> Answer:
        found = self.shelves.disks.under(scope_of(call))
        return listed(call, [view(disk, call.now) for disk in found])

    async def _delete(self, call: Call) -> Answer:
        disk = self.shelves.disks.get(call.path)
        if disk is None:
            return Answer(HTTPStatus.NO_CONTENT)
        refuse_in_use(disk, call)
        self.shelves.disks.delete(disk.id)
        await self.vhds.delete(disk.inner["vhd"])
        operation = self.core.operations.begin(call, self.terms.pace.delete)
        location = disk.body["location"]
        headers = self.polling.headers(call, operation, Family.DISK, location, monitor=True)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    async def _grant(self, call: Call) -> Answer:
        disk = require(self.shelves.disks, call)
        if disk_state(disk, call.now) == "Attached":
            raise in_use(
                f"Access not permitted because disk {disk.name} is currently attached to running "
                f"VM {disk.inner['managed_by']}."
            )
        return await self.access.grant(call, self.shelves.disks, disk)

    async def _revoke(self, call: Call) -> Answer:
        disk = require(self.shelves.disks, call)
        return await self.access.revoke_disk(call, disk)


def scope_of(call: Call) -> str:
    """The subscription or the group that a list is about."""
    group = f"/resourceGroups/{call.group}" if "group" in call.params else ""
    return f"/subscriptions/{call.subscription}{group}"


def refuse_other_source(known: Resource, body: JsonObject) -> None:
    """A disk or snapshot stays what it was made from (both forms are quoted in users' issues)."""
    asked: dict[str, Any] = (body.get("properties") or {}).get("creationData") or {}
    made_of = known.properties["creationData"]
    changed = [name for name, value in asked.items() if not _same(made_of.get(name), value)]
    if "createOption" in changed:
        message = "Changing property 'creationData' is not allowed."
        raise ArmError(409, "PropertyChangeNotAllowed", message, target="creationData")
    if changed:
        message = (
            f"Changing property '{changed[0]}' is not allowed for existing disk '{known.name}'."
        )
        raise ArmError(400, "BadRequest", message)


def _same(one: object, other: object) -> bool:
    return str(one).casefold() == str(other).casefold()


def refuse_in_use(disk: Resource, call: Call) -> None:
    """Raises 409 for a disk that a machine or a SAS still holds."""
    if owner := disk.inner.get("managed_by"):
        raise not_allowed(f"Disk {disk.name} is attached to VM {owner}.")
    if grant_is_open(disk, call.now):
        raise active_sas(disk.name, "disk", "deleting")


def active_sas(name: str, what: str, doing: str) -> ArmError:
    return not_allowed(
        f"There is an active shared access signature outstanding for {what} {name}. "
        f"Call EndGetAccess before {doing} the {what}."
    )
