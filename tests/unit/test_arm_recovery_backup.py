"""A backup in the fake Recovery Services, from the request to its recovery point."""

from datetime import timedelta
from typing import Any

import pytest

from local.arm.recovery.timing import Durations
from tests.unit.recovery_world import START, VAULT, World, item_path, protection

OS, DATA = b"os disk", b"data disk"


@pytest.fixture
async def world() -> World:
    world = World()
    world.cloud.add("clitest-vm1", OS, DATA)
    await world.make_vault()
    return world


@pytest.fixture
async def item(world: World) -> str:
    return await world.protect(next(iter(world.cloud.machines.values())))


def tasks(job: Any) -> list[str]:
    return [task["status"] for task in job["extendedInfo"]["tasksList"]]


async def test_the_sub_tasks_follow_each_other_with_the_recorded_gap(
    world: World, item: str
) -> None:
    job = await world.backup(item)
    seen: list[list[str]] = []
    for _ in range(120):
        properties = (await world.get(job))["properties"]
        if not seen or seen[-1] != tasks(properties):
            seen.append(tasks(properties))
        world.pass_time(seconds=30)
    assert seen == [
        ["InProgress", "NotStarted"],
        ["Completed", "NotStarted"],
        ["Completed", "InProgress"],
        ["Completed", "Completed"],
    ]
    assert (properties["status"], properties["actionsInfo"]) == ("Completed", ["Cancellable"])
    assert properties["extendedInfo"]["propertyBag"]["Backup Size"] == "2048 MB"
    first, second = properties["extendedInfo"]["tasksList"]
    assert first["taskId"] == "Take Snapshot"
    assert second["startTime"][:19] == first["endTime"][:19], "it began when it said NotStarted"


async def test_tasks_that_have_not_ended_end_in_year_one(world: World, item: str) -> None:
    job = (await world.get(await world.backup(item)))["properties"]
    first, second = job["extendedInfo"]["tasksList"]
    assert first["endTime"] == second["startTime"] == "0001-01-01T00:00:00"
    assert "endTime" not in job


async def test_a_point_holds_the_bytes_of_its_snapshot(world: World, item: str) -> None:
    vm = next(iter(world.cloud.machines.values()))
    job = await world.backup(item)
    world.pass_time(seconds=5)
    await world.get(job)
    world.cloud.write(vm, 0, b"later")
    await world.job_ended(job)
    (point,) = await world.points(item)
    order = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryType": "RestoreDisks",
        "storageAccountId": "/a/b/clitest000004",
        "targetResourceGroupId": VAULT.partition("/providers/")[0],
    }
    answer = await world.answer(
        "POST", f"{item}/recoveryPoints/{point['name']}/restore", {"properties": order}
    )
    assert (await world.job_ended(await world.job_of(answer)))["status"] == "Completed"
    assert sorted(world.cloud.disks.values()) == [DATA, OS]


async def test_the_item_tells_of_its_first_backup(world: World, item: str) -> None:
    before = (await world.get(item))["properties"]
    assert (before["protectionState"], before["lastBackupStatus"]) == ("IRPending", "")
    assert before["lastBackupTime"] == "2001-01-01T00:00:00Z"
    assert "lastRecoveryPoint" not in before
    assert "healthDetails" not in before
    job = await world.job_ended(await world.backup(item))
    after = (await world.get(item))["properties"]
    assert (after["protectionState"], after["lastBackupStatus"]) == ("Protected", "Completed")
    assert after["lastBackupTime"] == job["startTime"]
    assert after["lastRecoveryPoint"] > job["startTime"]
    assert after["healthDetails"][0]["code"] == 400239


async def test_a_failed_transfer_is_a_warning_and_leaves_an_instant_point(
    world: World, item: str
) -> None:
    await world.answer(
        "POST", "/__recovery/failures", {"value": [{"failure": "DiffCopyFailedToTransferData"}]}
    )
    job = await world.job_ended(await world.backup(item))
    assert job["status"] == "CompletedWithWarnings"
    assert tasks(job) == ["Completed", "Failed"]
    assert job["errorDetails"][0]["errorCode"] == 400052
    assert job["extendedInfo"]["propertyBag"]["Backup Size"] == "0 MB"
    (point,) = await world.points(item)
    assert point["properties"]["recoveryPointTierDetails"] == [
        {"type": "InstantRP", "status": "Valid"}
    ]
    assert (await world.get("/__recovery/failures"))[0]["fired"] == 1
    item_now = (await world.get(item))["properties"]
    assert item_now["lastBackupStatus"] == "CompletedWithWarnings"
    assert item_now["protectionStatus"] == "Healthy"


