"""`Machines` over Resource Manager: new machines of restored disks, and disks swapped in place."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from local.arm.controls import add_faults, clear_faults
from local.arm.faults import Fault
from shared.model.deferral import Deferred
from shared.model.disk import LeaseFence
from shared.model.errors import AlreadyExists, Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.machine import OS_LUN, Consistency, MachineDisk, NewMachine, Power, RestorePoint
from tests.contract.machines.world import Site, patiently
from tests.contract.pages import body, span

pytestmark = pytest.mark.stack
JOB = "vm1.backup-20261121t020000z"
RESTORE = "vm1.restore-3f9c0a1b2d"
FENCE = LeaseFence(lease_id="any")
GIBIBYTE = 1024**3


async def restored(site: Site, prefix: str, **letters: str) -> tuple[MachineDisk, ...]:
    """New disks as a restore leaves them: `system` to start from, `data` at LUN 0."""
    return tuple(
        [await _disk(site, f"{prefix}-{part}", part, text) for part, text in letters.items()]
    )


async def _disk(site: Site, name: str, part: str, letters: str) -> MachineDisk:
    disk, images = site.id_of("disks", name), site.ports.images
    await images.create(disk, GIBIBYTE, RESTORE)
    await images.write(disk, span(0, len(letters)), body(letters), FENCE)
    await site.ports.disks.take_snapshot(disk, RESTORE)
    await images.release(disk, FENCE.lease_id)
    return MachineDisk(disk=disk, lun=OS_LUN if part == "system" else 0)


@pytest.fixture
async def point(site: Site) -> RestorePoint:
    site.person.call("PATCH", site.vm, {"tags": {"team": "blue"}})
    return await site.take(site.vm, JOB, Consistency.CRASH)


def attached(shown: Any) -> dict[int, str]:
    profile = shown["properties"]["storageProfile"]
    data = {each["lun"]: each["managedDisk"]["id"].lower() for each in profile["dataDisks"]}
    return {OS_LUN: profile["osDisk"]["managedDisk"]["id"].lower(), **data}


async def test_a_new_machine_is_like_the_old_one(site: Site, point: RestorePoint) -> None:
    """It has the restored bytes, an interface of its own, and nothing of the old one's."""
    site.person.call("DELETE", site.vm)
    disks = await restored(site, "new", system="system", data="tables")
    vm = site.id_of("virtualMachines", "new")
    wanted = NewMachine(url=vm, blueprint=point.blueprint, disks=disks, network=site.subnet)
    await patiently(lambda: site.machines.build(wanted, RESTORE))
    made = site.person.call("GET", vm)
    assert attached(made) == {each.lun: each.disk for each in disks}
    assert made["properties"]["hardwareProfile"] == {"vmSize": "Standard_D2s_v5"}
    assert made["properties"]["storageProfile"]["osDisk"]["caching"] == "ReadWrite"
    assert made["tags"]["team"] == "blue"
    assert made["tags"]["vaultline-job"] == RESTORE
    [interface] = made["properties"]["networkProfile"]["networkInterfaces"]
    nic = site.person.call("GET", interface["id"], version="2023-11-01")
    [address] = nic["properties"]["ipConfigurations"]
    assert address["properties"]["subnet"]["id"].lower() == site.subnet.lower()
    assert nic["properties"]["virtualMachine"]["id"].lower() == vm
    assert (await site.machines.state(vm)).power is Power.RUNNING
    assert [site.shown(each.disk, 6) for each in disks] == ["system", "tables"]


async def test_a_machine_is_built_once(site: Site, point: RestorePoint) -> None:
    disks = await restored(site, "new", system="s")
    vm = site.id_of("virtualMachines", "new")
    wanted = NewMachine(url=vm, blueprint=point.blueprint, disks=disks, network=site.subnet)
    lost = Fault(operation="VirtualMachines_CreateOrUpdate", drop="after", times=1)
    add_faults(site.person.endpoint, [lost])
    await patiently(lambda: site.machines.build(wanted, RESTORE))
    assert [count.fired for count in clear_faults(site.person.endpoint)] == [1]
    vm_id = (await site.machines.state(vm)).vm_id
    await site.machines.build(wanted, RESTORE)
    assert (await site.machines.state(vm)).vm_id == vm_id
    with pytest.raises(AlreadyExists):
        await site.machines.build(wanted, "vm1.restore-0000000000")


