"""A managed disk, protected by its id: backed up, restored to a new disk and to a page blob."""

from uuid import uuid4

import pytest

from local.arm.faults import Fault
from local.storage.controls import Fault as StorageFault
from shared.model.ids import ItemId
from tests.e2e.managed import BLOCK, GIBIBYTE, GROUP, Cloud, ManagedDisk
from tests.e2e.rig import POLICY, Rig, until

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
LAST = GIBIBYTE - BLOCK
VAULT = "machines"
"""Its extents are large, as in life: the rig's own would cut a GiB into 128."""


@pytest.fixture
def cloud(rig: Rig) -> Cloud:
    rig.vaultline("vault", "create", VAULT)
    return Cloud(rig)


def test_a_managed_disk_is_backed_up_and_restored(rig: Rig, cloud: Cloud) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    for number, at in enumerate((0, 5 * BLOCK, LAST)):
        disk.write(at, number)
    item = _protected(rig, disk)
    assert rig.item(item)["source"] == disk.id.lower()

    cloud.forget_calls()
    full = rig.backup_point(item)
    assert full["kind"] == "full"
    calls = _ours(cloud)
    assert sum(calls.values()) <= 4, calls

    before = {at: disk.content(at, BLOCK) for at in (0, 5 * BLOCK, LAST)}
    disk.write(9 * BLOCK, 9)
    disk.clear(5 * BLOCK)
    cloud.forget_calls()
    increment = rig.backup_point(item)
    assert increment["kind"] == "incremental"
    assert increment["copied_bytes"] == BLOCK
    calls = _ours(cloud)
    assert sum(calls.values()) <= 6, calls

    disk.write(20 * BLOCK, 20)
    blob = rig.new_url()
    job = rig.ended(rig.ask_restore(item, full["id"], blob))
    assert job["status"] == "Completed", job
    restored = rig.blob(blob)
    for at, content in before.items():
        assert restored.download_blob(offset=at, length=BLOCK).readall() == content

    target = cloud.id_of(f"new-{uuid4().hex[:6]}", "restored")
    job = rig.ended(rig.ask_restore(item, increment["id"], target))
    assert job["status"] == "Completed", job
    made = cloud.opened(target)
    properties = cloud.call("GET", target)["properties"]
    assert (properties["diskState"], properties["diskSizeBytes"]) == ("Unattached", GIBIBYTE)
    span = 32 * BLOCK
    now = disk.content(0, 20 * BLOCK)  # what was written since the point lies behind
    assert made.content(0, 20 * BLOCK) == now
    assert made.content(20 * BLOCK, span - 20 * BLOCK) == bytes(span - 20 * BLOCK)
    assert made.content(LAST, BLOCK) == disk.content(LAST, BLOCK)
    assert made.content(span, 1024 * BLOCK) == bytes(1024 * BLOCK)


def test_managed_disks_are_discovered_by_group_and_tag(rig: Rig, cloud: Cloud) -> None:
    mark = uuid4().hex[:6]
    wanted, other = cloud.disk(f"a-{mark}", {"backup": mark}), cloud.disk(f"b-{mark}")
    rig.vaultline("discover", cloud.group(GROUP), "--tag", f"backup={mark}", "--wait")

    def known() -> set[str]:
        return {each["url"] for each in rig.vaultline("disks", "--prefix", "/subscriptions/")}

    # Each disk that is found is registered by a message of its own.
    until(lambda: wanted.id.lower() in known(), "the disk to be registered", rig.story)
    assert other.id.lower() not in known()


def test_a_disk_that_no_machine_has_is_not_overwritten_but_a_new_one_offered(
    rig: Rig, cloud: Cloud
) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    disk.write(0, 1)
    item = _protected(rig, disk)
    point = rig.backup_point(item)
    job = rig.ended(rig.ask_restore(item, point["id"], "original"))
    assert job["status"] == "Failed"
    assert job["error"]["code"] == "TargetInUse"
    assert "new disk" in job["error"]["recommended_action"]


