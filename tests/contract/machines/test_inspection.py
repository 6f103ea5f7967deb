"""Looking at a machine over Resource Manager, and what a check makes of it."""

import json
from typing import Any

import pytest

from local.arm.controls import Guest, add_faults
from local.arm.faults import Fault
from local.arm.people import NETWORK
from shared.contracts.vm_snapshot import extension_of, new_task
from shared.model.errors import Invalid, SourceGone
from shared.model.ids import DiskUrl
from shared.model.inspection import Hop, Inspected
from shared.model.machine import OS_LUN, Consistency, Os, Power
from shared.model.vm_check import Finding, Report, State
from shared.model.vm_snapshot import Outcome
from shared.steps.vm_check import check_vm
from tests.contract.machines.world import Site

pytestmark = pytest.mark.stack

BLOB = "https://backup.blob.core.windows.net/logs/1.txt?sig=c2VjcmV0"
LOCKS = "2020-05-01"
DISKS = "2024-03-02"


async def inspected(site: Site) -> Inspected:
    return await site.ports.inspection.inspect(site.vm)


async def report(site: Site) -> Report:
    return await check_vm(site.ports, site.vm)


async def found(site: Site, code: str) -> Finding:
    [one] = [each for each in (await report(site)).findings if each.code == code]
    return one


def network_id(site: Site, kind: str, name: str) -> str:
    return f"{site.person.group_id(site.group)}/providers/Microsoft.Network/{kind}/{name}"


def put_network(site: Site, kind: str, name: str, **properties: Any) -> str:
    id_ = network_id(site, kind, name)
    body = {"location": "westeurope", "properties": properties}
    site.person.call("PUT", id_, body, NETWORK)
    return id_


def fence(site: Site, name: str, **rule: Any) -> str:
    """A security group with one outbound rule; its id."""
    properties = {
        "priority": 200,
        "direction": "Outbound",
        "access": "Deny",
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "Internet",
        "destinationPortRange": "*",
        **rule,
    }
    rules = [{"name": "NoInternet", "properties": properties}]
    return put_network(site, "networkSecurityGroups", name, securityRules=rules)


def place(site: Site, nic_group: str | None = None, **subnet: Any) -> None:
    """Puts the machine's interface into a subnet with these properties."""
    part = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24", **subnet}}
    put_network(site, "virtualNetworks", "net", subnets=[part])
    address = {
        "name": "main",
        "properties": {"subnet": {"id": site.subnet}, "privateIPAddress": "10.0.0.4"},
    }
    group = {"networkSecurityGroup": {"id": nic_group}} if nic_group else {}
    put_network(site, "networkInterfaces", "vm1-nic", ipConfigurations=[address], **group)


async def test_a_machine_is_seen_with_its_disks_and_its_network(site: Site) -> None:
    seen = await inspected(site)
    assert (seen.machine.url, seen.machine.power) == (site.vm, Power.RUNNING)
    assert [(each.lun, each.name, each.sku) for each in seen.disks] == [
        (OS_LUN, "vm1-os", "Premium_LRS"),
        (0, "vm1-data-0", "Premium_LRS"),
    ]
    assert seen.disks[1].url == site.id_of("disks", "vm1-data-0")
    assert {each.size_bytes for each in seen.disks} == {1024**3}
    assert [(each.name, each.subnet) for each in seen.interfaces] == [("vm1-nic", "default")]
    assert (seen.points_taken, seen.locks, seen.unseen) == ((), (), ())


async def test_a_healthy_machine_has_no_problem(site: Site) -> None:
    told = await report(site)
    assert [each for each in told.findings if each.state is not State.OK] == []
    assert "NotProtected" in {each.code for each in told.findings}


async def test_a_machine_that_is_off_or_silent(site: Site) -> None:
    site.guest(site.vm, Guest(agent_ready=False))
    agent = await found(site, "AgentNotReady")
    assert "not yet populated" in agent.seen
    site.post(site.vm, "deallocate")
    assert (await found(site, "NotRunning")).state is State.WARNING