async def test_a_machine_deleted_meanwhile_fails_the_job_with_its_task_in_progress(
    world: World, item: str
) -> None:
    job = await world.backup(item)
    world.pass_time(seconds=60)
    await world.get(job)
    world.cloud.machines.clear()
    ended = await world.job_ended(job)
    assert (ended["status"], tasks(ended)) == ("Failed", ["InProgress", "NotStarted"])
    assert ended["errorDetails"][0]["errorTitle"] == "UserErrorVmNotFoundV2"
    again = await world.job_ended(await world.backup(item))
    assert (again["status"], tasks(again)) == ("Failed", ["Failed", "NotStarted"])
    assert await world.points(item) == []
    now = (await world.get(item))["properties"]
    # A failed first backup ends IRPending, too (recorded).
    assert (now["protectionState"], now["protectionStatus"]) == ("Protected", "Unhealthy")
    assert (now["healthStatus"], now["lastBackupStatus"]) == ("ActionRequired", "Failed")
    assert "lastRecoveryPoint" not in now


async def test_a_machine_deleted_in_mid_transfer_leaves_its_point(world: World, item: str) -> None:
    job = await world.backup(item)
    world.pass_time(seconds=900)
    await world.get(job)
    world.cloud.machines.clear()
    ended = await world.job_ended(job)
    assert (ended["status"], tasks(ended)) == ("CompletedWithWarnings", ["Completed", "Failed"])
    assert ended["errorDetails"][0]["errorCode"] == 320001
    assert len(await world.points(item)) == 1


async def test_a_restore_point_deleted_in_mid_transfer_cannot_be_transferred(
    world: World, item: str
) -> None:
    job = await world.backup(item)
    world.pass_time(seconds=900)
    await world.get(job)
    world.cloud.points.clear()
    ended = await world.job_ended(job)
    assert ended["errorDetails"][0]["errorTitle"] == "UserErrorRpCollectionDeleted"


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ({"agent_ready": False}, "UserErrorGuestAgentStatusUnavailable"),
        ({"network": False}, "ExtensionSnapshotFailedNoNetwork"),
    ],
)
async def test_a_running_machine_needs_its_agent_and_a_network(
    world: World, item: str, facts: dict[str, bool], title: str
) -> None:
    vm = next(iter(world.cloud.machines.values()))
    world.cloud.change(vm, **facts)
    job = await world.job_ended(await world.backup(item))
    assert (job["status"], job["errorDetails"][0]["errorTitle"]) == ("Failed", title)
    world.cloud.change(vm, **facts, power="deallocated")
    job = await world.job_ended(await world.backup(item))
    assert job["status"] == "Completed"
    (point,) = await world.points(item)
    assert point["properties"]["recoveryPointType"] == "CrashConsistent"


async def test_linux_is_file_system_consistent(world: World) -> None:
    item = await world.protect(world.cloud.add("linux1", OS, os_type="Linux"))
    await world.job_ended(await world.backup(item))
    (point,) = await world.points(item)
    assert point["properties"]["recoveryPointType"] == "FileSystemConsistent"


async def test_excluded_disks_are_not_in_the_point(world: World) -> None:
    vm = world.cloud.add("vm2", b"os", b"zero", b"one")
    body = protection(vm, "DefaultPolicy")
    body["properties"]["extendedProperties"] = {
        "diskExclusionProperties": {"diskLunList": [1], "isInclusionList": False}
    }
    await world.answer("PUT", item_path(vm), body)
    world.pass_time(seconds=40)
    await world.job_ended(await world.backup(item_path(vm)))
    (point,) = await world.points(item_path(vm))
    configuration = point["properties"]["recoveryPointDiskConfiguration"]
    assert configuration["includedDiskList"] == [{"lun": 0, "name": "vm2-disk1"}]


async def test_a_lock_on_the_snapshots_group_breaks_backups(world: World, item: str) -> None:
    group = f"{VAULT.partition('/resourceGroups/')[0]}/resourceGroups/AzureBackupRG_eastus2euap_1"
    lock = f"{group}/providers/Microsoft.Authorization/locks/keep"
    world.core.store.put("locks", lock, {"id": lock, "properties": {"level": "ReadOnly"}})
    job = await world.job_ended(await world.backup(item))
    assert job["errorDetails"][0]["errorTitle"] == "UserErrorCrpReportedUserError"
    assert "locked" in job["errorDetails"][0]["errorString"]
    world.core.store.delete("locks", lock)
    assert (await world.job_ended(await world.backup(item)))["status"] == "Completed"


