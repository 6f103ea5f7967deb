"""How the fake Recovery Services writes times, durations and sizes: values from the recordings."""

from datetime import UTC, datetime, timedelta

import pytest

from local.arm.recovery import formats
from local.arm.recovery.filters import agrees, read_filter
from local.arm.recovery.names import MachineRef, VaultRef, parse_machine, snapshot_group

MOMENT = datetime(2024, 5, 13, 10, 28, 32, 761067, tzinfo=UTC)


def test_times() -> None:
    assert formats.utc(MOMENT) == "2024-05-13T10:28:32.761067Z"
    assert formats.utc(MOMENT.replace(microsecond=293780)) == "2024-05-13T10:28:32.29378Z"
    assert formats.utc(MOMENT.replace(microsecond=0)) == "2024-05-13T10:28:32Z"
    assert formats.without_zone(MOMENT.replace(microsecond=0)) == "2024-05-13T10:28:32"


@pytest.mark.parametrize(
    ("hour", "written"),
    [(0, "12:00:05 AM"), (10, "10:00:05 AM"), (12, "12:00:05 PM"), (23, "11:00:05 PM")],
)
def test_american_times(hour: int, written: str) -> None:
    moment = datetime(2024, 6, 2, hour, 0, 5, tzinfo=UTC)
    assert formats.american(moment) == f"6/2/2024 {written}"


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (timedelta(0), "PT0S"),
        (timedelta(seconds=30.632916), "PT30.632916S"),
        (timedelta(minutes=7, seconds=36.046014), "PT7M36.046014S"),
        (timedelta(hours=1, seconds=41.256465), "PT1H41.256465S"),
        (timedelta(hours=26), "PT26H"),
        (timedelta(seconds=-5), "PT0S"),
    ],
)
def test_durations(length: timedelta, written: str) -> None:
    assert formats.iso_duration(length) == written


def test_the_rest_of_a_soft_deletion_is_dot_nets() -> None:
    left = timedelta(days=13, hours=23, minutes=59, seconds=42.86)
    assert formats.timespan(left) == "13.23:59:42.86"
    assert formats.timespan(timedelta(hours=1)) == "01:00:00"


def test_sizes() -> None:
    written = [formats.gigabytes(each) for each in (127, 63.5, 119.57)]
    assert written == ["127 GBs", "63.5 GBs", "119.57 GBs"]


def test_names_are_lower_case_and_keep_their_prefix() -> None:
    machine = parse_machine(
        "/subscriptions/s/resourcegroups/RG-One/providers/microsoft.compute/virtualmachines/Vm1"
    )
    assert machine == MachineRef("s", "RG-One", "Vm1")
    assert machine.container_name == "IaasVMContainer;iaasvmcontainerv2;rg-one;vm1"
    vault = VaultRef("s", "g", "v")
    assert vault.item_id(machine).endswith("/protectedItems/VM;iaasvmcontainerv2;rg-one;vm1")
    assert vault.protectable_id(machine).endswith("/vm;iaasvmcontainerv2;rg-one;vm1")
    assert parse_machine("/subscriptions/s/resourceGroups/g") is None


def test_the_groups_of_snapshots() -> None:
    assert snapshot_group("westeurope", None, None, 1) == "AzureBackupRG_westeurope_1"
    assert snapshot_group("westeurope", "RG_prefix", "RG_suffix", 1) == "RG_prefix1RG_suffix"


def test_filters() -> None:
    known = frozenset({"status", "operation"})
    text = {"$filter": "operation eq 'Restore' and status eq 'InProgress'"}
    wanted = read_filter(text, known)
    assert wanted == {"operation": "Restore", "status": "InProgress"}
    assert agrees(wanted, {"operation": "restore", "status": "InProgress"})
    assert not agrees(wanted, {"operation": "Backup", "status": "InProgress"})
    assert read_filter({}, known) == {}
