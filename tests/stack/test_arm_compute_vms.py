"""Virtual machines and restore points on the fake ARM, through the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.compute.models import RestorePoint, VirtualMachine
from azure.storage.blob import BlobClient

from local.arm.compute.kinds import Terms
from local.arm.controls import Guest, change_guest, open_disk
from tests.stack.arm_fixtures import (
    AT_ONCE,
    GROUP,
    REGION,
    SUBSCRIPTION,
    Arm,
    running_arm,
    settings_for,
)
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack

READ = {"access": "Read", "durationInSeconds": 3600}


@pytest.fixture
async def compute(arm: Arm) -> AsyncIterator[ComputeManagementClient]:
    async with arm.compute() as client:
        yield client


async def make_disk(compute: ComputeManagementClient, name: str, **properties: Any) -> str:
    creation = properties.pop("creationData", {"createOption": "Empty"})
    body = {
        "location": REGION,
        "sku": {"name": properties.pop("sku", "Premium_LRS")},
        "properties": {"creationData": creation, "diskSizeGB": 1, **properties},
    }
    disk = await (await compute.disks.begin_create_or_update(GROUP, name, body)).result()
    assert disk.id is not None
    return disk.id


async def make_vm(
    compute: ComputeManagementClient, name: str = "vm1", os_type: str = "Linux"
) -> VirtualMachine:
    """A machine with an OS disk and data disks at LUN 0 and 3."""
    ids = [await make_disk(compute, f"{name}-{part}") for part in ("os", "data0", "data3")]
    os_disk, *data = ids
    places = [
        {"lun": lun, "createOption": "Attach", "managedDisk": {"id": disk}}
        for lun, disk in zip((0, 3), data, strict=True)
    ]
    profile = {
        "osDisk": {"createOption": "Attach", "osType": os_type, "managedDisk": {"id": os_disk}},
        "dataDisks": places,
    }
    body = {
        "location": REGION,
        "tags": {"backup": "gold"},
        "properties": {"hardwareProfile": {"vmSize": "Standard_B1s"}, "storageProfile": profile},
    }
    poller = await compute.virtual_machines.begin_create_or_update(GROUP, name, body)
    return await poller.result()


async def write(arm: Arm, disk: str, content: bytes) -> None:
    inside = await asyncio.to_thread(open_disk, arm.origin, arm.id_of("disks", disk))
    with BlobClient.from_blob_url(inside.url, retry_total=0) as blob:
        blob.upload_page(content.ljust(512, b"."), 0, 512)


async def start_of(url: str, size: int) -> bytes:
    with BlobClient.from_blob_url(url, retry_total=0) as blob:
        content: bytes = blob.download_blob(0, 512).readall()
    return content[:size]


async def guest(arm: Arm, changed: Guest, vm: str = "vm1") -> None:
    await asyncio.to_thread(change_guest, arm.origin, arm.id_of("virtualMachines", vm), changed)


async def make_collection(compute: ComputeManagementClient, arm: Arm, vm: str = "vm1") -> None:
    source = {"id": arm.id_of("virtualMachines", vm)}
    body = {"location": REGION, "properties": {"source": source}}
    await compute.restore_point_collections.create_or_update(GROUP, "rpc", body)


async def take(
    compute: ComputeManagementClient, name: str = "rp1", **properties: Any
) -> RestorePoint:
    body = {"properties": properties}
    return await (await compute.restore_points.begin_create(GROUP, "rpc", name, body)).result()


async def test_a_machine_shows_its_disks_and_its_agent(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    made = await make_vm(compute)
    assert [disk.lun for disk in made.storage_profile.data_disks] == [0, 3]
    seen = await compute.virtual_machines.get(GROUP, "vm1", expand="instanceView")
    assert seen.vm_id == made.vm_id
    assert seen.storage_profile.os_disk.managed_disk.storage_account_type == "Premium_LRS"
    assert seen.instance_view.vm_agent.statuses[0].display_status == "Ready"
    assert [each.code for each in seen.instance_view.statuses] == [
        "ProvisioningState/succeeded",
        "PowerState/running",
    ]
    disk = await compute.disks.get(GROUP, "vm1-data0")
    assert (disk.disk_state, disk.managed_by) == ("Attached", made.id)
    with pytest.raises(HttpResponseError, match="currently attached to running VM"):
        await compute.disks.begin_grant_access(GROUP, "vm1-data0", READ)


async def test_an_agent_that_says_nothing_and_a_machine_that_is_off(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    await guest(arm, Guest(agent_ready=False))
    view = await compute.virtual_machines.instance_view(GROUP, "vm1")
    assert view.vm_agent.statuses[0].display_status == "Not Ready"
    await (await compute.virtual_machines.begin_deallocate(GROUP, "vm1")).result()
    view = await compute.virtual_machines.instance_view(GROUP, "vm1")
    assert (view.vm_agent, view.statuses[-1].code) == (None, "PowerState/deallocated")
    assert (await compute.disks.get(GROUP, "vm1-os")).disk_state == "Reserved"
    await (await compute.virtual_machines.begin_start(GROUP, "vm1")).result()
    assert (await compute.disks.get(GROUP, "vm1-os")).disk_state == "Attached"


async def test_lists_over_a_subscription_shout_the_group(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    [here] = [each async for each in compute.virtual_machines.list(GROUP)]
    [there] = [each async for each in compute.virtual_machines.list_all()]
    assert f"/resourceGroups/{GROUP}/" in here.id
    assert f"/resourceGroups/{GROUP.upper()}/" in there.id


async def test_a_disk_belongs_to_one_machine(arm: Arm, compute: ComputeManagementClient) -> None:
    await make_vm(compute)
    taken = {"lun": 0, "createOption": "Attach"}
    taken["managedDisk"] = {"id": arm.id_of("disks", "vm1-data0")}  # type: ignore[assignment]
    os_disk = {"createOption": "FromImage", "osType": "Linux", "diskSizeGB": 1}
    body = {
        "location": REGION,
        "properties": {"storageProfile": {"osDisk": os_disk, "dataDisks": [taken]}},
    }
    with pytest.raises(HttpResponseError) as refused:
        await compute.virtual_machines.begin_create_or_update(GROUP, "vm2", body)
    assert refused.value.error.code == "ConflictingUserInput"
    assert len([each async for each in compute.disks.list()]) == 3
    with pytest.raises(HttpResponseError, match="attached"):
        await compute.disks.begin_delete(GROUP, "vm1-data0")


async def test_disks_are_swapped_in_place(arm: Arm, compute: ComputeManagementClient) -> None:
    vm = await make_vm(compute)
    new_os, new_data = await make_disk(compute, "new-os"), await make_disk(compute, "new-data")
    vm.storage_profile.os_disk.managed_disk.id = new_os
    vm.storage_profile.os_disk.name = None
    vm.storage_profile.data_disks[0].managed_disk.id = new_data
    vm.storage_profile.data_disks[0].name = None
    with pytest.raises(HttpResponseError, match="deallocate"):
        await compute.virtual_machines.begin_create_or_update(GROUP, "vm1", vm)
    await (await compute.virtual_machines.begin_deallocate(GROUP, "vm1")).result()
    poller = await compute.virtual_machines.begin_create_or_update(GROUP, "vm1", vm)
    swapped = await poller.result()
    assert swapped.storage_profile.os_disk.name == "new-os"
    assert swapped.vm_id == vm.vm_id
    assert (await compute.disks.get(GROUP, "vm1-os")).disk_state == "Unattached"
    assert (await compute.disks.get(GROUP, "vm1-data3")).disk_state == "Reserved"


@pytest.mark.parametrize(
    ("os_type", "asked", "got"),
    [
        ("Linux", {}, "FileSystemConsistent"),
        ("Windows", {}, "ApplicationConsistent"),
        ("Linux", {"consistencyMode": "CrashConsistent"}, "CrashConsistent"),
    ],
)
async def test_the_mode_is_what_the_guest_can_do(
    arm: Arm, compute: ComputeManagementClient, os_type: str, asked: dict[str, str], got: str
) -> None:
    await make_vm(compute, os_type=os_type)
    await make_collection(compute, arm)
    point = await take(compute, **asked)
    assert (point.consistency_mode, point.provisioning_state) == (got, "Succeeded")


async def test_a_point_holds_every_disk_as_it_was(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    for part in ("os", "data0", "data3"):
        await write(arm, f"vm1-{part}", part.encode())
    await make_collection(compute, arm)
    excluded = [{"id": arm.id_of("disks", "vm1-data3")}]
    point = await take(compute, excludeDisks=excluded)
    for part in ("os", "data0"):
        await write(arm, f"vm1-{part}", b"later")
    profile = point.source_metadata.storage_profile
    assert [each.lun for each in profile.data_disks] == [0]
    disk_point = profile.data_disks[0].disk_restore_point.id
    creation = {"createOption": "Restore", "sourceResourceId": disk_point}
    await make_disk(compute, "restored", creationData=creation)
    access = await (await compute.disks.begin_grant_access(GROUP, "restored", READ)).result()
    assert await start_of(access.access_sas, 5) == b"data0"

    name = profile.os_disk.disk_restore_point.id.rpartition("/")[2]
    found = await compute.disk_restore_point.get(GROUP, "rpc", "rp1", name)
    assert found.source_unique_id == (await compute.disks.get(GROUP, "vm1-os")).unique_id
    poller = await compute.disk_restore_point.begin_grant_access(GROUP, "rpc", "rp1", name, READ)
    assert await start_of((await poller.result()).access_sas, 2) == b"os"
    with pytest.raises(HttpResponseError, match="active shared access signature"):
        await compute.restore_points.begin_delete(GROUP, "rpc", "rp1")
    poller = await compute.disk_restore_point.begin_revoke_access(GROUP, "rpc", "rp1", name)
    await poller.result()
    await (await compute.restore_points.begin_delete(GROUP, "rpc", "rp1")).result()
    with pytest.raises(ResourceNotFoundError):
        await compute.restore_points.get(GROUP, "rpc", "rp1")


async def test_a_silent_agent_fails_the_point_and_crash_consistency_does_not_ask_it(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    await make_collection(compute, arm)
    await guest(arm, Guest(agent_ready=False))
    with pytest.raises(HttpResponseError) as refused:
        await take(compute)
    assert refused.value.error.code == "VMAgentStatusCommunicationError"
    failed = await compute.restore_points.get(GROUP, "rpc", "rp1", expand="instanceView")
    assert failed.provisioning_state == "Failed"
    assert failed.instance_view.disk_restore_points == []
    point = await take(compute, "rp2", consistencyMode="CrashConsistent")
    assert point.provisioning_state == "Succeeded"


async def test_points_come_one_at_a_time_and_three_an_hour(storage: RunningStorage) -> None:
    terms = Terms(pace=replace(AT_ONCE, restore_point=100))
    settings = settings_for(storage, terms=terms, factor=100)
    async with running_arm(settings) as arm, arm.compute() as compute:
        await make_vm(compute)
        await make_collection(compute, arm)
        poller = await compute.restore_points.begin_create(GROUP, "rpc", "rp0", {})
        with pytest.raises(HttpResponseError, match="concurrent"):
            await compute.restore_points.begin_create(GROUP, "rpc", "rp9", {})
        assert (await poller.result()).provisioning_state == "Succeeded"
        for number in (1, 2):
            await take(compute, f"rp{number}")
        with pytest.raises(HttpResponseError) as refused:
            await compute.restore_points.begin_create(GROUP, "rpc", "rp3", {})
        assert refused.value.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) <= 36


async def test_a_machine_has_so_many_points(storage: RunningStorage) -> None:
    terms = Terms(pace=AT_ONCE, points_per_vm=1, points_per_hour=9)
    async with running_arm(settings_for(storage, terms=terms)) as arm, arm.compute() as compute:
        await make_vm(compute)
        await make_collection(compute, arm)
        await take(compute)
        with pytest.raises(HttpResponseError, match="cannot exceed 1"):
            await take(compute, "rp2")
        with pytest.raises(HttpResponseError, match="already exists"):
            await take(compute)
        await (await compute.restore_points.begin_delete(GROUP, "rpc", "rp1")).result()
        await take(compute, "rp2")


async def test_a_collection_goes_with_its_points(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    await make_collection(compute, arm)
    await take(compute)
    found = await compute.restore_point_collections.get(GROUP, "rpc", expand="restorePoints")
    assert [each.name for each in found.restore_points] == ["rp1"]
    await (await compute.restore_point_collections.begin_delete(GROUP, "rpc")).result()
    with pytest.raises(ResourceNotFoundError):
        await compute.restore_points.get(GROUP, "rpc", "rp1")


async def test_a_point_is_copied_to_another_region(storage: RunningStorage) -> None:
    terms = Terms(pace=replace(AT_ONCE, region_copy=60))
    settings = settings_for(storage, terms=terms, factor=30)
    async with running_arm(settings) as arm, arm.compute() as compute:
        await make_vm(compute)
        await write(arm, "vm1-os", b"system")
        await make_collection(compute, arm)
        taken = await take(compute)
        source = {"id": arm.id_of("restorePointCollections", "rpc")}
        body = {"location": "northeurope", "properties": {"source": source}}
        await compute.restore_point_collections.create_or_update(GROUP, "far", body)
        copied = {"properties": {"sourceRestorePoint": {"id": taken.id}}}
        poller = await compute.restore_points.begin_create(GROUP, "far", "rp1", copied)
        point = await poller.result()
        name = point.source_metadata.storage_profile.os_disk.disk_restore_point.id.rpartition("/")
        seen = await compute.restore_points.get(GROUP, "far", "rp1", expand="instanceView")
        replicated = seen.instance_view.disk_restore_points[0].replication_status
        assert replicated.completion_percent < 100
        disk_points = compute.disk_restore_point
        with pytest.raises(HttpResponseError, match="cannot be read yet"):
            await disk_points.begin_grant_access(GROUP, "far", "rp1", name[2], READ)
        await asyncio.sleep(2.2)
        poller = await disk_points.begin_grant_access(GROUP, "far", "rp1", name[2], READ)
        assert await start_of((await poller.result()).access_sas, 6) == b"system"
        seen = await compute.restore_points.get(GROUP, "far", "rp1", expand="instanceView")
        assert seen.instance_view.statuses[0].code == "ReplicationState/succeeded"


async def test_a_machine_goes_and_its_disks_stay(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    await make_collection(compute, arm)
    await (await compute.virtual_machines.begin_delete(GROUP, "vm1")).result()
    assert (await compute.disks.get(GROUP, "vm1-os")).managed_by is None
    with pytest.raises(ResourceNotFoundError):
        await take(compute)


async def test_crash_consistency_leaves_premium_v2_out(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    vm = await compute.virtual_machines.get(GROUP, "vm1")
    fast = await make_disk(compute, "fast", sku="PremiumV2_LRS")
    vm.storage_profile.data_disks[0].managed_disk.id = fast
    poller = await compute.virtual_machines.begin_create_or_update(GROUP, "vm1", vm)
    await poller.result()
    await make_collection(compute, arm)
    with pytest.raises(HttpResponseError, match="crash consistent"):
        await take(compute, consistencyMode="CrashConsistent")
    left_out = [{"id": fast}]
    point = await take(compute, consistencyMode="CrashConsistent", excludeDisks=left_out)
    assert point.provisioning_state == "Succeeded"


async def test_extensions_show_their_state_and_hide_their_secrets(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    body = {
        "location": REGION,
        "properties": {
            "publisher": "Microsoft.Azure.RecoveryServices",
            "type": "VMSnapshotLinux",
            "typeHandlerVersion": "1.0",
            "settings": {"taskId": "t"},
            "protectedSettings": {"logsBlobUri": "secret"},
        },
    }
    extensions = compute.virtual_machine_extensions
    poller = await extensions.begin_create_or_update(GROUP, "vm1", "VMSnapshot", body)
    made = await poller.result()
    assert (made.provisioning_state, made.protected_settings) == ("Succeeded", None)
    said = {"VMSnapshot": {"state": "failed", "message": "No network"}}
    await guest(arm, Guest(extensions=said))
    view = await compute.virtual_machines.instance_view(GROUP, "vm1")
    assert view.extensions[0].statuses[0].message == "No network"
    assert (await extensions.get(GROUP, "vm1", "VMSnapshot")).provisioning_state == "Failed"


async def test_a_deleted_group_takes_everything_with_it(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_vm(compute)
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    status, _, headers = await arm.call("DELETE", path, version="2021-04-01")
    assert (status, "Location" in headers) == (202, True)
    with pytest.raises(ResourceNotFoundError):
        await compute.disks.get(GROUP, "vm1-os")
    await arm.make_group()
    assert [each async for each in compute.disks.list()] == []
