"""Ids of managed disks: one way of writing each, and nothing else becomes part of a path."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.arm_ids import (
    ArmId,
    ArmScope,
    DiskPointId,
    PointId,
    compute_scope,
    disk_id,
    disk_point_id,
    is_arm_id,
    is_backup_group,
    is_machine_id,
    is_subnet,
    machine_id,
    network_id,
    point_id,
    readable_id,
    snapshot_id,
    subscription_id,
)
from shared.model.errors import Invalid

SUBSCRIPTION = "0F0F0F0F-1111-2222-3333-44444444AAAA"
DISK = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/My-Group/providers/Microsoft.Compute/disks/Os.1"
)

names = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=30).filter(
    lambda name: name[0].isalnum() and (name[-1].isalnum() or name[-1] == "_")
)
groups = st.text(string.ascii_letters + string.digits + "_-.()", min_size=1, max_size=30).filter(
    lambda group: not group.endswith(".")
)


def test_an_id_is_kept_in_lower_case() -> None:
    assert disk_id(DISK) == ArmId(SUBSCRIPTION.lower(), "my-group", "disks", "os.1")
    assert str(disk_id(DISK)) == DISK.lower()
    assert disk_id(DISK.upper()) == disk_id(DISK.lower())


@given(groups, names)
def test_what_is_written_is_read(group: str, name: str) -> None:
    text = DISK.replace("My-Group", group).replace("Os.1", name)
    found = disk_id(text)
    assert disk_id(str(found)) == found
    assert (found.group, found.name) == (group.lower(), name.lower())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "os.vhd",
        "https://h/c/b",
        "/subscriptions/1/x",
        f"{DISK}/",
        f"{DISK}?sig=secret",
        f"{DISK}#x",
        f"{DISK}/beginGetAccess",
        f" {DISK}",
        f"{DISK}\n",
        DISK.replace("Os.1", ".."),
        DISK.replace("Os.1", "a%2Fb"),
        DISK.replace("Os.1", "x" * 81),
        DISK.replace("My-Group", ".."),
        DISK.replace("My-Group", "a/b"),
        DISK.replace("/disks/", "/virtualMachines/"),
        DISK.replace("/disks/", "/snapshots/"),
        DISK.replace("Compute", "Storage"),
        DISK.replace(SUBSCRIPTION, "me"),
    ],
)
def test_what_is_no_disk_s_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        disk_id(text)
    assert "secret" not in str(refusal.value)


def test_a_snapshot_s_id_is_another_kind() -> None:
    assert snapshot_id(DISK.replace("/disks/", "/snapshots/")).kind == "snapshots"
    with pytest.raises(Invalid):
        snapshot_id(DISK)


def test_a_scope_is_a_subscription_or_a_group() -> None:
    whole = f"/subscriptions/{SUBSCRIPTION}"
    assert compute_scope(whole) == compute_scope(f"{whole}/") == ArmScope(SUBSCRIPTION.lower())
    assert str(compute_scope(f"{whole}/resourceGroups/G")) == f"{whole}/resourcegroups/g".lower()
    for text in (DISK, "/subscriptions/", f"{whole}/resourceGroups/", f"{whole}/providers/x"):
        with pytest.raises(Invalid):
            compute_scope(text)


def test_a_scope_of_machines() -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/G"
    machines = ArmScope(SUBSCRIPTION.lower(), "g", machines=True)
    for behind in ("/virtualMachines", "/providers/Microsoft.Compute/virtualMachines/"):
        assert compute_scope(f"{group}{behind}") == machines
    assert compute_scope(str(machines)) == machines
    assert compute_scope(f"/subscriptions/{SUBSCRIPTION}/virtualMachines").machines
    with pytest.raises(Invalid):
        compute_scope(f"{group}/virtualMachines/vm1")


def test_a_machine_s_id_is_no_disk_s() -> None:
    machine = DISK.replace("/disks/", "/virtualMachines/")
    assert machine_id(machine) == ArmId(SUBSCRIPTION.lower(), "my-group", "virtualmachines", "os.1")
    assert str(machine_id(machine)) == machine.lower()
    assert is_machine_id(machine)
    assert not is_machine_id(DISK)
    assert not is_machine_id(f"{machine}/extensions/x")
    with pytest.raises(Invalid):
        machine_id(DISK)


def test_a_restore_point_and_its_disks() -> None:
    point = DISK.replace("/disks/Os.1", "/restorePointCollections/C/restorePoints/P_1")
    id_ = PointId(SUBSCRIPTION.lower(), "my-group", "c", "p_1")
    assert point_id(point) == id_
    assert id_.names == ("my-group", "c", "p_1")
    disk = f"{point}/diskRestorePoints/Os.1_{'0' * 36}"
    assert disk_point_id(disk) == DiskPointId(id_, f"os.1_{'0' * 36}") == readable_id(disk)
    assert str(disk_point_id(disk)) == disk.lower()
    assert disk_point_id(disk).names == ("my-group", "c", "p_1", f"os.1_{'0' * 36}")
    assert readable_id(DISK.replace("/disks/", "/snapshots/")).names == ("my-group", "os.1")
    for read, wrong in ((point_id, disk), (disk_point_id, point), (readable_id, DISK)):
        with pytest.raises(Invalid):
            read(wrong)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("AzureBackupRG_westeurope_1", True),
        ("azurebackuprg_WestUS2_12", True),
        ("AzureBackupRG_westeurope", False),
        ("AzureBackupRG__1", False),
        ("my-AzureBackupRG_westeurope_1", False),
        ("AzureBackupRG_westeurope_1_old", False),
    ],
)
def test_where_recovery_services_keep_restore_points(name: str, is_one: bool) -> None:
    assert is_backup_group(name) is is_one


def test_a_network_s_id() -> None:
    network = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/G/providers/Microsoft.Network"
    subnet = f"{network}/virtualNetworks/Net/subnets/Apps"
    assert network_id(subnet) == subnet.lower()
    assert is_subnet(network_id(subnet))
    assert not is_subnet(network_id(f"{network}/networkInterfaces/nic"))
    for text in ("", DISK, f"{network}/virtualNetworks/Net", f"{subnet}?sig=secret"):
        with pytest.raises(Invalid) as refusal:
            network_id(text)
        assert "secret" not in str(refusal.value)


def test_an_id_is_told_from_a_url() -> None:
    assert is_arm_id(DISK)
    assert is_arm_id(DISK.upper())
    assert not is_arm_id("https://h/subscriptions/x")
    assert not is_arm_id("")


def test_a_subscription_has_an_id() -> None:
    assert subscription_id(f" {SUBSCRIPTION} ") == SUBSCRIPTION.lower()
    with pytest.raises(Invalid):
        subscription_id("production")
