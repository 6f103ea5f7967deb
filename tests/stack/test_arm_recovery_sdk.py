"""Recovery Services of the fake ARM through the real SDKs, with real bytes in the local storage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.recoveryservices.aio import RecoveryServicesClient
from azure.mgmt.recoveryservicesbackup import models
from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient
from azure.storage.blob import BlobClient

from local.arm.controls import Guest, add_faults, change_guest, open_disk, read_faults
from local.arm.faults import Fault
from local.arm.recovery.controls import JobFailure, clear_failures, script_failures
from local.arm.recovery.timing import Durations
from tests.stack.arm_fixtures import (
    GROUP,
    REGION,
    SUBSCRIPTION,
    Arm,
    running_arm,
    sdk_options,
    settings_for,
)
from tests.stack.azurite_fixtures import SOURCE, RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack

VAULT = "vault1"
QUICK = Durations(**{each.name: 0.5 for each in fields(Durations)})
WHERE = (VAULT, GROUP, "Azure")
CONTAINER = f"IaasVMContainer;iaasvmcontainerv2;{GROUP};vm1"
ITEM = f"VM;iaasvmcontainerv2;{GROUP};vm1"
AT = (*WHERE, CONTAINER, ITEM)
DISKS = {"vm1-os": b"the os", "vm1-data0": b"data zero", "vm1-data3": b"data three"}


@dataclass(frozen=True)
class Cloud:
    """A fake with a machine of three disks, and the clients for it."""

    arm: Arm
    compute: ComputeManagementClient
    vaults: RecoveryServicesClient
    backup: RecoveryServicesBackupClient

    @property
    def vm_id(self) -> str:
        return self.arm.id_of("virtualMachines", "vm1")

    @property
    def account(self) -> str:
        kind = "providers/Microsoft.Storage/storageAccounts"
        return f"{self.arm.group_path}/{kind}/{SOURCE.name}"

    async def content(self, disk_id: str) -> bytes:
        inside = await asyncio.to_thread(open_disk, self.arm.origin, disk_id)
        return await asyncio.to_thread(first_page, inside.url)

    async def write(self, disk: str, content: bytes) -> None:
        disk_id = self.arm.id_of("disks", disk)
        inside = await asyncio.to_thread(open_disk, self.arm.origin, disk_id)
        await asyncio.to_thread(write_first_page, inside.url, content)

    async def contents(self, vm: str) -> list[bytes]:
        """What is on a machine's disks, the OS disk first, then by LUN."""
        profile = (await self.compute.virtual_machines.get(GROUP, vm)).storage_profile
        disks = [profile.os_disk, *sorted(profile.data_disks, key=lambda disk: disk.lun)]
        return [await self.content(disk.managed_disk.id) for disk in disks]

    async def job(self, start: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """The properties of the ended job of a call that answers an empty 202.

        Neither the SDK's result nor its body says which job: the headers lead to the operation,
        and that to the job.
        """
        heard: dict[str, str] = {}
        await start(
            *arguments, raw_response_hook=lambda answer: heard.update(answer.http_response.headers)
        )
        return await self.job_of(heard)

    async def job_of(self, headers: dict[str, str]) -> Any:
        operation = urlsplit(headers["Azure-AsyncOperation"]).path.rpartition("/")[2]
        statuses = self.backup.backup_operation_statuses
        while (status := await statuses.get(VAULT, GROUP, operation)).status == "InProgress":
            await asyncio.sleep(0.05)
        job_id = status.properties["jobId"]
        while True:
            job = await self.backup.job_details.get(VAULT, GROUP, job_id)
            if job.properties.end_time is not None:
                return job.properties
            await asyncio.sleep(0.05)

    async def back_up(self) -> Any:
        request = {"properties": {"objectType": "IaasVMBackupRequest"}}
        return await self.job(self.backup.backups.trigger, *AT, request)

    async def points(self) -> list[Any]:
        return [point async for point in self.backup.recovery_points.list(*AT)]

    async def restore(self, point: str, kind: str, **properties: Any) -> None:
        order = {
            "objectType": "IaasVMRestoreRequest",
            "recoveryPointId": point,
            "recoveryType": kind,
            "sourceResourceId": self.vm_id,
            "storageAccountId": self.account,
            "region": REGION,
            **properties,
        }
        restores = self.backup.restores
        poller = await restores.begin_trigger(*AT, point, {"properties": order})
        assert await poller.result() is None
        jobs = [job async for job in self.backup.backup_jobs.list(VAULT, GROUP)]
        job = await self.backup.job_details.get(VAULT, GROUP, jobs[0].name)
        while job.properties.status == "InProgress":
            await asyncio.sleep(0.05)
            job = await self.backup.job_details.get(VAULT, GROUP, jobs[0].name)
        assert job.properties.status == "Completed", job.properties.error_details


def first_page(url: str) -> bytes:
    with BlobClient.from_blob_url(url, retry_total=0) as blob:
        content: bytes = blob.download_blob(0, 512).readall()
    return content.rstrip(b".")


def write_first_page(url: str, content: bytes) -> None:
    with BlobClient.from_blob_url(url, retry_total=0) as blob:
        blob.upload_page(content.ljust(512, b"."), 0, 512)


@pytest.fixture
async def cloud(storage: RunningStorage) -> AsyncIterator[Cloud]:
    settings = settings_for(storage, factor=60.0, durations=QUICK)
    async with running_arm(settings) as arm, arm.compute() as compute:
        options = {"subscription_id": SUBSCRIPTION, **sdk_options(arm.origin)}
        async with (
            RecoveryServicesClient(**options) as vaults,
            RecoveryServicesBackupClient(**options) as backup,
        ):
            cloud = Cloud(arm, compute, vaults, backup)
            await make_machine(cloud)
            await make_vault(cloud)
            yield cloud


async def make_machine(cloud: Cloud) -> None:
    for name, content in DISKS.items():
        body = {
            "location": REGION,
            "sku": {"name": "Premium_LRS"},
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1},
        }
        await (await cloud.compute.disks.begin_create_or_update(GROUP, name, body)).result()
        await cloud.write(name, content)
    await attach(cloud)


