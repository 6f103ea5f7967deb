"""Vaults and protected items of the fake Recovery Services: states, and what is refused in them."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from local.arm.answers import ArmError
from tests.unit.recovery_world import (
    GROUP,
    REGION,
    SUBSCRIPTION,
    VAULT,
    World,
    item_path,
    protection,
)

OTHER = VAULT.removesuffix("v1") + "v2"


@pytest.fixture
async def world() -> World:
    world = World()
    world.cloud.add("vm1", b"os")
    await world.make_vault()
    return world


@pytest.fixture
async def item(world: World) -> str:
    return await world.protect(next(iter(world.cloud.machines.values())))


async def properties(world: World, path: str) -> Any:
    return (await world.get(path))["properties"]


async def test_a_vault_is_made_and_its_operation_followed() -> None:
    world = World()
    body = {"location": REGION, "sku": {"name": "Standard"}}
    answer = await world.answer("PUT", VAULT, body)
    assert answer.status == 201
    assert answer.body["properties"]["provisioningState"] == "Provisioning"
    assert "Location" not in answer.headers
    status = answer.headers["Azure-AsyncOperation"]
    assert len(status) > 3000, "signed, as since 2024"
    assert (await world.get(status))["status"] == "InProgress"
    world.pass_time(seconds=10)
    assert (await world.get(status))["status"] == "Succeeded"
    assert (await properties(world, VAULT))["provisioningState"] == "Succeeded"


async def test_a_missing_vault_is_404_for_all_below_it() -> None:
    world = World()
    for path in ("", "/backupJobs", "/backupPolicies/DefaultPolicy", "/backupOperations/x"):
        error = await world.refused("GET", VAULT + path)
        assert (error.status, error.code) == (404, "ResourceNotFound")
        assert f"under resource group '{GROUP}' was not found" in error.message


@pytest.mark.parametrize(
    "body",
    [
        {"sku": {"name": "Standard"}},
        {"location": REGION, "sku": {"name": "Premium"}},
        {
            "location": REGION,
            "sku": {"name": "Standard"},
            "properties": {"redundancySettings": {"standardTierStorageRedundancy": "Some"}},
        },
    ],
)
async def test_bad_vaults_are_refused(body: dict[str, Any]) -> None:
    assert (await World().refused("PUT", VAULT, body)).code == "InvalidRestApiParameter"


@pytest.mark.parametrize(
    "body", [{"identity": {"type": "SystemAssigned"}}, {"properties": {"encryption": {"a": 1}}}]
)
async def test_identities_and_keys_are_not_supported(world: World, body: dict[str, Any]) -> None:
    assert (await world.refused("PATCH", VAULT, body)).status == 501


async def test_redundancy_is_frozen_once_there_is_an_item(world: World, item: str) -> None:
    wanted = {
        "properties": {"redundancySettings": {"standardTierStorageRedundancy": "ZoneRedundant"}}
    }
    assert (await world.refused("PATCH", VAULT, wanted)).code == "StorageModelModifyError"
    await world.answer("DELETE", item)
    world.pass_time(seconds=120)
    assert (await world.answer("PATCH", VAULT, wanted)).status == 202
    settings = (await properties(world, VAULT))["redundancySettings"]
    assert settings["standardTierStorageRedundancy"] == "ZoneRedundant"


async def test_the_older_way_to_redundancy(world: World) -> None:
    path = f"{VAULT}/backupstorageconfig/vaultstorageconfig"
    assert (await properties(world, path))["storageTypeState"] == "Unlocked"
    wanted = {"properties": {"storageModelType": "LocallyRedundant"}}
    assert (await world.answer("PATCH", path, wanted)).status == 204
    assert (await properties(world, path))["storageType"] == "LocallyRedundant"


async def test_immutability_raises_the_score(world: World) -> None:
    wanted = {"properties": {"securitySettings": {"immutabilitySettings": {"state": "Unlocked"}}}}
    await world.answer("PATCH", VAULT, wanted)
    vault = await properties(world, VAULT)
    assert (vault["secureScore"], vault["bcdrSecurityLevel"]) == ("Minimum", "Fair")


async def test_a_machine_is_found_by_the_next_discovery_only(world: World) -> None:
    world.cloud.add("vm2", b"os")
    listing = f"{VAULT}/backupProtectableItems"
    names = [each["name"] for each in (await world.get(listing))["value"]]
    assert names == ["iaasvmcontainerv2;clitest.rg000001;vm1"]
    answer = await world.answer("POST", f"{VAULT}/backupFabrics/Azure/refreshContainers")
    results = answer.headers["Location"]
    statuses = []
    for _ in range(4):
        statuses.append((await world.answer("GET", results)).status)
        world.pass_time(seconds=5)
    assert statuses == [202, 202, 202, 204]
    assert len((await world.get(listing))["value"]) == 2


async def test_protected_machines_are_not_offered(world: World, item: str) -> None:
    assert (await world.get(f"{VAULT}/backupProtectableItems"))["value"] == []


async def test_enabling_is_followed_to_its_job(world: World) -> None:
    vm = next(iter(world.cloud.machines.values()))
    answer = await world.answer("PUT", item_path(vm), protection(vm, "DefaultPolicy"))
    assert (answer.status, answer.body) == (202, None)
    status = answer.headers["Azure-AsyncOperation"]
    assert ";" in urlsplit(status).path, "raw, where the request had it encoded"
    running = await world.get(status)
    assert (running["status"], running["endTime"]) == ("InProgress", "0001-01-01T00:00:00")
    assert "properties" not in running
    result = answer.headers["Location"]
    assert (await world.answer("GET", result)).status == 202
    world.pass_time(seconds=40)
    ended = await world.get(status)
    assert ended["endTime"] == ended["startTime"]
    assert ended["properties"]["jobId"] != ended["id"]
    assert (await world.get(result))["properties"]["protectionState"] == "IRPending"
    job = await properties(world, f"{VAULT}/backupJobs/{ended['properties']['jobId']}")
    assert (job["operation"], job["extendedInfo"]["tasksList"]) == ("ConfigureBackup", [])


async def test_one_vault_a_machine(world: World, item: str) -> None:
    await world.make_vault(OTHER)
    vm = next(iter(world.cloud.machines.values()))
    body = protection(vm, "DefaultPolicy", OTHER)
    error = await world.refused("PUT", item_path(vm, OTHER), body)
    assert "another recovery services vault" in error.message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            {"policyId": f"{VAULT}/backupPolicies/none"},
            "BMSUserErrorInvalidConfigureProtectionRequest",
        ),
        (
            {"policyId": f"{OTHER}/backupPolicies/DefaultPolicy"},
            "BMSUserErrorInvalidConfigureProtectionRequest",
        ),
        (
            {"policyId": f"{VAULT}/backupPolicies/HourlyLogBackup"},
            "BMSUserErrorInvalidPolicyForGivenProvider",
        ),
        ({"sourceResourceId": "/nothing"}, "BMSUserErrorInvalidConfigureProtectionRequest"),
        ({"protectedItemType": "Microsoft.Sql/servers"}, "NotImplemented"),
        ({"protectionState": "BackupsSuspended"}, "NotImplemented"),
    ],
)
async def test_bad_protection_is_refused(world: World, change: dict[str, str], code: str) -> None:
    vm = next(iter(world.cloud.machines.values()))
    body = protection(vm, "DefaultPolicy")
    body["properties"] |= change
    assert (await world.refused("PUT", item_path(vm), body)).code == code


async def test_a_machine_of_another_region_or_none(world: World) -> None:
    vm = world.cloud.add("far", b"os", location="westus")
    body = protection(vm, "DefaultPolicy")
    assert "westus" in str((await world.refused("PUT", item_path(vm), body)).details)
    world.cloud.machines.pop(vm.id.casefold())
    assert (await world.refused("PUT", item_path(vm), body)).status == 400


async def test_an_enhanced_item_does_not_go_back(world: World) -> None:
    vm = next(iter(world.cloud.machines.values()))
    item = await world.protect(vm, "EnhancedPolicy")
    assert (await properties(world, item))["policyType"] == "V2"
    await world.refused("PUT", item, protection(vm, "DefaultPolicy"))


async def test_two_changes_at_once_are_refused(world: World) -> None:
    vm = next(iter(world.cloud.machines.values()))
    await world.answer("PUT", item_path(vm), protection(vm, "DefaultPolicy"))
    error = await world.refused("PUT", item_path(vm), protection(vm, "DefaultPolicy"))
    assert (error.status, error.code) == (409, "BMSUserErrorConflictingProtectionOperation")


async def test_stop_keeping_the_data_and_resume(world: World, item: str) -> None:
    await world.job_ended(await world.backup(item))
    vm = next(iter(world.cloud.machines.values()))
    stop = protection(vm, "")
    stop["properties"] |= {"policyId": "", "protectionState": "ProtectionStopped"}
    job = await world.job_ended(await world.job_of(await world.answer("PUT", item, stop)))
    assert job["operation"] == "DisableBackup"
    stopped = await properties(world, item)
    assert (stopped["protectionState"], stopped["policyId"]) == ("ProtectionStopped", "")
    assert len(await world.points(item)) == 1
    request = {"properties": {"objectType": "IaasVMBackupRequest"}}
    assert (await world.refused("POST", f"{item}/backup", request)).status == 400
    resume = await world.answer("PUT", item, protection(vm, "DefaultPolicy"))
    assert (await world.job_ended(await world.job_of(resume)))["operation"] == "ConfigureBackup"
    assert (await properties(world, item))["protectionState"] == "Protected"


async def test_deleting_the_data_at_once(world: World, item: str) -> None:
    await world.job_ended(await world.backup(item))
    refusal = await world.refused("DELETE", VAULT)
    assert (refusal.status, refusal.code) == (400, "ServiceResourceNotEmptyWithBackendMessage")
    answer = await world.answer("DELETE", item)
    assert "/backupOperations/" in answer.headers["Azure-AsyncOperation"]
    assert "/backupOperationResults/" in answer.headers["Location"]
    assert (await world.answer("GET", answer.headers["Location"])).status == 202
    job = await world.job_ended(await world.job_of(answer))
    assert job["extendedInfo"]["propertyBag"]["Number of Recovery Points"] == "1"
    assert (await world.answer("GET", answer.headers["Location"])).status == 204
    assert (await world.refused("GET", item)).status == 404
    assert (await world.get(f"{VAULT}/backupProtectionContainers"))["value"] == []
    assert len(world.cloud.bytes_of) == 1, "the machine's own disk"
    assert (await world.answer("DELETE", item)).status == 204


async def test_soft_deletion_and_back() -> None:
    world = World()
    vm = world.cloud.add("vm1", b"os")
    await world.make_vault(soft_delete=True)
    item = await world.protect(vm)
    await world.job_ended(await world.backup(item))
    await world.job_ended(await world.job_of(await world.answer("DELETE", item)))
    gone = await properties(world, item)
    assert gone["protectionState"] == "ProtectionStopped"
    assert gone["isScheduledForDeferredDelete"] is True
    assert gone["deferredDeleteTimeRemaining"].startswith("13.23:")
    assert gone["softDeleteRetentionPeriod"] == 14
    assert (await world.get(f"{VAULT}/backupProtectionContainers"))["value"] == []
    (container,) = (await world.get(f"{VAULT}/backupDeletedProtectionContainers"))["value"]
    assert container["properties"]["registrationStatus"] == "SoftDeleted"
    refusal = await world.refused("DELETE", VAULT)
    assert "soft delete state" in refusal.message
    assert refusal.body["error"]["innerError"] is None
    await world.refused("PUT", item, protection(vm, "DefaultPolicy"))
    back = protection(vm, "")
    back["properties"] |= {
        "policyId": "",
        "protectionState": "ProtectionStopped",
        "isRehydrate": True,
    }
    job = await world.job_ended(await world.job_of(await world.answer("PUT", item, back)))
    assert job["operation"] == "Undelete"
    now = await properties(world, item)
    assert (now["protectionState"], "isScheduledForDeferredDelete" in now) == (
        "ProtectionStopped",
        False,
    )
    assert len(await world.points(item)) == 1


async def test_a_softly_deleted_item_goes_for_good_after_its_time() -> None:
    world = World()
    vm = world.cloud.add("vm1", b"os")
    await world.make_vault(soft_delete=True)
    item = await world.protect(vm)
    await world.job_ended(await world.backup(item))
    await world.answer("DELETE", item)
    world.pass_time(days=15)
    assert (await world.refused("GET", item)).status == 404
    assert len(world.cloud.bytes_of) == 1
    assert (await world.answer("DELETE", VAULT)).status == 202


async def test_always_on_soft_delete_stays_on(world: World) -> None:
    path = f"{VAULT}/backupconfig/vaultconfig"
    await world.answer("PATCH", path, {"properties": {"softDeleteFeatureState": "AlwaysON"}})
    error = await world.refused(
        "PATCH", path, {"properties": {"softDeleteFeatureState": "Disabled"}}
    )
    assert error.code == "BMSUserErrorDisablingSoftDeleteStateNotAllowed"


async def test_a_deleted_vault_is_gone_and_so_is_its_operation(world: World) -> None:
    answer = await world.answer("DELETE", VAULT)
    status = answer.headers["Azure-AsyncOperation"]
    running = await world.answer("GET", status)
    assert running.body["status"] == "InProgress"
    assert {"Azure-AsyncOperation", "Location"} <= set(running.headers)
    world.pass_time(seconds=20)
    error = await world.refused("GET", status)
    assert (error.status, error.code) == (404, "ResourceNotFound")


async def test_backup_status_in_lower_case(world: World) -> None:
    vm = next(iter(world.cloud.machines.values()))
    provider = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices"
    path = f"{provider}/locations/{REGION}/backupStatus"
    body = {"resourceType": "VM", "resourceId": vm.id}
    before = (await world.answer("POST", path, body)).body
    assert (before["protectionStatus"], "vaultId" in before) == ("NotProtected", False)
    assert before["containerName"] == "iaasvmcontainer;iaasvmcontainerv2;clitest.rg000001;vm1"
    await world.protect(vm)
    after = (await world.answer("POST", path, body)).body
    assert (after["protectionStatus"], after["vaultId"]) == ("Protected", VAULT)


async def test_a_group_with_a_vault_in_use_stays(world: World, item: str) -> None:
    with pytest.raises(ArmError):
        await world.service.drop_group(SUBSCRIPTION, GROUP)
    await world.answer("DELETE", item)
    world.pass_time(seconds=120)
    await world.get(VAULT)
    await world.service.drop_group(SUBSCRIPTION, GROUP)
    assert (await world.refused("GET", VAULT)).status == 404


async def test_without_its_snapshots_group_a_point_is_in_the_vault_alone(
    world: World, item: str
) -> None:
    await world.job_ended(await world.backup(item))
    await world.service.drop_group(SUBSCRIPTION, f"AzureBackupRG_{REGION}_1")
    (point,) = await world.points(item)
    assert point["properties"]["recoveryPointTierDetails"] == [
        {"type": "InstantRP", "status": "Deleted"},
        {"type": "HardenedRP", "status": "Valid"},
    ]


async def test_polling_too_often_is_throttled_for_324_seconds(world: World, item: str) -> None:
    job = await world.backup(item)
    path = f"{job}?api-version=2024-04-01"
    for _ in range(150):
        await world.get(path)
    error = await world.refused("GET", path)
    assert (error.status, error.code) == (429, "ResourceRequestsThrottled")
    assert error.message.endswith("Please try again after '324' seconds.")
    assert "exceeded the limit of '150' for time interval '01:00:00'" in error.message
    world.pass_time(seconds=324)
    await world.get(path)


async def test_jobs_are_listed_newest_first_without_their_tasks(world: World, item: str) -> None:
    await world.backup(item)
    jobs = (await world.get(f"{VAULT}/backupJobs"))["value"]
    assert [job["properties"]["operation"] for job in jobs] == ["Backup", "ConfigureBackup"]
    assert all("extendedInfo" not in job["properties"] for job in jobs)
    found = await world.get(f"{VAULT}/backupJobs?$filter=status eq 'Completed'")
    assert [job["properties"]["operation"] for job in found["value"]] == ["ConfigureBackup"]


async def test_scripted_fates_of_operations(world: World) -> None:
    vm = next(iter(world.cloud.machines.values()))
    body = protection(vm, "DefaultPolicy")
    failed = await world.answer("PUT", item_path(vm), body, fate="failed")
    world.pass_time(seconds=40)
    status = await world.get(failed.headers["Azure-AsyncOperation"])
    assert (status["status"], status["error"]["code"]) == ("Failed", "Broken")
    assert (await world.refused("GET", item_path(vm))).status == 404
    vanished = await world.answer("PUT", item_path(vm), body, fate="vanished")
    world.pass_time(seconds=40)
    assert (await world.refused("GET", vanished.headers["Azure-AsyncOperation"])).status == 404
    assert (await properties(world, item_path(vm)))["protectionState"] == "IRPending"
