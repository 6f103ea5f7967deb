"""Networks in the fake ARM: kept as given, with what Azure adds."""

import pytest

from tests.stack.arm_fixtures import REGION, SUBSCRIPTION, Arm

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack


def network(arm: Arm, kind: str, name: str) -> str:
    return f"{arm.group_path}/providers/Microsoft.Network/{kind}/{name}"


async def test_a_security_group_has_its_rules_and_azures(arm: Arm) -> None:
    rule = {"name": "DenyInternet", "properties": {"priority": 100, "direction": "Outbound"}}
    body = {"location": REGION, "properties": {"securityRules": [rule]}}
    path = network(arm, "networkSecurityGroups", "nsg")
    assert (await arm.call("PUT", path, body))[0] == 201
    assert (await arm.call("PUT", path, body))[0] == 200
    _, group, _ = await arm.call("GET", path.upper())
    assert [each["name"] for each in group["properties"]["securityRules"]] == ["DenyInternet"]
    defaults = {
        each["name"]: each["properties"] for each in group["properties"]["defaultSecurityRules"]
    }
    assert len(defaults) == 6
    allowed = defaults["AllowInternetOutBound"]
    assert (allowed["direction"], allowed["priority"]) == ("Outbound", 65001)


async def test_a_subnet_is_found_by_its_own_id(arm: Arm) -> None:
    subnets = [{"name": "apps", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    path = network(arm, "virtualNetworks", "vnet")
    await arm.call("PUT", path, {"location": REGION, "properties": {"subnets": subnets}})
    status, subnet, _ = await arm.call("GET", f"{path}/subnets/Apps")
    assert (status, subnet["id"]) == (200, f"{path}/subnets/apps")
    assert (await arm.call("GET", f"{path}/subnets/none"))[0] == 404
    assert (await arm.call("GET", network(arm, "virtualNetworks", "none") + "/subnets/x"))[0] == 404


async def test_lists_hold_one_kind(arm: Arm) -> None:
    for kind, name in (("networkInterfaces", "nic"), ("routeTables", "rt")):
        await arm.call("PUT", network(arm, kind, name), {"location": REGION})
    everywhere = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/networkInterfaces"
    for path in (network(arm, "networkInterfaces", "x").rpartition("/")[0], everywhere):
        _, found, _ = await arm.call("GET", path)
        assert [each["name"] for each in found["value"]] == ["nic"]
    assert (await arm.call("DELETE", network(arm, "networkInterfaces", "nic")))[0] == 200
    assert (await arm.call("DELETE", network(arm, "networkInterfaces", "nic")))[0] == 204
    await arm.call("DELETE", arm.group_path)
    await arm.make_group()
    assert (await arm.call("GET", network(arm, "routeTables", "rt")))[0] == 404


async def test_an_interface_shows_its_machine_and_cannot_go_before_it(arm: Arm) -> None:
    subnets = [{"name": "apps", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    vnet, nic = network(arm, "virtualNetworks", "vnet"), network(arm, "networkInterfaces", "nic")
    await arm.call("PUT", vnet, {"location": REGION, "properties": {"subnets": subnets}})
    for subnet, status in ((f"{vnet}/subnets/none", 400), (f"{vnet}/subnets/apps", 201)):
        address = {"name": "a", "properties": {"subnet": {"id": subnet}}}
        body = {"location": REGION, "properties": {"ipConfigurations": [address]}}
        assert (await arm.call("PUT", nic, body))[0] == status
    profile = {"osDisk": {"createOption": "FromImage", "osType": "Linux", "diskSizeGB": 1}}
    machine = {
        "location": REGION,
        "properties": {
            "storageProfile": profile,
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
        },
    }
    vm = arm.id_of("virtualMachines", "vm1")
    assert (await arm.call("PUT", vm, machine))[0] == 201
    _, shown, _ = await arm.call("GET", nic)
    assert shown["properties"]["virtualMachine"] == {"id": vm}
    for verb, path, sent in (
        ("DELETE", nic, None),
        ("PUT", arm.id_of("virtualMachines", "vm2"), machine),
    ):
        status, refusal, _ = await arm.call(verb, path, sent)
        assert (status, refusal["error"]["code"]) == (400, "NicInUse")
    await arm.call("DELETE", vm)
    assert "virtualMachine" not in (await arm.call("GET", nic))[1]["properties"]
    assert (await arm.call("DELETE", nic))[0] == 200
