"""Machines and restore points on the wire, and the names, blueprints and refusals of ours."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.azure.machines.blueprints import blueprint, interfaces_of, machine_body
from shared.azure.machines.naming import collection_name, point_name, tag_of_point
from shared.azure.machines.refusals import failed, refused
from shared.azure.machines.swapping import swapped
from shared.azure.machines.wire import listed_of, machine_of, point_disks
from shared.model.arm_ids import machine_id
from shared.model.deferral import Deferred
from shared.model.errors import GuestFailed, Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.machine import OS_LUN, Consistency, MachineDisk, Os, Power

GROUP = "/subscriptions/0f0f0f0f-1111-2222-3333-444444444444/resourceGroups/RG"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
VM = f"{COMPUTE}/virtualMachines/App"
POINT = f"{COMPUTE}/restorePointCollections/c/restorePoints/vl-app_backup-1"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
GIBIBYTE = 1024**3


def entry(name: str, **more: Any) -> dict[str, Any]:
    managed = {"id": f"{COMPUTE}/disks/{name}", "storageAccountType": "Premium_LRS"}
    return {"name": name, "managedDisk": managed, "diskSizeGB": 4, **more}


def body(**properties: Any) -> dict[str, Any]:
    profile = {"osDisk": entry("os", osType="Linux"), "dataDisks": [entry("d3", lun=3)]}
    given = {"vmId": "ABC-1", "storageProfile": profile, "provisioningState": "Succeeded"}
    return {"id": VM, "location": "westeurope", "properties": given | properties}


def view(power: str, **more: Any) -> dict[str, Any]:
    return {"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": power}], **more}


@pytest.mark.parametrize(
    ("instance", "power"),
    [
        (view("PowerState/running"), Power.RUNNING),
        (view("PowerState/stopped"), Power.STOPPED),
        (view("PowerState/deallocated"), Power.DEALLOCATED),
        (view("PowerState/deallocating"), Power.CHANGING),
        ({}, Power.CHANGING),
    ],
)
def test_a_machine_s_power(instance: dict[str, Any], power: Power) -> None:
    assert machine_of(body(instanceView=instance)).power is power


def test_a_machine_that_tells_little() -> None:
    """No view, no size, no zone: what is not known is empty, and no agent is no ready one."""
    machine = machine_of(body())
    assert (machine.agent.ready, machine.agent.version, machine.size, machine.zone) == (
        False, "", "", "",
    )  # fmt: skip
    assert [(each.lun, each.disk.rpartition("/")[2]) for each in machine.disks] == [
        (OS_LUN, "os"),
        (3, "d3"),
    ]
    assert (machine.vm_id, machine.os) == ("abc-1", Os.LINUX)
    assert machine.url == VM.lower()


def test_a_disk_that_is_not_managed_is_refused() -> None:
    profile = {"osDisk": {"name": "os", "vhd": {"uri": "https://a/b"}}}
    with pytest.raises(Invalid, match="managed"):
        machine_of(body(storageProfile=profile))


def test_an_agent_of_unknown_version() -> None:
    status = {"displayStatus": "Not Ready", "message": "not yet populated"}
    agent = {"vmAgentVersion": "Unknown", "statuses": [status]}
    seen = machine_of(body(instanceView=view("PowerState/running", vmAgent=agent))).agent
    assert (seen.ready, seen.version, seen.message) == (False, "", "not yet populated")


def point(*points: str, **entries: Any) -> dict[str, Any]:
    """A finished point whose disks named in `points` have disk restore points."""
    profile = body()["properties"]["storageProfile"]
    every = [profile["osDisk"], *profile["dataDisks"]]
    for each in every:
        each.update(entries)
        if each["name"] in points:
            each["diskRestorePoint"] = {"id": f"{POINT}/diskRestorePoints/{each['name']}_1"}
    metadata = {"vmId": "ABC-1", "storageProfile": profile}
    properties = {
        "sourceMetadata": metadata,
        "consistencyMode": "CrashConsistent",
        "timeCreated": "2026-11-21T02:00:00.1234567+00:00",
        "provisioningState": "Succeeded",
    }
    return {"id": POINT, "name": "vl-app_backup-1", "properties": properties}


def kept(name: str) -> dict[str, Any]:
    id_ = f"{POINT}/diskRestorePoints/{name}_1"
    source = {"sourceResourceId": f"{COMPUTE}/disks/{name}", "sourceUniqueId": "U-1"}
    return {id_.lower(): {"id": id_, "properties": source}}


def test_disks_without_a_restore_point_were_left_out() -> None:
    listed = listed_of(DiskUrl(VM.lower()), point("d3"), NOW)
    assert (listed.tag, listed.consistency) == ("app.backup-1", Consistency.CRASH)
    [disk] = point_disks(listed, kept("d3"), {})
    assert (disk.lun, disk.snapshot.size_bytes) == (3, 4 * GIBIBYTE)
    assert disk.snapshot.chain == f"{COMPUTE}/disks/d3#u-1".lower()
    assert disk.snapshot.taken_at == datetime(2026, 11, 21, 2, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("exact", "size_bytes"),
    [
        (4 * GIBIBYTE, 4 * GIBIBYTE),
        (4 * GIBIBYTE - 512, 4 * GIBIBYTE - 512),
        (3 * GIBIBYTE + 1024**2, 3 * GIBIBYTE + 1024**2),
        (9 * GIBIBYTE, 4 * GIBIBYTE),  # it has grown since
        (0, 4 * GIBIBYTE),
    ],
)
def test_a_disk_s_size_is_exact_where_somebody_tells(exact: int, size_bytes: int) -> None:
    listed = listed_of(DiskUrl(VM.lower()), point("d3"), NOW)
    disks = {f"{COMPUTE}/disks/d3".lower(): {"properties": {"diskSizeBytes": exact}}}
    [disk] = point_disks(listed, kept("d3"), disks)
    assert disk.snapshot.size_bytes == size_bytes


def test_a_size_that_nobody_tells() -> None:
    listed = listed_of(DiskUrl(VM.lower()), point("d3", diskSizeGB=None), NOW)
    with pytest.raises(SourceGone, match="d3"):
        point_disks(listed, kept("d3"), {})


def test_an_unfinished_point_tells_little() -> None:
    bare = {"id": POINT, "properties": {"provisioningState": "Creating"}}
    listed = listed_of(DiskUrl(VM.lower()), bare, NOW)
    assert (listed.is_whole, listed.disks, listed.taken_at) == (False, (), NOW)
    assert listed.consistency is Consistency.CRASH


tags = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}\.[a-z]+-[a-z0-9]{1,20}", fullmatch=True)


@given(tags)
def test_a_tag_is_read_off_the_point_s_name(tag: str) -> None:
    assert tag_of_point(point_name(tag)) == tag
    assert tag_of_point(point_name(tag).upper()) == tag


@pytest.mark.parametrize("tag", ["", "a_b", "a.b.c", "A.b", "a b", f"a.{'b' * 80}"])
def test_what_no_point_can_be_named_for(tag: str) -> None:
    with pytest.raises(Invalid):
        point_name(tag)


@pytest.mark.parametrize("name", ["", "rp1", "AzureBackup_vm_1", "vl-", "vl-a_b_c"])
def test_a_point_of_somebody_else(name: str) -> None:
    assert tag_of_point(name) == ""


def test_a_machine_made_again_has_another_collection() -> None:
    vm = machine_id(VM)
    assert collection_name(vm, "ABC-1") == collection_name(vm, "abc-1")
    assert collection_name(vm, "abc-1") != collection_name(vm, "abc-2")
    long_named = machine_id(VM + "x" * 60)
    assert len(collection_name(long_named, "abc-1")) <= 80


def machine_like(**properties: Any) -> str:
    metadata = body(**properties)["properties"]
    nic = {"id": f"{GROUP}/providers/Microsoft.Network/networkInterfaces/Nic"}
    network = {"networkProfile": {"networkInterfaces": [nic]}}
    return blueprint(metadata, {**body(**network), "tags": {"team": "blue"}})


OS_DISK = MachineDisk(disk=DiskUrl("/d/os"), lun=OS_LUN)


def test_a_blueprint_keeps_no_secret_and_no_disk() -> None:
    secret = {"osProfile": {"adminUsername": "root"}, "userData": "c2VjcmV0"}
    text = machine_like(**secret, licenseType="Windows_Server")
    assert not [each for each in ("root", "c2VjcmV0", "/disks/") if each in text]
    assert json.loads(text)["properties"] == {"licenseType": "Windows_Server"}
    assert [each.rpartition("/")[2] for each in interfaces_of(text)] == ["nic"]


def test_a_new_machine_keeps_the_places_of_its_disks() -> None:
    profile = {
        "osDisk": entry("os", osType="Linux", caching="ReadWrite"),
        "dataDisks": [entry("d3", lun=3, caching="None", writeAcceleratorEnabled=True)],
        "diskControllerType": "NVMe",
    }
    text = machine_like(storageProfile=profile)
    data = MachineDisk(disk=DiskUrl("/d/data"), lun=3)
    made = machine_body(text, [OS_DISK, data], {"properties": {}})
    storage = made["properties"]["storageProfile"]
    assert storage["diskControllerType"] == "NVMe"
    assert storage["osDisk"] == {
        "osType": "Linux", "caching": "ReadWrite", "createOption": "Attach",
        "deleteOption": "Detach", "managedDisk": {"id": "/d/os"},
    }  # fmt: skip
    assert storage["dataDisks"] == [{
        "lun": 3, "caching": "None", "writeAcceleratorEnabled": True, "createOption": "Attach",
        "deleteOption": "Detach", "managedDisk": {"id": "/d/data"},
    }]  # fmt: skip
    assert made["tags"] == {"team": "blue"}


@pytest.mark.parametrize(
    ("disk", "kept_security"),
    [
        ({"securityProfile": {"securityType": "TrustedLaunch"}},
         {"securityType": "TrustedLaunch", "encryptionAtHost": True}),
        ({}, {"encryptionAtHost": True}),
    ],
)  # fmt: skip
def test_a_machine_is_trusted_where_its_disk_is(
    disk: dict[str, Any], kept_security: dict[str, Any]
) -> None:
    security = {"securityType": "TrustedLaunch", "encryptionAtHost": True}
    text = machine_like(securityProfile=security)
    made = machine_body(text, [OS_DISK], {"properties": disk})
    assert made["properties"]["securityProfile"] == kept_security


def test_without_a_blueprint_nothing_is_built() -> None:
    with pytest.raises(Invalid, match="what the machine was"):
        machine_body("", [OS_DISK], {"properties": {}})


def test_only_what_is_swapped_changes() -> None:
    profile = {
        "osDisk": entry("os", osType="Linux", createOption="FromImage", image={"uri": "x"}),
        "dataDisks": [entry("d3", lun=3, caching="ReadOnly"), entry("d5", lun=5)],
    }
    new = MachineDisk(disk=DiskUrl(f"{COMPUTE}/disks/new".lower()), lun=3)
    changed = swapped(profile, [new])
    assert "osDisk" not in changed
    assert changed["dataDisks"][1] == profile["dataDisks"][1]
    assert changed["dataDisks"][0] == {
        "lun": 3, "caching": "ReadOnly", "createOption": "Attach", "deleteOption": "Detach",
        "name": "new", "managedDisk": {"id": new.disk},
    }  # fmt: skip
    system = MachineDisk(disk=new.disk, lun=OS_LUN)
    assert swapped(profile, [system])["osDisk"] == {
        "osType": "Linux", "createOption": "FromImage", "deleteOption": "Detach",
        "name": "new", "managedDisk": {"id": new.disk},
    }  # fmt: skip


def test_refusals_that_are_only_for_now() -> None:
    busy = Invalid("a concurrent 'Create RestorePoint' operation", code="VMRestorePointClientError")
    assert isinstance(refused(busy), Deferred)
    deleting = Invalid("Restore point 'p' is being deleted.", code="Conflict")
    assert isinstance(refused(deleting), Deferred)
    rate = refused(Transient("too many", retry_after=90, busy=True))
    assert isinstance(rate, Deferred)
    assert rate.retry_after == 90
    shared = Invalid("Shared disks is not supported", code="VMRestorePointClientError")
    assert refused(shared) is shared
    cut = Transient("connection lost")
    assert refused(cut) is cut


def test_who_failed() -> None:
    """The guest, where it had a part in it; and its code goes on."""
    error = Transient("no answer", code="VMAgentStatusCommunicationError")
    guest = failed("vm", Consistency.APPLICATION, error)
    assert isinstance(guest, GuestFailed)
    assert guest.code == "VMAgentStatusCommunicationError"
    crash = failed("vm", Consistency.CRASH, error)
    assert isinstance(crash, Transient)
    assert not isinstance(crash, GuestFailed)
    assert isinstance(failed("vm", Consistency.FILE_SYSTEM), GuestFailed)
    limit = Transient("the maximum allowed snapshot limit of one or more disk blobs")
    assert isinstance(failed("vm", Consistency.APPLICATION, limit), Deferred)
