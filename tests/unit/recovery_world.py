"""Microsoft.RecoveryServices without a network: machines in memory, and a clock that tests turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.arm.answers import Answer, ArmError, JsonObject
from local.arm.clock import Clock
from local.arm.core import open_core
from local.arm.groups import group_id
from local.arm.recovery.provider import RecoveryServices
from local.arm.routing import Call, Router, split_path

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = "clitest.rg000001"
REGION = "eastus2euap"
START = datetime(2024, 5, 13, 10, 25, 0, tzinfo=UTC)
VAULT = f"{group_id(SUBSCRIPTION, GROUP)}/providers/Microsoft.RecoveryServices/vaults/v1"


@dataclass(frozen=True)
class MemoryDisk:
    disk_id: str
    name: str
    lun: int | None
    size_bytes: int
    sku: str
    os_type: str | None
    vhd: str


@dataclass(frozen=True)
class MemoryVm:
    id: str
    name: str
    group: str
    location: str = REGION
    os_type: str = "Windows"
    vm_size: str = "Standard_DS1_v2"
    power: str = "running"
    agent_ready: bool = True
    network: bool = True
    disks: tuple[MemoryDisk, ...] = ()


@dataclass
class MemoryCloud:
    """Machines by lower-case id, bytes by the name of their blob."""

    machines: dict[str, MemoryVm] = field(default_factory=dict)
    bytes_of: dict[str, bytes] = field(default_factory=dict)
    disks: dict[str, bytes] = field(default_factory=dict)
    points: dict[str, dict[str, str]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    made: int = 0

    def add(self, name: str, *contents: bytes, group: str = GROUP, **facts: Any) -> MemoryVm:
        """A machine; the first content is its OS disk's, the rest are LUN 0, 1, …"""
        scope = f"{group_id(SUBSCRIPTION, group)}/providers/Microsoft.Compute"
        disks = []
        for number, content in enumerate(contents):
            disk = f"{name}-disk{number}"
            lun = number - 1 if number else None
            vhd = self.keep(content)
            disk_id = f"{scope}/disks/{disk}"
            disks.append(MemoryDisk(disk_id, disk, lun, 1 << 30, "Premium_LRS", None, vhd))
        vm_id = f"{scope}/virtualMachines/{name}"
        vm = MemoryVm(vm_id, name, group, disks=tuple(disks), **facts)
        self.machines[vm_id.casefold()] = vm
        return vm

    def change(self, vm: MemoryVm, **facts: Any) -> None:
        self.machines[vm.id.casefold()] = replace(vm, **facts)

    def write(self, vm: MemoryVm, number: int, content: bytes) -> None:
        self.bytes_of[vm.disks[number].vhd] = content

    def vm(self, vm_id: str) -> MemoryVm | None:
        return self.machines.get(vm_id.casefold())

    def vms(self, subscription: str) -> list[MemoryVm]:
        return list(self.machines.values())

    def vm_body(self, vm_id: str) -> JsonObject | None:
        return {"properties": {}} if vm_id.casefold() in self.machines else None

    async def freeze(self, vhd: str) -> str:
        copy = self.keep(self.bytes_of[vhd])
        self.frozen.add(copy)
        return copy

    async def drop(self, vhd: str) -> None:
        self.bytes_of.pop(vhd, None)
        self.frozen.discard(vhd)

    async def make_disk(
        self,
        disk_id: str,
        *,
        location: str,
        sku: str,
        vhd: str,
        now: datetime,
        os_type: str | None = None,
    ) -> str:
        self.disks[disk_id] = self.bytes_of[vhd]
        return disk_id

    async def make_vm(
        self,
        vm_id: str,
        like: JsonObject,
        os_disk_id: str,
        data_disks: Mapping[int, str],
        now: datetime,
    ) -> None:
        name, group = vm_id.rpartition("/")[2], vm_id.split("/")[4]
        vm = MemoryVm(vm_id, name, group, disks=self._attached(os_disk_id, data_disks))
        self.machines[vm_id.casefold()] = vm

    async def swap_disks(
        self,
        vm_id: str,
        now: datetime,
        os_disk_id: str | None = None,
        data_disks: Mapping[int, str] | None = None,
    ) -> None:
        assert os_disk_id
        vm = self.machines[vm_id.casefold()]
        self.change(vm, disks=self._attached(os_disk_id, data_disks or {}))

    def _attached(self, os_disk: str, data: Mapping[int, str]) -> tuple[MemoryDisk, ...]:
        places: list[tuple[int | None, str]] = [(None, os_disk), *sorted(data.items())]
        return tuple(
            MemoryDisk(
                disk,
                disk.rpartition("/")[2],
                lun,
                1 << 30,
                "Premium_LRS",
                None,
                self.keep(self.disks[disk]),
            )
            for lun, disk in places
        )

    def contents(self, vm_id: str) -> list[bytes]:
        vm = self.machines[vm_id.casefold()]
        return [self.bytes_of[disk.vhd] for disk in vm.disks]

    def make_collection(self, collection_id: str, vm_id: str, location: str, now: datetime) -> None:
        pass

    async def make_point(
        self, point_id: str, vm_id: str, now: datetime, *, crash_consistent: bool = False
    ) -> JsonObject:
        vm = self.machines[vm_id.casefold()]
        held = {disk.disk_id: self.keep(self.bytes_of[disk.vhd]) for disk in vm.disks}
        self.points[point_id.casefold()] = held
        return {"properties": {"provisioningState": "Succeeded"}}

    def point_vhds(self, point_id: str) -> Mapping[str, str]:
        return self.points.get(point_id.casefold(), {})

    async def drop_point(self, point_id: str) -> None:
        for vhd in self.points.pop(point_id.casefold(), {}).values():
            await self.drop(vhd)

    def keep(self, content: bytes) -> str:
        self.made += 1
        self.bytes_of[f"vhd{self.made}"] = content
        return f"vhd{self.made}"


