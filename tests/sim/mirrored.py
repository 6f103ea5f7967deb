"""A machine in a Recovery Services vault, as the simulation's tests share it."""

from datetime import timedelta
from typing import Any

from shared.memory.recovery_shelf import Course
from shared.model.arm_ids import machine_id
from shared.model.errors import ErrorDetail
from shared.model.ids import DiskUrl, ItemId, JobId, RequestId, VaultName, request_job
from shared.model.item import Item
from shared.model.job import Job
from shared.model.machine import OS_LUN
from shared.model.recovery import VaultJob
from shared.model.vault import Redundancy, Vault, VaultKind
from shared.steps.tick import tick
from tests.sim.world import ITEM, World

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourcegroups/apps"
MACHINE = machine_id(f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web").url
DISK = DiskUrl(f"{GROUP}/providers/microsoft.compute/disks/web-os")
STAGING = f"{GROUP}/providers/microsoft.storage/storageaccounts/vlstaging"
SUBNET = f"{GROUP}/providers/microsoft.network/virtualnetworks/net/subnets/web"
RSV = Vault(
    name=VaultName("rsv"),
    kind=VaultKind.RECOVERY_SERVICES,
    url=f"{GROUP}/providers/microsoft.recoveryservices/vaults/rsv",
    created_at=World().ports.clock.now(),
    region="westeurope",
    redundancy=Redundancy.GRS,
)
POLICY = """
name: gold
time_zone: UTC
schedule: {frequency: daily, at: ["02:00"]}
instant_restore_days: 2
retention: {daily: {keep: 30}}
"""
AS_RECORDED = Course()
QUICK = Course(snapshot=40, unseen=20, transfer=40, restore=30, change=20, refresh=10)
"""A vault that takes seconds, for stories that are told a hundred times."""
FAILURE = ErrorDetail(code="UserErrorSomething", message="it failed", recommended_action="Look.")


async def a_vault(seed: int = 0, policy: str = POLICY, course: Course = AS_RECORDED) -> World:
    """A machine that nobody protects yet, a Recovery Services vault, a policy."""
    world = World(seed)
    ports = world.ports
    await world.set_up(policy)
    ports.recovery.course = course
    await world.look(ports.recovery.make(RSV))
    await ports.catalog.put_vault(RSV)
    ports.storage.create(DISK, 1024 * 1024)
    ports.machines.create(MACHINE, {OS_LUN: DISK})
    return world


async def protect(world: World, **more: Any) -> Job:
    """The machine into the vault; the job at its end."""
    fields = {"source": MACHINE, "policy": "gold", "vault": "rsv", "item_id": ITEM, **more}
    request = await world.command(type="protect", **fields)
    await world.settle(4000)
    return await job_of(world, "protect", request)


async def protected(seed: int = 0, course: Course = AS_RECORDED) -> World:
    """The machine under protection, before its first backup."""
    world = await a_vault(seed, course=course)
    await protect(world)
    return world


async def machines(world: World, count: int) -> list[ItemId]:
    """So many machines more, each protected."""
    ids = []
    for number in range(count):
        disk = DiskUrl(f"{DISK}-{number}")
        world.ports.storage.create(disk, 512)
        machine = DiskUrl(f"{MACHINE}-{number}")
        world.ports.machines.create(machine, {OS_LUN: disk})
        ids.append(ItemId(f"web-{number}"))
        fields = {"source": machine, "policy": "gold", "vault": "rsv", "item_id": ids[-1]}
        await world.command(type="protect", **fields)
    await world.settle(4000)
    return ids


async def ask(world: World, type_: str, operation: str, **fields: Any) -> Job:
    """A command for the item; its job at its end."""
    request = await world.command(type=type_, item_id=ITEM, **fields)
    await world.settle(4000)
    return await job_of(world, operation, request)


async def back_up(world: World, **fields: Any) -> Job:
    return await ask(world, "backup-now", "backup", **fields)


async def slot(world: World, limit: int = 400) -> None:
    """The next slot comes, at two o'clock; the vault and our timer go on by themselves."""
    now = world.ports.clock.now()
    at = now.replace(hour=2, minute=0, second=30, microsecond=0)
    world.ports.clock.set(at if at > now else at + timedelta(days=1))
    await world.survive(tick(world.ports))
    await world.settle(limit)


async def an_hour_passes(world: World) -> None:
    """The timer fires, the item is looked at."""
    world.ports.clock.advance(3601)
    await world.survive(tick(world.ports))
    await world.settle(4000)


async def days_pass(world: World, days: int = 1) -> None:
    """Nothing happens but what the timer and the vault do, every few hours."""
    for _ in range(days * 6):
        world.ports.clock.advance(4 * 3600)
        await world.survive(tick(world.ports))
        await world.settle(4000)


async def job_of(world: World, operation: str, request: str) -> Job:
    return await the_job(world, request_job(ITEM, operation, RequestId(request)))


async def the_job(world: World, id_: JobId) -> Job:
    row = await world.look(world.ports.ledger.get(ITEM, Job, id_))
    assert row is not None, id_
    job: Job = row.record
    return job


async def the_item(world: World, id_: ItemId = ITEM) -> Item:
    item: Item | None = await world.look(world.item(id_))
    assert item is not None
    return item


def vault_jobs(world: World, operation: str = "Backup") -> list[VaultJob]:
    """The vault's own jobs of the kind, oldest first."""
    return [
        job for job in world.ports.recovery.shelf(RSV).jobs.values() if job.operation == operation
    ]
