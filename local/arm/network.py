"""Microsoft.Network: interfaces, networks and the rules on them, kept as they are given. An
interface shows which machine has it.

No packet is stopped by them. They are there to be read by whoever checks what a machine may reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from local.arm.answers import (
    Answer,
    ArmError,
    JsonObject,
    missing_reference,
    nic_in_use,
    resource_not_found,
)
from local.arm.compute.inventory import Inventory
from local.arm.core import Core
from local.arm.groups import group_id
from local.arm.paging import listed
from local.arm.routing import GROUP_SCOPE, Call, Route

_IN_GROUP = GROUP_SCOPE + "/providers/Microsoft.Network"
_IN_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.Network"
_KIND = "network"
_OPERATIONS = {
    "networkInterfaces": "NetworkInterfaces",
    "networkSecurityGroups": "NetworkSecurityGroups",
    "virtualNetworks": "VirtualNetworks",
    "routeTables": "RouteTables",
}
# Priority, name, access, source and destination (source: Azure's page on network security groups).
_DEFAULT_RULES = (
    (65000, "AllowVnetInBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
    (65001, "AllowAzureLoadBalancerInBound", "Allow", "AzureLoadBalancer", "*"),
    (65500, "DenyAllInBound", "Deny", "*", "*"),
    (65000, "AllowVnetOutBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
    (65001, "AllowInternetOutBound", "Allow", "*", "Internet"),
    (65500, "DenyAllOutBound", "Deny", "*", "*"),
)


@dataclass(frozen=True)
class Network:
    """The provider. Everything is done at once; no recording covers it."""

    core: Core
    machines: Inventory

    def routes(self) -> Sequence[Route]:
        subnet = _IN_GROUP + "/virtualNetworks/{name}/subnets/{subnet}"
        found = [Route("GET", subnet, "Subnets_Get", self._subnet)]
        for kind, operations in _OPERATIONS.items():
            one, every = f"{_IN_GROUP}/{kind}/{{name}}", f"/{kind}"
            found += [
                Route("PUT", one, f"{operations}_CreateOrUpdate", self._put),
                Route("GET", one, f"{operations}_Get", self._get),
                Route("DELETE", one, f"{operations}_Delete", self._delete),
                Route("GET", _IN_GROUP + every, f"{operations}_List", self._list),
                Route("GET", _IN_SUBSCRIPTION + every, f"{operations}_ListAll", self._list),
            ]
        return found

    def controls(self) -> Sequence[Route]:
        return ()

    async def settle(self, now: datetime) -> None:
        """Nothing falls due here."""

    async def drop_group(self, subscription: str, group: str) -> None:
        for key, _ in list(self.core.store.scan(_KIND, group_id(subscription, group) + "/")):
            self.core.store.delete(_KIND, key)

    async def close(self) -> None:
        """Nothing is open."""

    async def _put(self, call: Call) -> Answer:
        known = self.core.store.get(_KIND, call.path)
        kind = call.path.split("/")[-2]
        self._check_subnets(call)
        body = {
            "name": call.params["name"],
            "id": call.path,
            "etag": f'W/"{uuid4()}"',
            "type": f"Microsoft.Network/{kind}",
            "location": call.body.get("location"),
            **({"tags": call.body["tags"]} if "tags" in call.body else {}),
            "properties": _completed(kind, call.path, call.body.get("properties") or {}),
        }
        self.core.store.put(_KIND, call.path, body)
        return Answer(HTTPStatus.OK if known else HTTPStatus.CREATED, body)

    async def _get(self, call: Call) -> Answer:
        return Answer(200, self._shown(self._found(call, call.path)))

    async def _subnet(self, call: Call) -> Answer:
        network = self._found(call, call.path.rpartition("/subnets/")[0])
        wanted = call.params["subnet"].casefold()
        for subnet in network["properties"].get("subnets") or ():
            if subnet["name"].casefold() == wanted:
                return Answer(200, subnet)
        raise ArmError(404, "NotFound", f"Resource {call.path} not found.")

    async def _list(self, call: Call) -> Answer:
        scope, _, kind = call.path.rpartition("/")
        scope = scope.partition("/providers/")[0]
        marker = f"/providers/microsoft.network/{kind}/".casefold()
        found = self.core.store.scan(_KIND, scope + "/")
        return listed(call, [self._shown(body) for key, body in found if marker in key])

    async def _delete(self, call: Call) -> Answer:
        known = self.core.store.get(_KIND, call.path)
        if known and (owner := self.machines.owner_of_interface(call.path)):
            raise nic_in_use(call.path, owner)
        self.core.store.delete(_KIND, call.path)
        return Answer(HTTPStatus.OK if known else HTTPStatus.NO_CONTENT)

    def _check_subnets(self, call: Call) -> None:
        """Raises 400 for an interface in a subnet that is not there."""
        for each in (call.body.get("properties") or {}).get("ipConfigurations") or ():
            subnet = ((each.get("properties") or {}).get("subnet") or {}).get("id")
            if subnet and not self._has_subnet(subnet):
                raise missing_reference(subnet, call.path)

    def _has_subnet(self, subnet: str) -> bool:
        network, _, name = subnet.rpartition("/subnets/")
        found = self.core.store.get(_KIND, network)
        subnets = found["properties"].get("subnets") or () if found else ()
        return any(each["name"].casefold() == name.casefold() for each in subnets)

    def _shown(self, body: JsonObject) -> JsonObject:
        """An interface tells the machine that has it."""
        owner = self.machines.owner_of_interface(body["id"])
        if owner is None:
            return body
        return {**body, "properties": {**body["properties"], "virtualMachine": {"id": owner}}}

    def _found(self, call: Call, path: str) -> JsonObject:
        found = self.core.store.get(_KIND, path)
        if found is None:
            raise resource_not_found(path.partition("/providers/")[2], call.group)
        return found


def _completed(kind: str, path: str, properties: JsonObject) -> dict[str, Any]:
    """The properties with what Azure adds: states, the ids of inner parts, default rules."""
    completed = {**properties, "provisioningState": "Succeeded"}
    parts = {"virtualNetworks": "subnets", "networkSecurityGroups": "securityRules"}.get(kind)
    if parts:
        completed[parts] = [_part(path, parts, each) for each in properties.get(parts) or ()]
    if kind == "networkSecurityGroups":
        rules = [_default_rule(*rule) for rule in _DEFAULT_RULES]
        completed["defaultSecurityRules"] = [
            _part(path, "defaultSecurityRules", each) for each in rules
        ]
    return completed


def _part(path: str, parts: str, part: JsonObject) -> dict[str, Any]:
    state = {**(part.get("properties") or {}), "provisioningState": "Succeeded"}
    return {**part, "id": f"{path}/{parts}/{part['name']}", "properties": state}


def _default_rule(
    priority: int, name: str, access: str, source: str, destination: str
) -> dict[str, Any]:
    properties = {
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": destination,
        "access": access,
        "priority": priority,
        "direction": "Inbound" if name.endswith("InBound") else "Outbound",
    }
    return {"name": name, "properties": properties}
