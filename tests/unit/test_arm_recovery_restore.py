"""Restores of the fake Recovery Services, of all kinds."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from local.arm.groups import group_id
from tests.unit.recovery_world import GROUP, SUBSCRIPTION, VAULT, MemoryVm, World

CONTENTS = (b"os disk", b"data 0", b"data 1")
TARGET = group_id(SUBSCRIPTION, "clitest.rg000002")
ACCOUNT = f"{group_id(SUBSCRIPTION, GROUP)}/providers/Microsoft.Storage/storageAccounts"


class Restored:
    """A machine with one recovery point, written over since."""

    def __init__(self, world: World, vm: MemoryVm, item: str, point: str) -> None:
        self.world = world
        self.vm = vm
        self.point = f"{item}/recoveryPoints/{point}"

    async def restore(self, kind: str, **properties: Any) -> str:
        """Starts one; its job's path."""
        order = {
            "objectType": "IaasVMRestoreRequest",
            "recoveryType": kind,
            "sourceResourceId": self.vm.id,
            "storageAccountId": f"{ACCOUNT}/clitest000004",
            **properties,
        }
        answer = await self.world.answer("POST", f"{self.point}/restore", {"properties": order})
        return await self.world.job_of(answer)


@pytest.fixture
async def backed_up() -> Restored:
    world = World()
    world.core.groups.ensure(SUBSCRIPTION, "clitest.rg000002", "eastus2euap")
    vm = world.cloud.add("clitest-vm1", *CONTENTS)
    await world.make_vault()
    item = await world.protect(vm)
    await world.job_ended(await world.backup(item))
    (point,) = await world.points(item)
    for number in range(3):
        world.cloud.write(vm, number, b"broken")
    return Restored(world, vm, item, point["name"])


async def test_disks_go_to_the_target_group_by_name(backed_up: Restored) -> None:
    job = await backed_up.restore("RestoreDisks", targetResourceGroupId=TARGET)
    ended = await backed_up.world.job_ended(job)
    assert ended["status"] == "Completed"
    disks = backed_up.world.cloud.disks
    assert sorted(disks.values()) == sorted(CONTENTS)
    assert all(each.startswith(f"{TARGET}/providers/Microsoft.Compute/disks/") for each in disks)
    names = sorted(each.rpartition("/")[2] for each in disks)
    assert names[0].startswith("clitest-vm1-datadisk-000-2024")
    assert names[2].startswith("clitest-vm1-osdisk-2024")


async def test_the_jobs_id_is_the_operations(backed_up: Restored) -> None:
    world = backed_up.world
    job = await backed_up.restore("RestoreDisks", targetResourceGroupId=TARGET)
    status = f"{VAULT}/backupOperations/{job.rpartition('/')[2]}"
    assert (await world.get(status))["properties"]["jobId"] == job.rpartition("/")[2]


async def test_the_task_is_over_before_the_job_is(backed_up: Restored) -> None:
    job = await backed_up.restore("RestoreDisks", targetResourceGroupId=TARGET)
    backed_up.world.pass_time(seconds=40)
    body = (await backed_up.world.get(job))["properties"]
    (task,) = body["extendedInfo"]["tasksList"]
    assert (task["status"], body["status"]) == ("Completed", "InProgress")
    assert body["extendedInfo"]["progressPercentage"] == 1.0


async def test_a_point_that_is_being_restored_does_not_expire() -> None:
    world = World()
    world.core.groups.ensure(SUBSCRIPTION, "clitest.rg000002", "eastus2euap")
    vm = world.cloud.add("vm1", b"os")
    await world.make_vault()
    item = await world.protect(vm)
    until = (world.now + timedelta(hours=3)).isoformat()
    await world.job_ended(await world.backup(item, recoveryPointExpiryTimeInUTC=until))
    await world.job_ended(await world.backup(item))
    point = (await world.points(item))[-1]["name"]
    restored = Restored(world, vm, item, point)
    world.now = datetime.fromisoformat(until) - timedelta(seconds=10)
    job = await restored.restore("RestoreDisks")
    world.pass_time(minutes=20)
    assert len(await world.points(item)) == 2
    assert (await world.job_ended(job))["status"] == "Completed"
    assert len(await world.points(item)) == 1


async def test_selected_disks_only(backed_up: Restored) -> None:
    job = await backed_up.restore(
        "RestoreDisks", targetResourceGroupId=TARGET, restoreDiskLunList=[1]
    )
    await backed_up.world.job_ended(job)
    assert sorted(backed_up.world.cloud.disks.values()) == [b"data 1", b"os disk"]