def test_in_place_the_machine_gets_another_disk_and_protection_goes_on(
    rig: Rig, cloud: Cloud
) -> None:
    mark = uuid4().hex[:6]
    disk = cloud.disk(f"data-{mark}")
    disk.write(0, 1)
    disk.write(LAST, 2)
    before = disk.content(0, 16 * BLOCK)
    machine = cloud.machine(f"vm-{mark}", 4, disk)
    item = _protected(rig, disk)
    point = rig.backup_point(item)
    disk.write(3 * BLOCK, 3)
    lost = disk.content(0, 16 * BLOCK)

    job = rig.ended(rig.ask_restore(item, point["id"], "original"))
    assert job["status"] == "Completed", job
    new = cloud.opened(cloud.person().disks_of(machine)[4])
    assert new.id.lower() != disk.id.lower()
    assert new.content(0, 16 * BLOCK) == before
    assert cloud.opened(disk.id).content(0, 16 * BLOCK) == lost, "the old disk was written to"
    power = cloud.call("GET", f"{machine}/instanceView", version="2024-07-01")["statuses"]
    assert "PowerState/running" in [each["code"] for each in power]
    assert rig.item(item)["source"] == new.id.lower()
    (told,) = job["restored_disks"]
    assert (told["disk"], told["replaced"]) == (new.id.lower(), disk.id.lower())

    new.write(9 * BLOCK, 9)
    increment = rig.backup_point(item)
    assert (increment["kind"], increment["copied_bytes"]) == ("incremental", BLOCK)
    _assert_restorable(rig, item, increment["id"], new)


def test_a_disk_of_another_region_and_subscription_than_its_vault(rig: Rig, cloud: Cloud) -> None:
    """Its snapshots stay with it; what is copied into the vault, and out of it, is bytes alone."""
    mark = uuid4().hex[:6]
    disk = cloud.disk_abroad(f"far-{mark}", "northeurope")
    disk.write(0, 1)
    disk.write(LAST, 2)
    item = _protected(rig, disk)
    rig.backup_point(item)
    disk.write(7 * BLOCK, 7)
    increment = rig.backup_point(item)
    assert increment["kind"] == "incremental"
    target = cloud.id_of(f"far-{mark}", "restored")
    job = rig.ended(rig.ask_restore(item, increment["id"], target))
    assert job["status"] == "Completed", job
    made, shown = cloud.opened(target), cloud.call("GET", target)
    assert made.content(0, 16 * BLOCK) == disk.content(0, 16 * BLOCK)
    assert made.content(LAST, BLOCK) == disk.content(LAST, BLOCK)
    assert (shown["location"], shown["sku"]["name"]) == ("westeurope", "Premium_LRS")
    assert not shown.get("zones"), "a zone means something in its own region only"


def test_a_cancelled_restore_leaves_neither_disk_nor_leave_to_write(rig: Rig, cloud: Cloud) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    for number in range(6):
        disk.write(number * 128 * BLOCK, number)
    item = _protected(rig, disk)
    point = rig.backup_point(item)
    target = cloud.id_of(f"new-{uuid4().hex[:6]}", "restored")
    slow = StorageFault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=1500)
    with rig.storage_faults(slow) as counts:
        job = rig.ask_restore(item, point["id"], target)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        rig.vaultline("cancel", job)
        assert rig.ended(job)["status"] == "Cancelled"
    until(lambda: target.lower() not in _disks(cloud), "the new disk to go", rig.story)


@pytest.mark.fault(47)
def test_a_premium_v2_disk_is_copied_once_its_snapshot_is_whole(rig: Rig, cloud: Cloud) -> None:
    """The snapshot is taken at once; its plan comes again when there is something to read."""
    disk = cloud.disk(f"fast-{uuid4().hex[:6]}", sku="PremiumV2_LRS")
    disk.write(3 * BLOCK, 3)
    item = _protected(rig, disk)
    cloud.forget_calls()
    point = rig.backup_point(item)
    looks = cloud.calls()["Snapshots_Get"]
    assert looks > 1, "it was read at once"
    _assert_restorable(rig, item, point["id"], disk)


