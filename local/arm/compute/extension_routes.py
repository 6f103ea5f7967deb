"""Extensions of virtual machines: what is installed in a guest and how it fared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from local.arm.answers import Answer
from local.arm.compute.kinds import IN_GROUP, Shelves, Terms, require
from local.arm.compute.polling import Family, Polling
from local.arm.core import Core
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

EVERY = IN_GROUP + "/virtualMachines/{machine}/extensions"
ONE = EVERY + "/{name}"


@dataclass(frozen=True)
class ExtensionRoutes:
    """The operations on virtualMachines/extensions. Protected settings are never shown again."""

    core: Core
    shelves: Shelves
    polling: Polling
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "VirtualMachineExtensions_CreateOrUpdate", self._put),
            Route("GET", ONE, "VirtualMachineExtensions_Get", self._get),
            Route("DELETE", ONE, "VirtualMachineExtensions_Delete", self._delete),
            Route("GET", EVERY, "VirtualMachineExtensions_List", self._list),
        ]

    async def _put(self, call: Call) -> Answer:
        vm = self._machine(call, call.path.rpartition("/extensions/")[0])
        known = self.shelves.extensions.get(call.path)
        given = call.body.get("properties") or {}
        shown = {name: value for name, value in given.items() if name != "protectedSettings"}
        body = {
            "name": call.params["name"],
            "id": call.path,
            "type": "Microsoft.Compute/virtualMachines/extensions",
            "location": vm.body["location"],
            "properties": {"autoUpgradeMinorVersion": True, **shown},
        }
        settles_at = call.now + timedelta(seconds=self.terms.pace.power)
        extension = Resource(call.path, body, settles_at, inner=known.inner if known else {})
        self.shelves.extensions.put(extension)
        operation = self.core.operations.begin(call, self.terms.pace.power)
        headers = self.polling.headers(
            call, operation, Family.COMPUTE, vm.body["location"], monitor=False
        )
        status = HTTPStatus.OK if known else HTTPStatus.CREATED
        return Answer(status, self._view(extension, call), headers)

    async def _get(self, call: Call) -> Answer:
        return Answer(200, self._view(require(self.shelves.extensions, call), call))

    async def _list(self, call: Call) -> Answer:
        vm = self._machine(call, call.path.rpartition("/extensions")[0])
        found = self.shelves.extensions.under(vm.id)
        return Answer(200, {"value": [self._view(each, call) for each in found]})

    async def _delete(self, call: Call) -> Answer:
        extension = self.shelves.extensions.get(call.path)
        if extension is None:
            return Answer(HTTPStatus.NO_CONTENT)
        self.shelves.extensions.delete(extension.id)
        operation = self.core.operations.begin(call, self.terms.pace.power)
        headers = self.polling.headers(
            call, operation, Family.COMPUTE, extension.body["location"], monitor=True
        )
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    def _machine(self, call: Call, vm_id: str) -> Resource:
        return require(self.shelves.vms, call, vm_id)

    def _view(self, extension: Resource, call: Call) -> dict[str, Any]:
        failed = extension.inner.get("state", "succeeded") != "succeeded"
        state = "Failed" if failed else extension.state(call.now, "Creating")
        return {
            **extension.body,
            "properties": {**extension.properties, "provisioningState": state},
        }