async def test_what_is_not_there_or_not_ours(site: Site) -> None:
    with pytest.raises(SourceGone):
        await check_vm(site.ports, site.id_of("virtualMachines", "nobody"))
    stranger = site.vm.replace("0f0f0f0f", "1f1f1f1f")
    with pytest.raises(Invalid, match="may use"):
        await check_vm(site.ports, DiskUrl(stranger))


# ---------------------------------------------------------------- extensions


def install(site: Site, name: str = "VMSnapshotLinux") -> None:
    task = new_task("e07354cf-041e-4370-929f-25a319ce8933", site.ports.clock.now(), [], BLOB, BLOB)
    body = {"location": "westeurope", "properties": extension_of(task, Os.LINUX)}
    site.person.call("PUT", f"{site.vm}/extensions/{name}", body)


async def test_the_extension_is_installed_as_we_build_it_and_shows_no_secret(site: Site) -> None:
    install(site)
    [extension] = (await inspected(site)).extensions
    assert (extension.name, extension.kind) == ("VMSnapshotLinux", "VMSnapshotLinux")
    assert (extension.state, extension.version) == ("succeeded", "1.9")
    shown = site.person.call("GET", f"{site.vm}/extensions/VMSnapshotLinux")
    assert "protectedSettings" not in shown["properties"]
    assert "sig=" not in json.dumps(shown)
    assert (await found(site, "ExtensionReady")).state is State.OK


async def test_an_extension_that_failed(site: Site) -> None:
    install(site, "backup")
    said = {"state": "failed", "message": "handler crashed"}
    site.guest(site.vm, Guest(extensions={"backup": said}))
    told = await found(site, "ExtensionFailed")
    assert "handler crashed" in told.seen
    assert told.fix.startswith(f"az vm extension delete --ids {site.vm}/extensions/backup")


async def test_the_status_that_the_extension_writes_is_read(site: Site) -> None:
    install(site)
    message = {"lang": "en-US", "message": json.dumps({"messageStr": "no way to storage"})}
    status = {"status": "success", "code": 76, "formattedMessage": message, "operation": "Enable"}
    text = json.dumps([{"version": "1.0", "timestampUTC": "", "status": status}])
    site.guest(site.vm, Guest(extensions={"VMSnapshotLinux": {"substatus": text}}))
    [extension] = (await inspected(site)).extensions
    assert extension.status is not None
    assert extension.status.outcome is Outcome.FAILED
    told = await found(site, "SnapshotFailed")
    assert "no way to storage" in told.seen
    assert "FailedRetryableSnapshotFailedNoNetwork" in told.seen


# ---------------------------------------------------------------- the network


async def test_rules_of_the_interface_and_of_the_subnet(site: Site) -> None:
    own, shared = fence(site, "own"), fence(site, "shared", protocol="Tcp")
    place(site, own, networkSecurityGroup={"id": shared})
    [interface] = (await inspected(site)).interfaces
    assert [(each.name, each.at) for each in interface.security_groups] == [
        ("own", "interface"),
        ("shared", "subnet"),
    ]
    assert len(interface.security_groups[0].rules) == 4
    denied = [each for each in (await report(site)).findings if each.code == "NetworkDenied"]
    assert len(denied) == 6
    assert denied[0].seen == (
        "security group own of the interface denies Azure Backup on port 443, "
        "by rule NoInternet (priority 200)"
    )


async def test_the_rule_that_the_fix_makes_lets_it_through(site: Site) -> None:
    rules = [
        ("Allow" + tag, 190 + at, "Allow", tag)
        for at, tag in enumerate(("AzureBackup", "Storage.WestEurope", "AzureActiveDirectory"))
    ]
    made = [
        {
            "name": name,
            "properties": {
                "priority": priority,
                "direction": "Outbound",
                "access": access,
                "protocol": "Tcp",
                "sourceAddressPrefixes": ["10.0.0.0/24", "10.0.1.0/24"],
                "sourcePortRange": "*",
                "destinationAddressPrefix": tag,
                "destinationPortRanges": ["443", "8443"],
            },
        }
        for name, priority, access, tag in [*rules, ("NoInternet", 200, "Deny", "Internet")]
    ]
    group = put_network(site, "networkSecurityGroups", "nsg", securityRules=made)
    place(site, group)
    assert (await found(site, "NetworkOpen")).state is State.OK


