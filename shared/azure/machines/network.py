"""Interfaces, subnets, security groups and route tables as Resource Manager writes them, as a check
sees them."""

from collections.abc import Mapping
from typing import Any

from shared.model.inspection import Hop, Interface, Route, Rule, SecurityGroup

Json = Mapping[str, Any]


def group_and_name(id_: str) -> tuple[str, str]:
    """The resource group and the last name of a resource's id."""
    parts = id_.strip("/").split("/")
    return (parts[3] if len(parts) > 3 else ""), parts[-1]


def linked(properties: Json, field: str) -> str:
    """The id of what a resource refers to; empty where it refers to nothing."""
    return str((properties.get(field) or {}).get("id") or "")


def primary_configuration(nic: Json) -> Json:
    """Properties of the address that traffic leaves by."""
    configurations = nic["properties"].get("ipConfigurations") or ()
    every = [each.get("properties") or {} for each in configurations]
    return next((each for each in every if each.get("primary")), every[0] if every else {})


def interface_of(
    nic: Json,
    subnet: Json,
    groups: tuple[SecurityGroup, ...],
    routes: tuple[Route, ...],
) -> Interface:
    address, within = primary_configuration(nic), subnet.get("properties") or {}
    return Interface(
        name=str(nic["name"]),
        address=str(address.get("privateIPAddress") or ""),
        application_groups=_ids(address, "applicationSecurityGroups"),
        security_groups=groups,
        routes=routes,
        subnet=str(subnet.get("name") or ""),
        private_subnet=within.get("defaultOutboundAccess") is False,
        has_way_out=bool(
            linked(address, "publicIPAddress")
            or address.get("loadBalancerBackendAddressPools")
            or linked(within, "natGateway")
        ),
        endpoints=tuple(str(each["service"]) for each in within.get("serviceEndpoints") or ()),
    )


def security_group_of(body: Json, at: str) -> SecurityGroup:
    """With its outbound rules, Azure's own ones included."""
    properties, (group, name) = body["properties"], group_and_name(str(body["id"]))
    every = [
        *(properties.get("securityRules") or ()),
        *(properties.get("defaultSecurityRules") or ()),
    ]
    rules = [_rule(each) for each in every if each["properties"].get("direction") == "Outbound"]
    return SecurityGroup(name=name, group=group, at=at, rules=tuple(rules))


def _rule(body: Json) -> Rule:
    properties = body["properties"]
    return Rule(
        name=str(body["name"]),
        priority=int(properties["priority"]),
        allows=properties.get("access") == "Allow",
        protocol=str(properties.get("protocol") or "*"),
        sources=_either(properties, "sourceAddressPrefix", "sourceAddressPrefixes"),
        source_groups=_ids(properties, "sourceApplicationSecurityGroups"),
        destinations=_either(properties, "destinationAddressPrefix", "destinationAddressPrefixes"),
        to_groups=bool(properties.get("destinationApplicationSecurityGroups")),
        ports=_either(properties, "destinationPortRange", "destinationPortRanges"),
    )


def _either(properties: Json, one: str, several: str) -> tuple[str, ...]:
    """Azure keeps one value in a field of its own, and several in another one."""
    values = [properties.get(one), *(properties.get(several) or ())]
    return tuple(str(value) for value in values if value)


def _ids(properties: Json, field: str) -> tuple[str, ...]:
    return tuple(str(each["id"]).lower() for each in properties.get(field) or ())


def routes_of(body: Json) -> tuple[Route, ...]:
    table = "/".join(group_and_name(str(body["id"])))
    return tuple(
        Route(
            name=str(each["name"]),
            prefix=str(each["properties"].get("addressPrefix", "")),
            hop=Hop(str(each["properties"]["nextHopType"])),
            address=str(each["properties"].get("nextHopIpAddress") or ""),
            table=table,
        )
        for each in body["properties"].get("routes") or ()
    )
