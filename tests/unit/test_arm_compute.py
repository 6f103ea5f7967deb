"""Microsoft.Compute in the fake ARM: its pure parts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from local.arm.answers import ArmError
from local.arm.compute.disks import asked_for, disk_state, sized
from local.arm.compute.footer import footer, is_footer
from local.arm.compute.kinds import Terms, check_name, required_location
from local.arm.compute.points import consistency_of
from local.arm.compute.skus import GIB, performance, sku_tier, whole_gib
from local.arm.compute.snapshot_limits import refuse_over_limits
from local.arm.compute.snapshots import completion_percent, hydration
from local.arm.compute.vms import shouted
from local.arm.shelf import Resource

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def resource(inner: Mapping[str, Any] | None = None, **properties: Any) -> Resource:
    body = {"sku": {"name": "Premium_LRS"}, "properties": properties}
    return Resource("/x/disks/d1", body, NOW, inner=inner or {})


def test_a_footer_checks_itself() -> None:
    block = footer(GIB, UUID(int=7))
    assert len(block) == 512
    assert is_footer(block)
    stored = int.from_bytes(block[64:68], "big")
    assert stored == ~sum(block[:64] + block[68:]) & 0xFFFFFFFF
    assert int.from_bytes(block[48:56], "big") == GIB
    assert block[60:64] == (2).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("size_bytes", "geometry"),
    [(20 * 1024**2, (602, 4, 17)), (GIB, (2080, 16, 63)), (4096 * GIB, (65535, 16, 255))],
)
def test_a_footers_geometry_is_the_specifications(
    size_bytes: int, geometry: tuple[int, int, int]
) -> None:
    block = footer(size_bytes, UUID(int=7))
    assert (int.from_bytes(block[56:58], "big"), block[58], block[59]) == geometry


@pytest.mark.parametrize(
    ("sku", "size_gib", "tier", "iops"),
    [
        ("Premium_LRS", 1, "P1", 120),
        ("Premium_LRS", 10, "P3", 120),
        ("Premium_LRS", 128, "P10", 500),
        ("Premium_LRS", 33000, "P80", 20000),
        ("Standard_LRS", 10, None, 500),
        ("PremiumV2_LRS", 10, None, 3000),
    ],
)
def test_size_and_sku_decide_the_tier(sku: str, size_gib: int, tier: str | None, iops: int) -> None:
    found = performance(sku, size_gib)
    assert (found.tier, found.iops) == (tier, iops)


def test_a_part_of_a_gibibyte_is_sold_as_one() -> None:
    assert (whole_gib(GIB), whole_gib(GIB + 512)) == (1, 2)
    assert sized("Standard_LRS", GIB + 512)["diskSizeGB"] == 2
    assert [sku_tier(sku) for sku in ("Premium_ZRS", "StandardSSD_LRS", "UltraSSD_LRS")] == [
        "Premium",
        "Standard",
        "Ultra",
    ]


def test_what_the_service_decides_is_not_taken_from_a_caller() -> None:
    given = {"uniqueId": "mine", "diskIOPSReadWrite": 9, "diskSizeGB": 4}
    assert asked_for({"properties": given}) == {"diskSizeGB": 4}
    fast = {"sku": {"name": "PremiumV2_LRS"}, "properties": given}
    assert asked_for(fast) == {"diskIOPSReadWrite": 9, "diskSizeGB": 4}


@pytest.mark.parametrize(
    ("inner", "state"),
    [
        ({}, "Unattached"),
        ({"uploading": True}, "ReadyToUpload"),
        ({"attached_as": "Reserved"}, "Reserved"),
        ({"grant_ends": (NOW + timedelta(seconds=1)).isoformat()}, "ActiveSAS"),
        ({"grant_ends": NOW.isoformat()}, "Unattached"),
        (
            {"uploading": True, "grant_ends": (NOW + timedelta(seconds=1)).isoformat()},
            "ActiveUpload",
        ),
    ],
)
def test_the_state_of_a_disk(inner: dict[str, Any], state: str) -> None:
    assert disk_state(resource(inner), NOW) == state


def test_the_seventh_snapshot_passes_and_the_eighth_waits_for_the_first_to_age() -> None:
    taken = [NOW - timedelta(seconds=280 - 10 * number) for number in range(7)]
    refuse_over_limits("d1", taken[:6], 6, NOW, Terms())
    with pytest.raises(ArmError) as refused:
        refuse_over_limits("d1", taken, 7, NOW, Terms())
    assert (refused.value.status, refused.value.retry_after_seconds) == (429, 20)
    refuse_over_limits("d1", taken, 7, NOW + timedelta(seconds=20), Terms())


def test_a_disk_is_full_of_snapshots() -> None:
    refuse_over_limits("d1", [], 499, NOW, Terms())
    with pytest.raises(ArmError, match="limit of 500"):
        refuse_over_limits("d1", [], 500, NOW, Terms())


def test_a_copy_arrives_bit_by_bit() -> None:
    seconds = {"CopyStart": 200.0, "slow": 100.0}
    assert hydration("Copy", resource(), NOW, seconds) == {}
    copied = resource(hydration("CopyStart", resource(), NOW, seconds))
    seen = [completion_percent(copied, NOW + timedelta(seconds=each)) for each in (0, 100, 200)]
    assert seen == [0.0, 50.0, 100.0]
    assert completion_percent(resource(), NOW) is None


@pytest.mark.parametrize("name", ["disk_1", "a", "d" * 80, "a.b-c"])
def test_names_that_azure_takes(name: str) -> None:
    check_name(name, "diskName")


@pytest.mark.parametrize("name", ["", "_d", "d-", "d" * 81, "d d", "dä"])
def test_names_that_azure_refuses(name: str) -> None:
    with pytest.raises(ArmError, match="validation rule"):
        check_name(name, "diskName")


def test_a_region_has_one_spelling() -> None:
    assert required_location({"location": "West US"}) == "westus"
    with pytest.raises(ArmError, match="LocationRequired"):
        required_location({})


def machine(os_type: str, **inner: Any) -> Resource:
    guest = {"power": "running", "agent_ready": True, "network": True, **inner}
    return resource(guest, storageProfile={"osDisk": {"osType": os_type}})


@pytest.mark.parametrize(
    ("vm", "asked", "mode", "fails"),
    [
        (machine("Windows"), None, "ApplicationConsistent", False),
        (machine("Linux"), None, "FileSystemConsistent", False),
        (machine("Linux", agent_ready=False), None, "FileSystemConsistent", True),
        (machine("Linux", network=False), None, "FileSystemConsistent", True),
        (machine("Windows", power="deallocated"), None, "ApplicationConsistent", True),
        (machine("Windows", power="deallocated"), "CrashConsistent", "CrashConsistent", False),
    ],
)
def test_consistency_is_what_the_guest_can_give(
    vm: Resource, asked: str | None, mode: str, fails: bool
) -> None:
    found = consistency_of(vm, asked)
    assert (found.mode, found.error is not None) == (mode, fails)


def test_crash_consistency_alone_can_be_asked_for() -> None:
    with pytest.raises(ArmError, match="ApplicationConsistent"):
        consistency_of(machine("Windows"), "ApplicationConsistent")


def test_a_groups_name_is_shouted_and_nothing_else() -> None:
    body = {"id": "/subscriptions/s/resourceGroups/my-rg/providers/P/t/n", "name": "n"}
    assert shouted(body)["id"] == "/subscriptions/s/resourceGroups/MY-RG/providers/P/t/n"