async def test_a_machine_takes_over_an_interface_that_is_free(
    site: Site, point: RestorePoint
) -> None:
    disks = await restored(site, "new", system="s")
    vm = site.id_of("virtualMachines", "new")
    same = NewMachine(url=vm, blueprint=point.blueprint, disks=disks)
    with pytest.raises(Invalid, match="vm1-nic") as refusal:
        await site.machines.build(same, RESTORE)
    assert "subnet" in refusal.value.action
    site.person.call("DELETE", site.vm)
    await patiently(lambda: site.machines.build(same, RESTORE))
    shown = site.person.call("GET", vm)["properties"]["networkProfile"]["networkInterfaces"]
    assert [each["id"].rpartition("/")[2] for each in shown] == ["vm1-nic"]


async def test_a_machine_is_put_into_a_given_interface(site: Site, point: RestorePoint) -> None:
    disks = await restored(site, "new", system="s")
    interface = site.person.make_interface(site.group, "spare", site.subnet)
    vm = site.id_of("virtualMachines", "new")
    wanted = NewMachine(url=vm, blueprint=point.blueprint, disks=disks, network=interface)
    await patiently(lambda: site.machines.build(wanted, RESTORE))
    shown = site.person.call("GET", vm)["properties"]["networkProfile"]["networkInterfaces"]
    assert [each["id"] for each in shown] == [interface.lower()]


async def test_what_cannot_be_built_is_refused(site: Site, point: RestorePoint) -> None:
    [system] = await restored(site, "new", system="s")
    url = site.id_of("virtualMachines", "new")
    wanted = NewMachine(url=url, blueprint=point.blueprint, disks=(system,), network=site.subnet)
    elsewhere = DiskUrl(url.replace("/resourcegroups/rg-", "/resourcegroups/other-"))
    for spoilt in (
        replace(wanted, disks=(replace(system, lun=0),)),
        replace(wanted, blueprint=""),
        replace(wanted, url=elsewhere),
        replace(wanted, network="net/default"),
    ):
        with pytest.raises(Invalid):
            await site.machines.build(spoilt, RESTORE)


async def test_a_point_that_knows_of_no_interface_needs_a_network(
    site: Site, point: RestorePoint
) -> None:
    """One that was told of when its machine was gone already."""
    disks = await restored(site, "new", system="s")
    vm = site.id_of("virtualMachines", "new")
    blueprint = json.dumps({**json.loads(point.blueprint), "interfaces": []})
    with pytest.raises(Invalid, match="network interfaces") as refusal:
        await site.machines.build(NewMachine(url=vm, blueprint=blueprint, disks=disks), RESTORE)
    assert "subnet" in refusal.value.action


async def test_the_target_s_group_is_gone(site: Site, point: RestorePoint) -> None:
    """Deleted while the disks were being filled, or before they were made."""
    disks = await restored(site, "new", system="s")
    vm = site.id_of("virtualMachines", "new")
    wanted = NewMachine(url=vm, blueprint=point.blueprint, disks=disks, network=site.subnet)
    site.person.call("DELETE", site.person.group_id(site.group), version="2021-04-01")
    with pytest.raises(SourceGone):
        await site.machines.build(wanted, RESTORE)
    with pytest.raises(SourceGone, match=site.group) as failure:
        await site.ports.images.create(site.id_of("disks", "other"), GIBIBYTE, RESTORE)
    assert failure.value.code == "TargetGroupNotFound"
    assert "another" in failure.value.action