async def attach(cloud: Cloud) -> None:
    def place(name: str, **rest: Any) -> dict[str, Any]:
        disk = {"id": cloud.arm.id_of("disks", name)}
        return {"createOption": "Attach", "managedDisk": disk, **rest}

    profile = {
        "osDisk": place("vm1-os", osType="Linux"),
        "dataDisks": [place("vm1-data0", lun=0), place("vm1-data3", lun=3)],
    }
    hardware = {"vmSize": "Standard_B1s"}
    properties = {"hardwareProfile": hardware, "storageProfile": profile}
    body = {"location": REGION, "properties": properties}
    machines = cloud.compute.virtual_machines
    await (await machines.begin_create_or_update(GROUP, "vm1", body)).result()


async def make_vault(cloud: Cloud) -> None:
    body = {"location": REGION, "sku": {"name": "Standard"}, "properties": {}}
    poller = await cloud.vaults.vaults.begin_create_or_update(GROUP, VAULT, body)
    vault = await poller.result()
    assert vault.properties.provisioning_state == "Succeeded"
    config = {"properties": {"softDeleteFeatureState": "Disabled"}}
    await cloud.backup.backup_resource_vault_configs.update(VAULT, GROUP, config)


async def make_policy(cloud: Cloud) -> Any:
    """A daily policy whose next time is far from the fake's, so that nothing runs by itself."""
    async with cloud.arm.http.get(f"{cloud.arm.origin}/__clock") as answer:
        now = datetime.fromisoformat((await answer.json())["now"])
    time = (now + timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
    policy = models.AzureIaaSVMProtectionPolicy(
        schedule_policy=models.SimpleSchedulePolicy(
            schedule_run_frequency="Daily", schedule_run_times=[time]
        ),
        retention_policy=models.LongTermRetentionPolicy(
            daily_schedule=models.DailyRetentionSchedule(
                retention_times=[time],
                retention_duration=models.RetentionDuration(count=30, duration_type="Days"),
            )
        ),
        time_zone="UTC",
    )
    resource = models.ProtectionPolicyResource(properties=policy)
    return await cloud.backup.protection_policies.create_or_update(VAULT, GROUP, "gold", resource)


async def protect(cloud: Cloud) -> Any:
    """Through the SDK's own long-running operation; the item."""
    policy = await make_policy(cloud)
    body = {
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "sourceResourceId": cloud.vm_id,
            "policyId": policy.id,
        }
    }
    poller = await cloud.backup.protected_items.begin_create_or_update(*AT, body)
    return await poller.result()