@pytest.mark.fault(46, 49)
def test_a_backup_that_resource_manager_puts_off_is_made_later(rig: Rig, cloud: Cloud) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    disk.write(0, 1)
    item = _protected(rig, disk)
    throttled = Fault(
        operation="Snapshots_CreateOrUpdate",
        status=429,
        error_code="TooManyRequests",
        retry_after=6,
        times=3,
    )
    with cloud.faults(throttled):
        point = rig.backup_point(item)
    assert len(rig.points(item)) == 1
    _assert_restorable(rig, item, point["id"], disk)


@pytest.mark.fault(45, 43)
def test_leave_that_is_revoked_in_mid_copy_is_asked_for_again(rig: Rig, cloud: Cloud) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    for number in range(6):
        disk.write(number * 128 * BLOCK, number)
    item = _protected(rig, disk)
    slow = StorageFault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=1500)
    with rig.storage_faults(slow) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        for name in _granted(cloud):
            cloud.call("POST", f"{cloud.snapshot_id(name)}/endGetAccess")
        assert rig.ended(job)["status"] == "Completed"
    point = rig.points(item)[-1]["id"]
    blob = rig.new_url()
    assert rig.ended(rig.ask_restore(item, point, blob))["status"] == "Completed"
    for number in range(6):
        at = number * 128 * BLOCK
        restored = rig.blob(blob).download_blob(offset=at, length=BLOCK).readall()
        assert restored == disk.content(at, BLOCK)


@pytest.mark.fault(51)
def test_a_locked_group_and_a_disk_that_is_gone_end_the_job_alone(rig: Rig, cloud: Cloud) -> None:
    disk = cloud.disk(f"os-{uuid4().hex[:6]}")
    disk.write(0, 1)
    item = _protected(rig, disk)
    point = rig.backup_point(item)
    content = disk.content(0, BLOCK)
    with cloud.locked(GROUP):
        job = rig.backup(item, "Failed")
    assert job["error"]["code"] == "ScopeLocked"
    assert "lock" in job["error"]["recommended_action"]
    cloud.call("DELETE", disk.id)
    job = rig.backup(item, "Failed")
    assert job["error"]["code"] == "SourceNotFound"
    blob = rig.new_url()
    assert rig.ended(rig.ask_restore(item, point["id"], blob))["status"] == "Completed"
    assert rig.blob(blob).download_blob(offset=0, length=BLOCK).readall() == content


def _protected(rig: Rig, disk: ManagedDisk) -> ItemId:
    told = rig.vaultline("protect", disk.id, "--policy", POLICY, "--vault", VAULT, "--wait")
    return ItemId(told["item_id"])


def _assert_restorable(rig: Rig, item: ItemId, point: str, disk: ManagedDisk) -> None:
    """The disk, which has not been written to since, as a page blob."""
    blob = rig.new_url()
    assert rig.ended(rig.ask_restore(item, point, blob))["status"] == "Completed"
    span = 16 * BLOCK
    assert rig.blob(blob).download_blob(offset=0, length=span).readall() == disk.content(0, span)


def _disks(cloud: Cloud) -> list[str]:
    return [each.lower() for each in cloud.person().list_disks("restored")]


def _granted(cloud: Cloud) -> list[str]:
    """Snapshots that somebody has leave to read."""
    return [
        each["name"] for each in cloud.snapshots() if each["properties"]["diskState"] == "ActiveSAS"
    ]


def _ours(cloud: Cloud) -> dict[str, int]:
    """Requests to Resource Manager but for this test's own listings."""
    calls = cloud.calls()
    calls.pop("Snapshots_ListByResourceGroup", None)
    return calls