async def test_disks_are_swapped_all_at_once(site: Site) -> None:
    """The old ones stay as they are; asking again changes nothing."""
    old = (await site.machines.state(site.vm)).disks
    site.put(old[0].disk, 0, "old")
    new = await restored(site, "back", system="system", data="tables")
    with pytest.raises(Invalid, match="running"):
        await site.machines.swap(site.vm, new, start=True)
    await patiently(lambda: site.machines.switch_off(site.vm))
    await site.machines.switch_off(site.vm)
    lost = Fault(operation="VirtualMachines_Update", drop="after", times=1)
    add_faults(site.person.endpoint, [lost])
    with pytest.raises(Transient):
        await site.machines.swap(site.vm, new, start=True)
    await patiently(lambda: site.machines.swap(site.vm, new, start=True))
    assert [count.fired for count in clear_faults(site.person.endpoint)] == [1]
    for _ in range(2):
        machine = await site.machines.state(site.vm)
        assert [(each.lun, each.disk) for each in machine.disks] == [
            (each.lun, each.disk) for each in new
        ]
        assert machine.power is Power.RUNNING
        await site.machines.swap(site.vm, new, start=True)
    assert [site.shown(each.disk, 6) for each in new] == ["system", "tables"]
    assert site.shown(old[0].disk, 4) == "old."
    shown = site.person.call("GET", old[0].disk, version="2024-03-02")
    assert shown["properties"]["diskState"] == "Unattached"


async def test_one_disk_is_swapped_and_the_others_stay(site: Site) -> None:
    before = (await site.machines.state(site.vm)).disks
    [new] = await restored(site, "back", data="tables")
    await patiently(lambda: site.machines.switch_off(site.vm))
    await patiently(lambda: site.machines.swap(site.vm, [new], start=False))
    machine = await site.machines.state(site.vm)
    assert [each.disk for each in machine.disks] == [before[0].disk, new.disk]
    assert machine.power is Power.DEALLOCATED


async def test_a_disk_goes_where_none_is_any_more(site: Site) -> None:
    [new] = await restored(site, "back", data="tables")
    await patiently(lambda: site.machines.switch_off(site.vm))
    placed = MachineDisk(disk=new.disk, lun=5)
    await patiently(lambda: site.machines.swap(site.vm, [placed], start=False))
    luns = [each.lun for each in (await site.machines.state(site.vm)).disks]
    assert luns == [OS_LUN, 0, 5]


async def test_a_machine_whose_last_change_failed_is_not_waited_for(site: Site) -> None:
    """It runs, has its disks, and nothing is being changed: an extension failed, for example."""
    failing = Fault(operation="VirtualMachines_Update", operation_fate="failed", times=1)
    add_faults(site.person.endpoint, [failing])
    site.person.call("PATCH", site.vm, {"tags": {"team": "red"}})
    clear_faults(site.person.endpoint)
    async with asyncio.timeout(10):
        while site.person.call("GET", site.vm)["properties"]["provisioningState"] != "Failed":
            await asyncio.sleep(0.02)
    disks = (await site.machines.state(site.vm)).disks
    for wanted in ((), disks):
        await site.machines.swap(site.vm, wanted, start=True)
    assert (await site.machines.state(site.vm)).power is Power.RUNNING


async def test_a_disk_of_another_machine_is_not_swapped_in(site: Site) -> None:
    other = site.make_machine("other", luns=(0,))
    theirs = (await site.machines.state(other)).disks[1]
    await patiently(lambda: site.machines.switch_off(site.vm))
    with pytest.raises(Invalid):
        await site.machines.swap(site.vm, [theirs], start=False)


async def test_a_machine_that_is_gone_is_neither_switched_nor_swapped(site: Site) -> None:
    site.person.call("DELETE", site.vm)
    with pytest.raises(SourceGone):
        await site.machines.switch_off(site.vm)
    with pytest.raises(SourceGone):
        await site.machines.swap(site.vm, [], start=True)


@pytest.mark.parametrize("operation", ["VirtualMachines_Deallocate", "VirtualMachines_Update"])
async def test_work_that_takes_its_time_is_put_off(
    site: Site, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.azure.arm.OPERATION_SECONDS", 0.2)
    [new] = await restored(site, "back", data="t")
    add_faults(site.person.endpoint, [Fault(operation=operation, operation_fate="stuck", times=1)])

    async def both() -> None:
        await site.machines.switch_off(site.vm)
        await site.machines.swap(site.vm, [new], start=False)

    with pytest.raises(Deferred):
        await both()
    await patiently(lambda: site.machines.switch_off(site.vm))
    await patiently(lambda: site.machines.swap(site.vm, [new], start=False))
    assert (await site.machines.state(site.vm)).disks[1].disk == new.disk