async def test_a_lock_against_deletion_breaks_backups_once_there_is_something_to_clear(
    world: World, item: str
) -> None:
    await world.job_ended(await world.backup(item))
    group = f"{VAULT.partition('/resourceGroups/')[0]}/resourceGroups/AzureBackupRG_eastus2euap_1"
    lock = f"{group}/providers/Microsoft.Authorization/locks/keep"
    world.core.store.put("locks", lock, {"id": lock, "properties": {"level": "CanNotDelete"}})
    assert (await world.job_ended(await world.backup(item)))["status"] == "Completed"
    world.pass_time(days=3)
    await world.get(item)
    world.pass_time(hours=2)
    locked = await world.job_ended(await world.backup(item))
    assert "cannot perform delete operation" in locked["errorDetails"][0]["errorString"]
    world.core.store.delete("locks", lock)
    assert (await world.job_ended(await world.backup(item)))["status"] == "Completed"


async def test_a_point_is_of_one_moment(world: World, item: str) -> None:
    """What is written after the restore point was taken is not in its copies either."""
    vm = next(iter(world.cloud.machines.values()))
    take = world.cloud.make_point

    async def taken_and_written_over(*arguments: Any, **rest: Any) -> Any:
        made = await take(*arguments, **rest)
        world.cloud.write(vm, 0, b"later")
        return made

    world.cloud.make_point = taken_and_written_over  # type: ignore[method-assign]
    await world.job_ended(await world.backup(item))
    assert OS in {world.cloud.bytes_of[copy] for copy in world.cloud.frozen}
    assert b"later" not in {world.cloud.bytes_of[copy] for copy in world.cloud.frozen}


async def test_nine_on_demand_backups_a_day_and_no_more(world: World, item: str) -> None:
    for _ in range(9):
        await world.backup(item)
        world.pass_time(seconds=500)
    refusal = await world.refused(
        "POST", f"{item}/backup", {"properties": {"objectType": "IaasVMBackupRequest"}}
    )
    assert refusal.code == "CloudDosAbsoluteLimitReached"
    world.pass_time(days=1)
    await world.backup(item)


async def test_a_backup_beside_a_transfer_skips_its_own(world: World, item: str) -> None:
    first = await world.backup(item)
    world.pass_time(seconds=500)
    second = await world.job_ended(await world.backup(item))
    assert (second["status"], tasks(second)) == ("Completed", ["Completed", "Skipped"])
    assert (await world.job_ended(first))["status"] == "Completed"


async def test_two_snapshots_at_once_are_refused(world: World, item: str) -> None:
    await world.backup(item)
    refusal = await world.refused(
        "POST", f"{item}/backup", {"properties": {"objectType": "IaasVMBackupRequest"}}
    )
    assert (refusal.status, refusal.code) == (409, "UserErrorBackupOperationInProgress")


async def test_cancelling_works_until_the_transfer_shows(world: World, item: str) -> None:
    job = await world.backup(item)
    answer = await world.answer("POST", f"{job}/cancel")
    assert "api-version=2019-05-13-preview" in answer.headers["Azure-AsyncOperation"]
    running = (await world.get(job))["properties"]
    assert (running["status"], tasks(running)) == ("Cancelling", ["Cancelling", "Cancelling"])
    results = answer.headers["Location"].partition("?")[0]
    assert (await world.answer("GET", results)).status == 202
    ended = await world.job_ended(job)
    assert (ended["status"], tasks(ended)) == ("Cancelled", ["Cancelled", "Cancelled"])
    assert (await world.answer("GET", results)).status == 204
    assert await world.points(item) == []
    job = await world.backup(item)
    world.pass_time(seconds=700)
    assert (await world.refused("POST", f"{job}/cancel")).code == "UserErrorJobNotCancellable"


async def test_cancelled_between_snapshot_and_transfer_is_a_warning(
    world: World, item: str
) -> None:
    job = await world.backup(item)
    world.pass_time(seconds=500)
    await world.answer("POST", f"{job}/cancel")
    ended = await world.job_ended(job)
    assert (ended["status"], tasks(ended)) == ("CompletedWithWarnings", ["Completed", "Cancelled"])
    assert ended["errorDetails"][0]["errorCode"] == 400158
    now = (await world.get(item))["properties"]
    assert (now["lastBackupStatus"], now["healthStatus"]) == ("Failed", "ActionSuggested")


