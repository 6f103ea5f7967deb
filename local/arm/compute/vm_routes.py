"""Virtual machines: create, change, power, delete, and what is seen of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from local.arm.answers import Answer, JsonObject, not_allowed
from local.arm.clock import stamp
from local.arm.compute.attaching import Attaching, Machine
from local.arm.compute.disk_routes import scope_of
from local.arm.compute.disks import identity
from local.arm.compute.kinds import (
    IN_GROUP,
    IN_SUBSCRIPTION,
    Shelves,
    Terms,
    require,
    required_location,
)
from local.arm.compute.polling import Family, Polling
from local.arm.compute.vhds import Vhds
from local.arm.compute.vms import (
    DEALLOCATED,
    RUNNING,
    STOPPED,
    attachments,
    instance_view,
    new_guest,
    os_type_of,
    shouted,
    view,
)
from local.arm.core import Core
from local.arm.operations import Operation
from local.arm.paging import listed
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

ONE = IN_GROUP + "/virtualMachines/{name}"
_POWER = {"start": RUNNING, "restart": RUNNING, "powerOff": STOPPED, "deallocate": DEALLOCATED}
_OPERATIONS = {
    "start": "Start",
    "restart": "Restart",
    "powerOff": "PowerOff",
    "deallocate": "Deallocate",
}


@dataclass(frozen=True)
class VmRoutes:
    """The operations on Microsoft.Compute/virtualMachines."""

    core: Core
    shelves: Shelves
    vhds: Vhds
    attaching: Attaching
    polling: Polling
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "VirtualMachines_CreateOrUpdate", self._put),
            Route("PATCH", ONE, "VirtualMachines_Update", self._patch),
            Route("GET", ONE, "VirtualMachines_Get", self._get),
            Route("DELETE", ONE, "VirtualMachines_Delete", self._delete),
            Route("GET", ONE + "/instanceView", "VirtualMachines_InstanceView", self._instance),
            Route("GET", IN_GROUP + "/virtualMachines", "VirtualMachines_List", self._list),
            Route(
                "GET", IN_SUBSCRIPTION + "/virtualMachines", "VirtualMachines_ListAll", self._list
            ),
            *(
                Route("POST", f"{ONE}/{action}", f"VirtualMachines_{name}", self._powering(action))
                for action, name in _OPERATIONS.items()
            ),
        ]

    async def _put(self, call: Call) -> Answer:
        known = self.shelves.vms.get(call.path)
        if known:
            return await self._updated(call, known)
        vm = await self._created(call)
        self.shelves.vms.put(vm)
        return self._answered(call, vm, HTTPStatus.CREATED)

    async def _created(self, call: Call) -> Resource:
        location = required_location(call.body)
        given: JsonObject = call.body.get("properties") or {}
        machine = Machine(call.path, location, RUNNING, call.now)
        self.attaching.refuse_taken_interfaces(machine, given)
        profile = await self.attaching.completed(machine, given)
        properties = {
            **given,
            "vmId": str(uuid4()),
            "storageProfile": profile,
            "timeCreated": stamp(call.now),
        }
        self.attaching.hold(machine, properties, instead_of={})
        head = identity(call.path, "virtualMachines", call.body, location)
        body = {**head, "properties": properties, "etag": '"1"'}
        inner = {**new_guest(os_type_of(properties)), "working": "Creating"}
        settles_at = call.now + timedelta(seconds=self.terms.pace.vm)
        return Resource(call.path, body, settles_at, inner=inner)

    async def _patch(self, call: Call) -> Answer:
        return await self._updated(call, require(self.shelves.vms, call))

    async def _updated(self, call: Call, known: Resource) -> Answer:
        vm = await self.changed(call.now, known, call.body)
        self.shelves.vms.put(vm)
        return self._answered(call, vm, HTTPStatus.OK)

    async def changed(self, now: datetime, known: Resource, body: JsonObject) -> Resource:
        """The machine with what a request changes of it; its disks are attached and detached."""
        given = {
            name: value
            for name, value in (body.get("properties") or {}).items()
            if name not in ("provisioningState", "vmId", "timeCreated", "instanceView")
        }
        properties = {**known.properties, **given}
        if "storageProfile" in given:
            profile = {**known.properties["storageProfile"], **given["storageProfile"]}
            properties["storageProfile"] = await self._swapped(now, known, profile)
        tags = {"tags": body["tags"]} if body.get("tags") is not None else {}
        settles_at = now + timedelta(seconds=self.terms.pace.vm)
        changed = {**known.body, **tags, "properties": properties}
        vm = replace(known, body=changed, settles_at=settles_at)
        return vm.knowing(working="Updating")

    async def _swapped(self, now: datetime, known: Resource, profile: JsonObject) -> dict[str, Any]:
        power = known.inner["power"]
        machine = Machine(known.id, known.body["location"], power, now)
        before = next(attachments(known.properties)).disk_id
        after = (profile["osDisk"].get("managedDisk") or {}).get("id", before)
        if power == RUNNING and after.casefold() != before.casefold():
            raise not_allowed(
                f"The OS disk of VM {known.name} cannot be swapped while the VM is running. "
                "Stop (deallocate) it first."
            )
        # An image's disk was made once; from then on its entry stands for that disk.
        kept = {k: v for k, v in known.properties.items() if k != "storageProfile"}
        properties = {**kept, "storageProfile": profile}
        completed = await self.attaching.completed(machine, properties)
        self.attaching.hold(machine, {"storageProfile": completed}, instead_of=known.properties)
        return completed

    def _answered(self, call: Call, vm: Resource, status: HTTPStatus) -> Answer:
        operation = self.core.operations.begin(call, self.terms.pace.vm)
        if operation.error:
            self.shelves.vms.put(replace(vm, failed=True))
        headers = self._headers(call, vm, operation, monitor=False)
        return Answer(status, view(vm, call.now), headers)

    async def _get(self, call: Call) -> Answer:
        vm = require(self.shelves.vms, call)
        expanded = call.query.get("$expand", "").casefold() == "instanceview"
        return Answer(200, self._shown(vm, call, expanded=expanded))

    async def _instance(self, call: Call) -> Answer:
        vm = require(self.shelves.vms, call, call.path.rpartition("/")[0])
        return Answer(200, instance_view(vm, self._extensions(vm), call.now))

    async def _list(self, call: Call) -> Answer:
        expanded = call.query.get("statusOnly") == "true"
        found = self.shelves.vms.under(scope_of(call))
        bodies = [self._shown(vm, call, expanded=expanded) for vm in found]
        return listed(call, bodies if "group" in call.params else [shouted(b) for b in bodies])

    def _shown(self, vm: Resource, call: Call, *, expanded: bool) -> dict[str, Any]:
        body = view(vm, call.now)
        if expanded:
            seen = instance_view(vm, self._extensions(vm), call.now)
            body["properties"] = {**body["properties"], "instanceView": seen}
        return body

    def _extensions(self, vm: Resource) -> tuple[Resource, ...]:
        return tuple(self.shelves.extensions.under(vm.id))

    def _powering(self, action: str) -> Callable[[Call], Awaitable[Answer]]:
        async def power(call: Call) -> Answer:
            vm = require(self.shelves.vms, call)
            self.set_power(vm, _POWER[action], call)
            operation = self.core.operations.begin(call, self.terms.pace.power)
            headers = self._headers(call, vm, operation, monitor=True)
            return Answer(HTTPStatus.ACCEPTED, None, headers)

        return power

    def set_power(self, vm: Resource, power: str, call: Call) -> None:
        """Its disks are Attached to a running machine, Reserved for one that is off."""
        self.shelves.vms.put(vm.knowing(power=power))
        machine = Machine(vm.id, vm.body["location"], power, call.now)
        self.attaching.hold(machine, vm.properties, instead_of={})

    async def _delete(self, call: Call) -> Answer:
        vm = self.shelves.vms.get(call.path)
        if vm is None:
            return Answer(HTTPStatus.NO_CONTENT)
        await self.drop(vm, call)
        operation = self.core.operations.begin(call, self.terms.pace.vm)
        headers = self._headers(call, vm, operation, monitor=True)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    async def drop(self, vm: Resource, call: Call) -> None:
        """The machine goes; its disks stay, except those that are to go with it."""
        machine = Machine(vm.id, vm.body["location"], DEALLOCATED, call.now)
        self.attaching.hold(machine, {}, instead_of=vm.properties)
        for each in attachments(vm.properties):
            disk = self.shelves.disks.get(each.disk_id)
            if disk and each.entry.get("deleteOption") == "Delete":
                self.shelves.disks.delete(disk.id)
                await self.vhds.delete(disk.inner["vhd"])
        for extension in list(self.shelves.extensions.under(vm.id)):
            self.shelves.extensions.delete(extension.id)
        self.shelves.vms.delete(vm.id)

    def _headers(
        self, call: Call, vm: Resource, operation: Operation, *, monitor: bool
    ) -> dict[str, str]:
        location = vm.body["location"]
        return self.polling.headers(call, operation, Family.COMPUTE, location, monitor=monitor)