async def test_the_life_of_a_protected_machine(cloud: Cloud) -> None:
    """Discovery, protection, backup, three restores, the end; the bytes decide."""
    await cloud.backup.protection_containers.refresh(*WHERE)
    await asyncio.sleep(0.1)
    offered = [each async for each in cloud.backup.backup_protectable_items.list(VAULT, GROUP)]
    assert [each.properties.friendly_name for each in offered] == ["vm1"]
    item = await protect(cloud)
    # The SDK (11.2.0) knows no class for a machine's item: what is in it goes by its wire name.
    assert item.properties["protectionState"] == "IRPending"
    job = await cloud.back_up()
    assert (job.status, [task.status for task in job.extended_info.tasks_list]) == (
        "Completed",
        ["Completed", "Completed"],
    )
    (point,) = await cloud.points()
    assert point.properties.recovery_point_type == "FileSystemConsistent"
    for name in DISKS:
        await cloud.write(name, b"overwritten")

    await restore_disks(cloud, point.name)
    await restore_elsewhere(cloud, point.name)
    await cloud.restore(point.name, "OriginalLocation")
    assert await cloud.contents("vm1") == list(DISKS.values())
    assert await cloud.content(cloud.arm.id_of("disks", "vm1-os")) == b"overwritten", "it stays"
    assert len(await cloud.points()) == 2, "what was replaced became a point"

    deleted = await cloud.job(cloud.backup.protected_items.delete, *AT)
    assert deleted.extended_info.property_bag["Number of Recovery Points"] == "2"
    with pytest.raises(ResourceNotFoundError):
        await cloud.backup.protected_items.get(*AT)
    # What follows a deletion is gone with the vault: 404 means done, and the SDK does not know.
    with pytest.raises(HttpResponseError) as gone:
        await (await cloud.vaults.vaults.begin_delete(GROUP, VAULT)).wait()
    assert gone.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceNotFoundError):
        await cloud.vaults.vaults.get(GROUP, VAULT)


async def restore_disks(cloud: Cloud, point: str) -> None:
    await cloud.arm.make_group("rg-restored")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-restored"
    await cloud.restore(point, "RestoreDisks", targetResourceGroupId=group)
    disks = [each async for each in cloud.compute.disks.list_by_resource_group("rg-restored")]
    contents = sorted([await cloud.content(disk.id) for disk in disks])
    assert contents == sorted(DISKS.values())


async def restore_elsewhere(cloud: Cloud, point: str) -> None:
    await cloud.restore(
        point,
        "AlternateLocation",
        targetResourceGroupId=cloud.arm.group_path,
        targetVirtualMachineId=cloud.arm.id_of("virtualMachines", "vm2"),
        virtualNetworkId=f"{cloud.arm.group_path}/providers/Microsoft.Network/virtualNetworks/n",
    )
    assert await cloud.contents("vm2") == list(DISKS.values())


async def test_disks_come_back_as_vhds_in_a_storage_account(
    cloud: Cloud, storage: RunningStorage
) -> None:
    await protect(cloud)
    await cloud.back_up()
    (point,) = await cloud.points()
    await cloud.restore(point.name, "RestoreDisks")
    await asyncio.to_thread(assert_vhds, storage)


def assert_vhds(storage: RunningStorage) -> None:
    with storage.blobs(SOURCE) as service:
        (container,) = [each.name for each in service.list_containers(name_starts_with="vhd-")]
        names = list(service.get_container_client(container).list_blob_names())
        os_disk = next(name for name in names if name.startswith("vm1-osdisk-"))
        content = service.get_blob_client(container, os_disk).download_blob(0, 512).readall()
    assert (len(names), content.rstrip(b".")) == (3, DISKS["vm1-os"])


async def test_points_show_in_compute_under_the_services_group(cloud: Cloud) -> None:
    await protect(cloud)
    await cloud.back_up()
    group = f"AzureBackupRG_{REGION}_1"
    (collection,) = [each async for each in cloud.compute.restore_point_collections.list(group)]
    assert collection.name.startswith("AzureBackup_vm1_")
    found = await cloud.compute.restore_point_collections.get(
        group, collection.name, expand="restorePoints"
    )
    (point,) = found.properties.restore_points
    assert point.name.startswith("AzureBackup_20")


async def test_a_lock_on_that_group_breaks_backups(cloud: Cloud) -> None:
    await protect(cloud)
    await cloud.back_up()
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/AzureBackupRG_{REGION}_1"
    lock = f"{group}/providers/Microsoft.Authorization/locks/keep"
    await cloud.arm.call("PUT", lock, {"properties": {"level": "ReadOnly"}}, version="2016-09-01")
    job = await cloud.back_up()
    assert job.status == "Failed"
    assert "locked" in job.error_details[0].error_string


