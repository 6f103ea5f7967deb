"""The contract suite's worlds of Recovery Services: the memory's, and the laptop's ARM through the
SDK. Both run on a clock that the test turns."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from local.arm.core import Core
from local.arm.recovery.provider import RecoveryServices
from local.arm.server import ArmServer
from shared.azure.arm import Arm
from shared.azure.http import Pool
from shared.azure.recovery.vaults import AzureRecoveryVaults
from shared.contracts.policy import default_policy
from shared.decide.explaining import explained
from shared.decide.vault_policy import translate
from shared.memory.clock import ManualClock
from shared.memory.machines import MemoryMachines
from shared.memory.recovery import MemoryRecovery
from shared.memory.storage import MemoryStorage
from shared.model.cloud import Cloud
from shared.model.deferral import Deferred
from shared.model.ids import DiskUrl, VaultName
from shared.model.job import Status
from shared.model.recovery import VaultItem, VaultJob, VaultPoint
from shared.model.vault import Redundancy, Vault, VaultKind
from shared.ports.recovery import RecoveryVaults
from tests.unit import recovery_world as fake

REGION = fake.REGION
START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SCOPE = f"/subscriptions/{fake.SUBSCRIPTION}/resourcegroups/{fake.GROUP}/providers"
VAULT = Vault(
    name=VaultName("rs"),
    kind=VaultKind.RECOVERY_SERVICES,
    url=f"{SCOPE}/microsoft.recoveryservices/vaults/rs",
    created_at=START,
    region=REGION,
    redundancy=Redundancy.GRS,
)
STAGING = f"{SCOPE}/microsoft.storage/storageaccounts/staging"
SUBNET = f"{SCOPE}/microsoft.network/virtualnetworks/net/subnets/default"
POLICY = translate(default_policy(), date(2026, 11, 21)).body
"""Daily at two in the morning, UTC: eight hours before the world begins."""
SNAPSHOT_SECONDS = 700.0
"""By then a backup's snapshot has been taken, and its transfer shows."""
FAILURE = explained("DiffCopyFailedToTransferData", "Backup failed to copy data to vault.")


@dataclass
class RecoveryWorld:
    """The port, and the hands of those who own the machines."""

    recovery: RecoveryVaults
    clock: ManualClock
    make_machine: Callable[[str], None]
    fail_transfer: Callable[[], None]
    vault: Vault = VAULT

    def machine(self, name: str) -> DiskUrl:
        return DiskUrl(f"{SCOPE}/microsoft.compute/virtualmachines/{name}")

    async def done(self, call: Callable[[], Awaitable[None]]) -> None:
        """Calls until it is not deferred any more."""
        for _ in range(30):
            try:
                return await call()
            except Deferred as error:
                self.clock.advance(error.retry_after or 1.0)
        raise AssertionError("it is deferred for ever")

    async def open(self) -> None:
        """The vault with its policy, and a machine that it has found."""
        self.make_machine("vm1")
        await self.done(lambda: self.recovery.make(self.vault))
        await self.recovery.put_policy(self.vault, "default", POLICY)
        await self.discover()

    async def discover(self) -> None:
        name = await self.recovery.discover(self.vault)
        while not await self.recovery.discovered(self.vault, name):
            self.clock.advance(5)

    async def protect(self, name: str = "vm1") -> DiskUrl:
        await self.ended(await self.recovery.enable(self.vault, self.machine(name), "default"))
        return self.machine(name)

    async def back_up(self, machine: DiskUrl) -> VaultJob:
        until = self.clock.now() + timedelta(days=40)
        return await self.ended(await self.recovery.backup(self.vault, machine, until))

    async def job(self, operation: str) -> VaultJob:
        """The job of what was begun, as it is by the time that it is named."""
        for _ in range(100):
            status = await self.recovery.operation(self.vault, operation)
            if status.job:
                return await self.recovery.job(self.vault, status.job)
            assert status.status is Status.IN_PROGRESS
            self.clock.advance(10)
        raise AssertionError("the operation never ends")

    async def ended(self, operation: str) -> VaultJob:
        """The job once it is over."""
        job = await self.job(operation)
        while not job.status.ended:
            self.clock.advance(120)
            job = await self.recovery.job(self.vault, job.id)
        return job

    async def item(self, machine: DiskUrl) -> VaultItem:
        item = await self.recovery.item(self.vault, machine)
        assert item is not None
        return item

    async def points(self, machine: DiskUrl) -> list[VaultPoint]:
        listing = self.recovery.points(self.vault, machine)
        found = [point async for page in listing for point in page]
        return sorted(found, key=lambda point: point.taken_at)


def memory_world() -> RecoveryWorld:
    clock = ManualClock(START)
    machines = MemoryMachines(MemoryStorage(clock))
    recovery = MemoryRecovery(clock, machines)

    def make(name: str) -> None:
        machines.create(DiskUrl(f"{SCOPE}/microsoft.compute/virtualmachines/{name}"), {})

    return RecoveryWorld(
        recovery, clock, make, lambda: recovery.fail_next(VAULT, "transfer", FAILURE)
    )


@dataclass
class FakeAzure:
    """The fake behind the port, for what only Azure does: bad days, limits, other people."""

    core: Core
    cloud: fake.MemoryCloud
    service: RecoveryServices
    arm: Arm
    requests: Callable[[str, str, Any], Awaitable[Any]]

    def fault(self, **what: Any) -> None:
        """Scripts one, as `local/arm/faults.py` takes it; it fires once unless told otherwise."""
        self.core.faults.add([what])


class _OneClock(ManualClock):
    """Turns the fake's time with the caller's."""

    def __init__(self, world: fake.World) -> None:
        super().__init__(START)
        self._world = world
        world.now = START

    def set(self, now: datetime) -> datetime:
        self._world.now = super().set(now)
        return self._world.now


@asynccontextmanager
async def azure_world(
    hourly_reads: int | None = None,
) -> AsyncIterator[tuple[RecoveryWorld, FakeAzure]]:
    """The adapter over HTTP to the fake, whose machines are in memory."""
    world = fake.World(hourly_reads=hourly_reads)
    clock = _OneClock(world)
    world.core.groups.ensure(fake.SUBSCRIPTION, fake.GROUP, REGION)
    pool = Pool(4)
    async with ArmServer(world.core, [world.service]) as server:
        arm = _arm(server.origin, pool, clock)
        people = FakeAzure(world.core, world.cloud, world.service, arm, world.answer)
        yield _over(arm, clock, people), people
        await pool.close()


def _arm(origin: str, pool: Pool, clock: ManualClock) -> Arm:
    groups = frozenset({fake.GROUP, "restored"})
    cloud = Cloud(
        endpoint=origin, subscriptions=frozenset({fake.SUBSCRIPTION}), restore_groups=groups
    )

    def nobody() -> Any:
        raise AssertionError("no token goes over plain http")

    return Arm(cloud, nobody, pool, clock)


def _over(arm: Arm, clock: ManualClock, people: FakeAzure) -> RecoveryWorld:
    def make(name: str) -> None:
        people.cloud.add(name, b"os", b"data", os_type="Linux")

    def fail() -> None:
        people.service.script({"failure": FAILURE.code})

    return RecoveryWorld(AzureRecoveryVaults(arm), clock, make, fail)


def with_redundancy(world: RecoveryWorld, redundancy: Redundancy) -> Vault:
    return replace(world.vault, redundancy=redundancy)