async def test_a_default_route_to_a_firewall(site: Site) -> None:
    hop = {"nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.1.0.4"}
    routes = [{"name": "out", "properties": {"addressPrefix": "0.0.0.0/0", **hop}}]
    table = put_network(site, "routeTables", "table", routes=routes)
    place(site, routeTable={"id": table})
    [interface] = (await inspected(site)).interfaces
    [route] = interface.routes
    assert (route.hop, route.address, interface.address) == (Hop.APPLIANCE, "10.1.0.4", "10.0.0.4")
    told = await found(site, "BehindFirewall")
    assert "--fqdn-tags AzureBackup" in told.fix
    assert "10.0.0.4" in told.fix


async def test_a_private_subnet_without_a_way_out(site: Site) -> None:
    place(site, defaultOutboundAccess=False)
    assert (await found(site, "NoWayOut")).state is State.PROBLEM
    gateway = network_id(site, "natGateways", "nat")
    place(site, defaultOutboundAccess=False, natGateway={"id": gateway})
    assert (await found(site, "NetworkOpen")).state is State.OK


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("NetworkInterfaces_Get", "network"),
        ("RestorePointCollections_ListAll", "restore points"),
        ("ManagementLocks_List", "locks of"),
    ],
)
async def test_what_may_not_be_seen_is_said_and_the_rest_is_checked(
    site: Site, operation: str, part: str
) -> None:
    code = "AuthorizationFailed"
    fault = Fault(operation=operation, status=403, error_code=code, message="No right to read.")
    add_faults(site.person.endpoint, [fault])
    told = await found(site, "NotSeen")
    assert told.subject.startswith(part)
    assert "No right to read" in told.seen
    assert "AgentReady" in {each.code for each in (await report(site)).findings}


# ---------------------------------------------------------------- disks, points and locks


async def test_disks_that_nobody_may_export(site: Site) -> None:
    disk = site.id_of("disks", "vm1-data-0")
    change = {"properties": {"networkAccessPolicy": "DenyAll"}}
    site.person.call("PATCH", disk, change, DISKS)
    told = await found(site, "DiskNotExported")
    assert (told.subject, disk in told.fix) == ("disk vm1-data-0", True)


async def test_points_are_counted_and_a_lock_on_their_group_is_named(site: Site) -> None:
    await site.take(site.vm, "vm1.backup-20261121t020000z", Consistency.CRASH)
    lock = f"{site.person.group_id(site.group)}/providers/Microsoft.Authorization/locks/frozen"
    site.person.call("PUT", lock, {"properties": {"level": "ReadOnly"}}, LOCKS)
    try:
        seen = await inspected(site)
        told = await found(site, "GroupLocked")
    finally:
        site.person.call("DELETE", lock, None, LOCKS)
    assert len(seen.points_taken) == 1
    [group] = seen.points_groups
    assert (group.name, group.points, group.is_azures) == (site.group, 1, False)
    assert told.state is State.PROBLEM
    assert told.subject == f"resource group {site.group}"
    assert told.fix.lower() == f"az lock delete --ids {lock.lower()}"


async def test_a_lock_on_azure_backups_own_group_is_a_problem_at_any_level(site: Site) -> None:
    name = f"AzureBackupRG_westeurope_{int(site.group[-4:], 16)}"
    person = site.person
    person.make_group(name)
    collection = f"{person.group_id(name)}/providers/Microsoft.Compute/restorePointCollections/rpc"
    body = {"location": "westeurope", "properties": {"source": {"id": site.vm}}}
    person.call("PUT", collection, body)
    lock = f"{person.group_id(name)}/providers/Microsoft.Authorization/locks/keep"
    person.call("PUT", lock, {"properties": {"level": "CanNotDelete"}}, LOCKS)
    try:
        told = await found(site, "GroupLocked")
    finally:
        person.call("DELETE", lock, None, LOCKS)
    assert (told.state, told.subject) == (State.PROBLEM, f"resource group {name.lower()}")