async def test_a_schedule_runs_by_itself_once_a_day(world: World, item: str) -> None:
    world.now = START.replace(hour=20, minute=0, second=10)
    jobs = (await world.get(f"{VAULT}/backupJobs"))["value"]
    started = [job["properties"]["startTime"] for job in jobs]
    assert started[0] == "2024-05-13T20:00:00Z"
    world.pass_time(days=3)
    await world.get(f"{VAULT}/backupJobs")
    world.pass_time(hours=2)
    points = await world.points(item)
    # Of the times that were missed while nobody asked, one.
    assert [p["properties"]["recoveryPointTime"][:10] for p in points] == [
        "2024-05-16",
        "2024-05-13",
    ]


async def test_the_newest_point_survives_its_expiry_in_both_tiers(world: World, item: str) -> None:
    until = (world.now + timedelta(days=3)).isoformat()
    await world.job_ended(await world.backup(item, recoveryPointExpiryTimeInUTC=until))
    stop = protection(next(iter(world.cloud.machines.values())), "")
    stop["properties"] |= {"policyId": "", "protectionState": "ProtectionStopped"}
    await world.answer("PUT", item, stop)
    world.pass_time(days=10)
    (point,) = await world.points(item)
    assert [tier["status"] for tier in point["properties"]["recoveryPointTierDetails"]] == [
        "Valid",
        "Valid",
    ]


async def test_an_expired_point_goes_when_a_newer_one_is_there(world: World, item: str) -> None:
    until = (world.now + timedelta(days=3)).isoformat()
    await world.job_ended(await world.backup(item, recoveryPointExpiryTimeInUTC=until))
    world.pass_time(days=2, hours=1)
    await world.job_ended(await world.backup(item))
    statuses = [
        [tier["status"] for tier in point["properties"]["recoveryPointTierDetails"]]
        for point in await world.points(item)
    ]
    assert ["Deleted", "Valid"] in statuses
    world.pass_time(days=2)
    names = [point["properties"]["recoveryPointTime"] for point in await world.points(item)]
    assert all(name > "2024-05-14" for name in names)


async def test_state_survives_a_restart_in_mid_job(tmp_path: Any) -> None:
    world = World(tmp_path)
    vm = world.cloud.add("vm1", OS)
    await world.make_vault()
    item = await world.protect(vm)
    job = await world.backup(item)
    world.pass_time(seconds=60)
    await world.get(job)
    world.core.store.close()
    after = World(tmp_path, world.cloud)
    after.now = world.now
    ended = await after.job_ended(job)
    assert ended["status"] == "Completed"
    assert len(await after.points(item)) == 1


async def test_all_that_is_known_survives_a_restart(tmp_path: Any) -> None:
    world = World(tmp_path)
    vm = world.cloud.add("vm1", OS, DATA)
    await world.make_vault(soft_delete=True)
    item = await world.protect(vm, "EnhancedPolicy")
    await world.job_ended(await world.backup(item))
    (point,) = await world.points(item)
    order = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryType": "OriginalLocation",
        "storageAccountId": "/a/b/account",
    }
    path = f"{item}/recoveryPoints/{point['name']}/restore"
    await world.answer("POST", path, {"properties": order})
    world.pass_time(seconds=60)
    await world.answer("DELETE", item)
    world.pass_time(seconds=20)
    paths = [VAULT, item, f"{item}/recoveryPoints", f"{VAULT}/backupPolicies"]
    paths += [job["id"] for job in (await world.get(f"{VAULT}/backupJobs"))["value"]]
    before = [await world.get(each) for each in paths]
    world.core.store.close()
    after = World(tmp_path, world.cloud)
    after.now = world.now
    assert [await after.get(each) for each in paths] == before


async def test_a_policys_new_time_is_its_items(world: World, item: str) -> None:
    path = f"{VAULT}/backupPolicies/DefaultPolicy"
    policy = await world.get(path)
    early = "2024-05-13T11:00:00Z"
    policy["properties"]["schedulePolicy"]["scheduleRunTimes"] = [early]
    policy["properties"]["retentionPolicy"]["dailySchedule"]["retentionTimes"] = [early]
    await world.answer("PUT", path, {"properties": policy["properties"]})
    world.pass_time(hours=1)
    jobs = (await world.get(f"{VAULT}/backupJobs"))["value"]
    assert jobs[0]["properties"]["startTime"] == early


async def test_durations_can_be_changed() -> None:
    world = World(durations=Durations(snapshot=10, transfer_unseen=1, transfer=10, enable=1))
    vm = world.cloud.add("vm1", OS)
    await world.make_vault()
    item = await world.protect(vm)
    job = await world.backup(item)
    world.pass_time(seconds=25)
    assert (await world.get(job))["properties"]["status"] == "Completed"