async def test_vhds_show_their_progress(backed_up: Restored) -> None:
    job = await backed_up.restore("RestoreDisks")
    first = (await backed_up.world.get(job))["properties"]["extendedInfo"]
    assert first["progressPercentage"] == 1.0
    assert "taskExecutionDetails" not in first["tasksList"][0]
    backed_up.world.pass_time(seconds=1068.5)
    half = (await backed_up.world.get(job))["properties"]["extendedInfo"]
    assert half["tasksList"][0]["taskExecutionDetails"] == "1.5 GBs / 3 GBs Transferred"
    assert half["progressPercentage"] == 50.0
    ended = await backed_up.world.job_ended(job)
    bag = ended["extendedInfo"]["propertyBag"]
    assert bag["Template Blob Uri"].startswith("https://clitest000004.blob.core.windows.net/")
    assert sorted(backed_up.world.exports.blobs.values()) == sorted(CONTENTS)


async def test_in_place(backed_up: Restored) -> None:
    job = await backed_up.restore("OriginalLocation")
    world = backed_up.world
    running = (await world.get(job))["properties"]["extendedInfo"]
    assert running["propertyBag"]["Target VM Name"] is None
    ended = await world.job_ended(job)
    assert [task["status"] for task in ended["extendedInfo"]["tasksList"]] == ["Completed"] * 2
    assert ended["extendedInfo"]["propertyBag"]["Target VM Name"] == "clitest-vm1"
    assert world.cloud.contents(backed_up.vm.id) == list(CONTENTS)
    item = backed_up.point.rpartition("/recoveryPoints/")[0]
    assert len(await world.points(item)) == 2, "what was replaced is kept as a point, too"


async def test_a_new_machine(backed_up: Restored) -> None:
    target = f"{TARGET}/providers/Microsoft.Compute/virtualMachines/new-vm"
    network = f"{TARGET}/providers/Microsoft.Network/virtualNetworks/net1"
    job = await backed_up.restore(
        "AlternateLocation",
        targetResourceGroupId=TARGET,
        targetVirtualMachineId=target,
        virtualNetworkId=network,
    )
    ended = await backed_up.world.job_ended(job)
    bag = ended["extendedInfo"]["propertyBag"]
    assert bag["Target VNet Name"] == "Group clitest.rg000002 net1"
    assert backed_up.world.cloud.contents(target) == list(CONTENTS)


async def test_the_target_group_is_gone(backed_up: Restored) -> None:
    job = await backed_up.restore("RestoreDisks", targetResourceGroupId=TARGET)
    backed_up.world.core.groups.forget(SUBSCRIPTION, "clitest.rg000002")
    ended = await backed_up.world.job_ended(job)
    assert ended["status"] == "Failed"
    assert ended["errorDetails"][0]["errorCode"] == 400141
    assert "progressPercentage" not in ended["extendedInfo"]


async def test_the_storage_account_is_gone(backed_up: Restored) -> None:
    backed_up.world.exports.account = "another"
    job = await backed_up.restore("RestoreDisks")
    ended = await backed_up.world.job_ended(job)
    assert ended["errorDetails"][0]["errorTitle"] == "UserErrorBCMRestoreStorageAccountNotFound"


async def test_cancelling_a_restore(backed_up: Restored) -> None:
    job = await backed_up.restore("RestoreDisks", targetResourceGroupId=TARGET)
    await backed_up.world.answer("POST", f"{job}/cancel")
    ended = await backed_up.world.job_ended(job)
    assert ended["status"] == "Cancelled"
    assert backed_up.world.cloud.disks == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"recoveryType": "Elsewhere"},
        {"recoveryPointId": "12345"},
        {"storageAccountId": ""},
        {"recoveryType": "AlternateLocation"},
        {"objectType": "Other"},
    ],
)
async def test_impossible_orders_are_refused(backed_up: Restored, wrong: dict[str, str]) -> None:
    order = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryType": "RestoreDisks",
        "storageAccountId": f"{ACCOUNT}/a",
        **wrong,
    }
    refusal = await backed_up.world.refused(
        "POST", f"{backed_up.point}/restore", {"properties": order}
    )
    assert refusal.code == "BMSUserErrorInvalidInput"


async def test_disks_are_not_replaced_before_the_transfer_is_complete() -> None:
    world = World()
    vm = world.cloud.add("vm1", b"os")
    await world.make_vault()
    item = await world.protect(vm)
    await world.backup(item)
    world.pass_time(seconds=500)
    (point,) = await world.points(item)
    order = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryType": "OriginalLocation",
        "storageAccountId": f"{ACCOUNT}/a",
    }
    path = f"{item}/recoveryPoints/{point['name']}/restore"
    assert (await world.refused("POST", path, {"properties": order})).status == 400