@dataclass
class MemoryExports:
    """All accounts are known but where `account` names one."""

    cloud: MemoryCloud
    account: str | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)

    async def export(self, vhd: str, account: str, container: str, blob: str) -> str | None:
        if self.account not in (None, account):
            return None
        self.blobs[f"{container}/{blob}"] = self.cloud.bytes_of[vhd]
        return f"https://{account}/{container}/{blob}"


class World:
    """The provider, its cloud and its time. Requests go past HTTP, faults and throttling."""

    def __init__(
        self, data_dir: Path | None = None, cloud: MemoryCloud | None = None, **options: Any
    ) -> None:
        self.now = START
        core = open_core(data_dir)
        self.core = replace(core, clock=Clock(START, wall=lambda: self.now))
        self.cloud = cloud or MemoryCloud()
        self.exports = MemoryExports(self.cloud)
        self.core.groups.ensure(SUBSCRIPTION, GROUP, REGION)
        self.service = RecoveryServices(self.core, self.cloud, self.exports, **options)
        self.router = Router([*self.service.routes(), *self.service.controls()])

    def pass_time(self, **length: float) -> None:
        self.now += timedelta(**length)

    async def answer(
        self, method: str, url: str, body: JsonObject | None = None, *, fate: Any = None
    ) -> Answer:
        """The answer to a request; `url` may be absolute. Raises ArmError as handlers do."""
        parts = urlsplit(url)
        match = self.router.match(method, split_path(parts.path))
        assert match is not None, f"no route for {method} {url}"
        query = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
        call = Call(
            operation=match.route.operation,
            method=method,
            path=parts.path,
            params=match.params,
            query=query,
            body=body or {},
            api_version=query.get("api-version", "2024-04-01"),
            principal="somebody",
            now=self.now,
            origin="http://arm",
            fate=fate,
            failure={"code": "Broken", "message": "as scripted"} if fate else None,
        )
        await self.service.settle(self.now)
        return await match.route.handler(call)

    async def get(self, url: str) -> Any:
        """The body of a GET."""
        return (await self.answer("GET", url)).body

    async def refused(self, method: str, url: str, body: JsonObject | None = None) -> ArmError:
        """The refusal of a request that must be refused."""
        try:
            answer = await self.answer(method, url, body)
        except ArmError as error:
            return error
        raise AssertionError(f"{method} {url} was not refused: {answer.status}")

    # --- what tests do over and over ----------------------------------------------------------

    async def make_vault(self, vault: str = VAULT, *, soft_delete: bool = False) -> None:
        body = {"location": REGION, "sku": {"name": "Standard"}, "properties": {}}
        await self.answer("PUT", vault, body)
        self.pass_time(seconds=10)
        state = "Enabled" if soft_delete else "Disabled"
        config = {"properties": {"softDeleteFeatureState": state}}
        await self.answer("PATCH", f"{vault}/backupconfig/vaultconfig", config)

    async def protect(self, vm: MemoryVm, policy: str = "DefaultPolicy", vault: str = VAULT) -> str:
        """Enables protection and waits for it; the item's id."""
        item = item_path(vm, vault)
        await self.answer("PUT", item, protection(vm, policy, vault))
        self.pass_time(seconds=40)
        return item

    async def backup(self, item: str, **properties: Any) -> str:
        """Starts a backup; its job's path."""
        body = {"properties": {"objectType": "IaasVMBackupRequest", **properties}}
        return await self.job_of(await self.answer("POST", f"{item}/backup", body))

    async def job_of(self, answer: Answer) -> str:
        """The path of the job behind a 202, as clients find it: by the operation in its headers."""
        assert (answer.status, answer.body) == (202, None)
        operation = urlsplit(answer.headers["Azure-AsyncOperation"]).path.rpartition("/")[2]
        body = await self.get(f"{VAULT}/backupOperations/{operation}")
        while body["status"] == "InProgress":
            self.pass_time(seconds=5)
            body = await self.get(f"{VAULT}/backupOperations/{operation}")
        return f"{VAULT}/backupJobs/{body['properties']['jobId']}"

    async def job_ended(self, job: str) -> Any:
        """The job's properties once it is over."""
        for _ in range(300):
            body = await self.get(job)
            if "endTime" in body["properties"]:
                return body["properties"]
            self.pass_time(seconds=30)
        raise AssertionError(f"{job} never ends")

    async def points(self, item: str) -> list[Any]:
        return list((await self.get(f"{item}/recoveryPoints"))["value"])


def item_path(vm: MemoryVm, vault: str = VAULT) -> str:
    """As clients write it first: from the id of the protectable item, `;` encoded."""
    short = f"iaasvmcontainerv2%3B{vm.group}%3B{vm.name}"
    return (
        f"{vault}/backupFabrics/Azure/protectionContainers/IaasVMContainer%3B{short}"
        f"/protectedItems/vm%3B{short}"
    )


def protection(vm: MemoryVm, policy: str, vault: str = VAULT) -> dict[str, Any]:
    properties = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": vm.id,
        "policyId": f"{vault}/backupPolicies/{policy}",
    }
    return {"properties": properties}
