"""The fake Recovery Services under requests in any order: it never breaks and leaks no bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local.arm.answers import ArmError
from local.arm.groups import group_id
from tests.unit.recovery_world import GROUP, SUBSCRIPTION, VAULT, World, item_path, protection

ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
OVER = {"Completed", "CompletedWithWarnings", "Failed", "Cancelled"}


class Life:
    """One machine in one vault, and what may happen to them."""

    def __init__(self) -> None:
        self.world = World()
        self.vm = self.world.cloud.add("vm1", b"os", b"data")
        self.item = item_path(self.vm)
        self.ended: dict[str, str] = {}

    async def ask(self, method: str, url: str, properties: dict[str, Any] | None = None) -> Any:
        """A request that may be refused; its body, None for a refusal."""
        body = None if properties is None else {"properties": properties}
        try:
            return (await self.world.answer(method, url, body)).body
        except ArmError:
            return None

    async def protect(self) -> None:
        await self.ask("PUT", self.item, protection(self.vm, "DefaultPolicy")["properties"])

    async def enhance(self) -> None:
        await self.ask("PUT", self.item, protection(self.vm, "EnhancedPolicy")["properties"])

    async def stop(self) -> None:
        stopped = {"policyId": "", "protectionState": "ProtectionStopped"}
        await self.ask("PUT", self.item, protection(self.vm, "")["properties"] | stopped)

    async def undelete(self) -> None:
        back = {"policyId": "", "protectionState": "ProtectionStopped", "isRehydrate": True}
        await self.ask("PUT", self.item, protection(self.vm, "")["properties"] | back)

    async def delete(self) -> None:
        await self.ask("DELETE", self.item)

    async def toggle_soft_delete(self) -> None:
        path = f"{VAULT}/backupconfig/vaultconfig"
        state = (await self.ask("GET", path))["properties"]["softDeleteFeatureState"]
        other = "Disabled" if state == "Enabled" else "Enabled"
        await self.ask("PATCH", path, {"softDeleteFeatureState": other})

    async def back_up(self) -> None:
        await self.ask("POST", f"{self.item}/backup", {"objectType": "IaasVMBackupRequest"})

    async def cancel(self) -> None:
        for job in (await self.ask("GET", f"{VAULT}/backupJobs"))["value"][:3]:
            await self.ask("POST", f"{job['id']}/cancel")

    async def restore_disks(self) -> None:
        await self._restore("RestoreDisks", targetResourceGroupId=group_id(SUBSCRIPTION, GROUP))

    async def restore_in_place(self) -> None:
        await self._restore("OriginalLocation")

    async def _restore(self, kind: str, **rest: Any) -> None:
        listed = await self.ask("GET", f"{self.item}/recoveryPoints") or {"value": []}
        order = {
            "objectType": "IaasVMRestoreRequest",
            "recoveryType": kind,
            "storageAccountId": ACCOUNT,
            **rest,
        }
        for point in listed["value"][-1:]:
            await self.ask("POST", f"{self.item}/recoveryPoints/{point['name']}/restore", order)

    async def lose_machine(self) -> None:
        self.world.cloud.machines.clear()

    async def bring_back_machine(self) -> None:
        self.world.cloud.machines[self.vm.id.casefold()] = self.vm

    async def silence_agent(self) -> None:
        if self.vm.id.casefold() in self.world.cloud.machines:
            self.world.cloud.change(self.vm, agent_ready=False)

    async def fail_transfer(self) -> None:
        self.world.service.script({"failure": "DiffCopyFailedToTransferData"})

    async def lose_snapshots(self) -> None:
        self.world.cloud.points.clear()
        await self.world.service.drop_group(SUBSCRIPTION, "AzureBackupRG_eastus2euap_1")

    async def wait_a_little(self) -> None:
        self.world.pass_time(seconds=40)

    async def wait_a_while(self) -> None:
        self.world.pass_time(minutes=8)

    async def wait_an_hour(self) -> None:
        self.world.pass_time(hours=1)

    async def wait_days(self) -> None:
        self.world.pass_time(days=16)

    async def check(self) -> None:
        """What has ended stays as it ended; what is listed can be read."""
        for job in (await self.ask("GET", f"{VAULT}/backupJobs"))["value"]:
            body = (await self.ask("GET", job["id"]))["properties"]
            known = self.ended.setdefault(job["name"], body["status"])
            if known in OVER:
                assert body["status"] == known
                assert "endTime" in body
                assert body["endTime"] >= body["startTime"]
            else:
                self.ended[job["name"]] = body["status"]
        listed = await self.ask("GET", f"{self.item}/recoveryPoints")
        for point in (listed or {"value": []})["value"]:
            assert await self.ask("GET", point["id"])


DEEDS: list[Callable[[Life], Awaitable[None]]] = [
    deed
    for name, deed in vars(Life).items()
    if not name.startswith("_") and name not in ("ask", "check")
]


async def live(deeds: list[Callable[[Life], Awaitable[None]]]) -> None:
    life = Life()
    await life.world.make_vault(soft_delete=True)
    await life.protect()
    await life.wait_a_little()
    await life.back_up()
    for deed in deeds:
        await deed(life)
        await life.check()
    await end(life)


async def end(life: Life) -> None:
    """Everything is deleted: of the backups' bytes nothing is left."""
    await life.wait_a_while()
    await life.delete()
    await life.wait_days()
    await life.wait_days()
    assert await life.ask("GET", life.item) is None
    assert life.world.cloud.frozen == set(), "copies of a point that is no more"
    assert life.world.cloud.points == {}, "restore points of an item that is no more"


@given(st.lists(st.sampled_from(DEEDS), max_size=25))
@settings(max_examples=60)
def test_any_life_ends_well(deeds: list[Callable[[Life], Awaitable[None]]]) -> None:
    asyncio.run(live(deeds))