async def test_what_the_guest_does_decides(cloud: Cloud) -> None:
    await protect(cloud)
    silent = Guest(agent_ready=False)
    await asyncio.to_thread(change_guest, cloud.arm.origin, cloud.vm_id, silent)
    job = await cloud.back_up()
    assert job.error_details[0].error_title == "UserErrorGuestAgentStatusUnavailable"
    cut_off = Guest(agent_ready=True, network=False)
    await asyncio.to_thread(change_guest, cloud.arm.origin, cloud.vm_id, cut_off)
    job = await cloud.back_up()
    assert job.error_details[0].error_title == "ExtensionSnapshotFailedNoNetwork"


async def test_scripted_failures(cloud: Cloud) -> None:
    await protect(cloud)
    origin = cloud.arm.origin
    failure = JobFailure("DiffCopyFailedToTransferData", machine="vm1")
    await asyncio.to_thread(script_failures, origin, [failure])
    job = await cloud.back_up()
    assert (job.status, job.error_details[0].error_code) == ("CompletedWithWarnings", 400052)
    (count,) = await asyncio.to_thread(clear_failures, origin)
    assert count.fired == 1
    assert (await cloud.back_up()).status == "Completed"


async def test_gateway_timeouts_pass(cloud: Cloud) -> None:
    fault = Fault(operation="^BackupProtectedItems_List$", status=504, error_code="GatewayTimeout")
    await asyncio.to_thread(add_faults, cloud.arm.origin, [fault])
    items = cloud.backup.backup_protected_items
    with pytest.raises(HttpResponseError) as refused:
        _ = [each async for each in items.list(VAULT, GROUP)]
    assert (refused.value.status_code, refused.value.error.code) == (504, "GatewayTimeout")
    assert [each async for each in items.list(VAULT, GROUP)] == []
    assert (await asyncio.to_thread(read_faults, cloud.arm.origin))[0].fired == 1


async def test_policies_through_the_sdk(cloud: Cloud) -> None:
    gold = await make_policy(cloud)
    assert gold.properties.instant_rp_retention_range_in_days == 2
    names = [each.name async for each in cloud.backup.backup_policies.list(VAULT, GROUP)]
    assert names == ["HourlyLogBackup", "DefaultPolicy", "EnhancedPolicy", "gold"]
    gold.properties.retention_policy.daily_schedule.retention_duration.count = 3
    policies = cloud.backup.protection_policies
    with pytest.raises(HttpResponseError) as refused:
        await policies.create_or_update(VAULT, GROUP, "gold", gold)
    assert refused.value.error.code == "BMSUserErrorInvalidPolicyInput"
    await (await policies.begin_delete(VAULT, GROUP, "gold")).wait()
    with pytest.raises(ResourceNotFoundError):
        await policies.get(VAULT, GROUP, "gold")


async def test_redundancy_through_the_sdk(cloud: Cloud) -> None:
    wanted = {"redundancySettings": {"standardTierStorageRedundancy": "LocallyRedundant"}}
    patch = {"properties": wanted}
    vault = await (await cloud.vaults.vaults.begin_update(GROUP, VAULT, patch)).result()
    settings = vault.properties.redundancy_settings
    assert settings.standard_tier_storage_redundancy == "LocallyRedundant"
    await protect(cloud)
    wanted["redundancySettings"]["standardTierStorageRedundancy"] = "GeoRedundant"
    with pytest.raises(HttpResponseError) as refused:
        await cloud.vaults.vaults.begin_update(GROUP, VAULT, patch)
    assert refused.value.error.code == "StorageModelModifyError"


async def test_a_vault_in_use_is_not_deleted(cloud: Cloud) -> None:
    await protect(cloud)
    with pytest.raises(HttpResponseError) as refused:
        await cloud.vaults.vaults.begin_delete(GROUP, VAULT)
    assert refused.value.error.code == "ServiceResourceNotEmptyWithBackendMessage"


async def test_what_is_not_supported_says_so_and_what_is_is_listed(cloud: Cloud) -> None:
    status, body, _ = await cloud.arm.call(
        "POST",
        f"{cloud.arm.group_path}/providers/Microsoft.RecoveryServices/vaults/{VAULT}/backupJobsExport",
    )
    assert (status, body["error"]["code"]) == (501, "NotImplemented")
    async with cloud.arm.http.get(f"{cloud.arm.origin}/__operations") as answer:
        operations = {row["operation"] for row in await answer.json()}
    assert {"Backups_Trigger", "Restores_Trigger", "Vaults_CreateOrUpdate"} <= operations
