"""Protection through the pipeline: claims, discoveries, soft deletion, each under faults."""

import asyncio
from datetime import timedelta

import pytest

from shared.contracts.policy import parse_policy
from shared.memory import Fault
from shared.model.ids import DiskUrl, ItemId, RequestId, VaultName, default_item_id, request_job
from shared.model.inventory import DISCOVERY, KnownDisk
from shared.model.item import ProtectionState
from shared.model.job import Job, Operation, Status
from shared.model.vault import Vault, VaultKind
from shared.steps.holds import hold_point, release_point
from shared.steps.tick import tick
from tests.sim.scenes import MIB, Truth, backup, content, restore_all, scheduled, scribble, started
from tests.sim.world import DISK, ITEM, POLICY, Crash, World

KEPT = timedelta(days=14)


async def backed_up() -> tuple[World, Truth]:
    world = await started()
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    await backup(world)
    return world, truth


async def delete(world: World) -> None:
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()


async def days_go_by(world: World, days: int) -> None:
    """Every day the timer fires, and whatever is due is done."""
    for _ in range(days):
        world.ports.clock.advance(86_400)
        await world.survive(tick(world.ports))
        await world.settle()


def failed(jobs: list[Job]) -> list[str]:
    return [job.error.code for job in jobs if job.status is Status.FAILED and job.error]


async def test_19_a_deleted_item_is_kept_whole_for_14_days_and_then_gone() -> None:
    """Invariant 19: whatever retention runs meanwhile, nothing goes before its time."""
    world, _ = await backed_up()
    points = await world.points()
    await delete(world)
    item = await world.item()
    assert item is not None
    assert item.state is ProtectionState.PROTECTION_STOPPED
    assert item.delete_after == world.ports.clock.now() + KEPT
    await days_go_by(world, 13)
    await world.expire()
    assert [point.id for point in await world.points()] == [point.id for point in points]
    await days_go_by(world, 2)
    assert await world.item() is None
    assert await world.points() == []
    assert world.ports.storage.find(item.replica) is None
    assert await world.ports.disks.snapshots(DISK) == []
    assert [id_ async for id_ in world.ports.catalog.items()] == []
    known = await world.ports.inventory.disk(DISK)
    assert known is not None
    assert known.item is None


async def test_19_an_undeleted_item_is_whole_and_goes_on() -> None:
    """Invariant 19: what came back restores byte for byte, and its next backup is an increment."""
    world, truth = await backed_up()
    await delete(world)
    await days_go_by(world, 10)
    await world.command(type="undelete", item_id=ITEM)
    await world.settle()
    item = await world.item()
    assert item is not None
    assert (item.state, item.delete_after) == (ProtectionState.PROTECTION_STOPPED, None)
    await days_go_by(world, 30)
    assert len(await world.points()) == 2
    await world.protect()
    await world.settle()
    item = await world.item()
    assert item is not None
    assert item.state is ProtectionState.PROTECTED
    scribble(world)
    await backup(world)
    assert [point.kind.value for point in await world.points()][-1] == "incremental"
    await restore_all(world, truth)


async def test_a_deleted_item_refuses_everything_but_its_return() -> None:
    world, _ = await backed_up()
    await delete(world)
    due = (await world.item()).delete_after  # type: ignore[union-attr]
    for command in (
        {"type": "stop-protection", "item_id": ITEM, "delete_data": False},
        {"type": "restore", "item_id": ITEM, "target": {"kind": "alternate", "url": f"{DISK}-x"}},
        {"type": "protect", "source": DISK, "policy": "gold", "vault": "vault", "item_id": ITEM},
    ):
        await world.command(**command)
        await world.settle()
    assert failed(await world.jobs()) == ["ItemDeleted"] * 3
    world.ports.clock.advance(3600)
    await delete(world)
    item = await world.item()
    assert item is not None
    assert item.delete_after == due, "a second deletion puts nothing off"


async def test_an_item_that_is_not_deleted_has_no_return() -> None:
    world, _ = await backed_up()
    await world.command(type="undelete", item_id=ITEM)
    await world.settle()
    assert failed(await world.jobs()) == ["InvalidInput"]


async def test_a_deletion_waits_for_the_restore_that_reads_a_point() -> None:
    """Invariant 8 beside 19: the restore began before the deletion, and ends after its time."""
    world, truth = await backed_up()
    point = (await world.points())[0]
    url = DiskUrl(f"{DISK}-late")
    await world.command(
        type="restore", item_id=ITEM, point=point.id, target={"kind": "alternate", "url": url}
    )
    await world.serve_one("commands")
    held, world.running = world.running, {}
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.serve_one("commands")
    world.ports.clock.advance(KEPT.total_seconds())
    await tick(world.ports)
    while await world.serve_one():
        pass
    assert [left.id for left in await world.points()] == [point.id]
    world.running = held
    await world.settle()
    assert content(world, url) == truth.at(point)
    world.ports.clock.advance(3600)
    await tick(world.ports)
    await world.settle()
    assert await world.item() is None


async def test_a_deletion_waits_for_a_held_point() -> None:
    """It is due again, hour by hour, until the point is released."""
    world, _ = await backed_up()
    point = (await world.points())[0]
    await hold_point(world.ports, point.id, "evidence")
    await delete(world)
    await days_go_by(world, 20)
    assert [left.id for left in await world.points()] == [point.id]
    await release_point(world.ports, point.id)
    assert await world.item() is not None
    await days_go_by(world, 1)
    assert await world.item() is None


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_6_a_death_at_any_call_of_a_deletion_is_survived(applied: bool) -> None:
    """Invariants 6 and 19: from the request to the last row, the process dies at the n-th call;
    the item is gone in the end, and never before its time."""
    number, fired = 0, True
    while fired:
        world = await started(size=2 * MIB)
        await scheduled(world)
        replica = (await world.item()).replica  # type: ignore[union-attr]
        fault = world.ports.faults.plan(Fault(call="*", skip=number, applied=applied, error=Crash))
        await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
        await world.settle()
        item = await world.look(world.item())
        assert item is not None
        assert item.delete_after is not None
        world.ports.clock.set(item.delete_after)
        for _ in range(2):
            await world.survive(tick(world.ports))
            await world.settle()
            world.ports.clock.advance(3600)
        fired = bool(fault.fired)
        world.ports.faults.planned.clear()
        assert await world.item() is None, number
        assert world.ports.storage.find(replica) is None, number
        number += 1
    assert number > 20


# ---------------------------------------------------------------- one disk, one item


async def test_18_a_disk_belongs_to_one_item() -> None:
    """Invariant 18: the same disk under a second id is refused, however its URL is written."""
    world, _ = await backed_up()
    again = DISK.replace("https://vlsource", "HTTPS://VLSOURCE").replace("os.vhd", "os%2Evhd")
    for source in (DISK, again):
        world.ports.storage.create(DiskUrl(source), 512) if source != DISK else None
        await world.command(
            type="protect", source=source, policy="gold", vault="vault", item_id="second"
        )
    await world.settle()
    second = ItemId("second")
    assert await world.item(second) is None
    jobs = await world.jobs(second)
    assert failed(jobs) == ["SourceProtected"] * 2
    assert jobs[0].error
    assert f"belongs to item {ITEM}" in jobs[0].error.message


async def test_18_of_two_that_protect_one_disk_at_once_one_wins() -> None:
    """Invariant 18: both requests are under way together, call by call."""
    for seed in range(30):
        world = World(seed)
        await world.set_up()
        world.ports.storage.create(DISK, 512)
        world.ports.faults.before = lambda _: asyncio.sleep(0)
        for id_ in ("one", "two"):
            await world.command(
                type="protect", source=DISK, policy="gold", vault="vault", item_id=id_
            )
        await asyncio.gather(world.serve_one(), world.serve_one())
        world.ports.faults.before = None
        await world.settle()
        items = [await world.item(ItemId(id_)) for id_ in ("one", "two")]
        assert sum(item is not None for item in items) == 1
        known = await world.ports.inventory.disk(DISK)
        assert known is not None
        assert known.item == next(item.id for item in items if item)


async def test_a_claim_that_came_to_nothing_is_let_go() -> None:
    """The id was another disk's: the disk itself stays free for a better one."""
    world, _ = await backed_up()
    other = DiskUrl(f"{DISK}-other")
    world.ports.storage.create(other, 512)
    await world.protect(other, ITEM)
    await world.settle()
    assert failed(await world.jobs()) == ["AlreadyExists"]
    await world.protect(other, ItemId("other"))
    await world.settle()
    assert await world.item(ItemId("other")) is not None


async def test_one_policy_an_item() -> None:
    """The refusal names both."""
    world, _ = await backed_up()
    await world.ports.catalog.put_policy(parse_policy(POLICY.replace("gold", "silver")))
    await world.command(type="protect", source=DISK, policy="silver", vault="vault", item_id=ITEM)
    await world.settle()
    (job,) = [job for job in await world.jobs() if job.error]
    assert job.error
    assert "under policy gold" in job.error.message
    assert "under silver" in job.error.message


async def test_which_vaults_take_a_page_blob() -> None:
    """Storage vaults do, from anywhere; Azure's own vaults take machines alone."""
    world = await started()
    for kind, region in ((VaultKind.STORAGE, "eastus2"), (VaultKind.RECOVERY_SERVICES, "eastus2")):
        await world.ports.catalog.put_vault(
            Vault(
                name=VaultName(kind.value),
                kind=kind,
                url=f"https://vlvault.blob.core.windows.net/{kind.value}",
                created_at=world.ports.clock.now(),
                region=region,
            )
        )
    far = DiskUrl(f"{DISK}-far")
    world.ports.storage.create(far, 512)
    for kind in VaultKind:
        await world.command(
            type="protect", source=far, policy="gold", vault=kind.value, item_id=f"far-{kind.value}"
        )
    await world.settle()
    assert await world.item(ItemId("far-storage")) is not None
    refused = await world.jobs(ItemId("far-recovery-services"))
    assert failed(refused) == ["NotAMachine"]


async def test_the_partition_of_discoveries_is_no_item() -> None:
    world = await started()
    other = DiskUrl(f"{DISK}-other")
    world.ports.storage.create(other, 512)
    await world.protect(other, DISCOVERY)
    await world.settle()
    assert await world.item(DISCOVERY) is None


# ---------------------------------------------------------------- discovery

CONTAINER = "https://vlsource.blob.core.windows.net/disks"


async def discover(world: World, **scope: str) -> Job:
    request = await world.command(type="discover", scope={"url": CONTAINER, **scope})
    await world.settle()
    id_ = request_job(DISCOVERY, "discover", RequestId(request))
    row = await world.look(world.ports.ledger.get(DISCOVERY, Job, id_))
    assert row is not None
    job: Job = row.record
    return job


async def known_disks(world: World) -> dict[str, KnownDisk]:
    return {disk.url: disk async for disk in world.ports.inventory.disks()}


async def test_a_discovery_registers_what_is_new() -> None:
    """Each disk has a registration of its own; what is protected, or a replica, is not new."""
    world, _ = await backed_up()
    data = [DiskUrl(f"{CONTAINER}/data-{n}.vhd") for n in range(3)]
    for url in data:
        world.ports.storage.create(url, 512)
    job = await discover(world)
    assert (job.status, job.detail) == (Status.COMPLETED, '{"found":4,"registered":3}')
    known = await known_disks(world)
    assert set(known) == {DISK, *data}
    assert {disk.item for url, disk in known.items() if url != DISK} == {None}
    registrations = [job for url in data for job in await world.jobs(default_item_id(url))]
    assert [(job.operation, job.status) for job in registrations] == [
        (Operation.REGISTER, Status.COMPLETED)
    ] * 3
    assert (await discover(world)).detail == '{"found":4,"registered":0}'
    await world.command(type="discover", scope={"url": "https://vlvault.blob.core.windows.net"})
    await world.settle()
    assert set(await known_disks(world)) == {DISK, *data}


async def test_a_discovery_by_prefix_and_tag() -> None:
    world = await started()
    for name in ("web-1", "web-2", "db-1"):
        url = DiskUrl(f"{CONTAINER}/{name}.vhd")
        world.ports.storage.create(url, 512)
        world.ports.storage.label(url, "backup", "no" if name == "web-2" else "yes")
    assert (await discover(world, url=f"{CONTAINER}/web-")).detail.startswith('{"found":2')
    job = await discover(world, url=f"{CONTAINER}/web-", tag="backup=yes")
    assert job.detail.startswith('{"found":1')


async def test_a_discovery_out_of_our_reach_fails_with_the_reason() -> None:
    world = await started()
    world.ports.storage.foreign_hosts = ("https://elsewhere",)
    await world.command(type="discover", scope={"url": "https://elsewhere.example/disks"})
    await world.settle()
    (job,) = await world.jobs(DISCOVERY)
    assert failed([job]) == ["InvalidInput"]
    assert len(world.ports.bus.dead_letters) == 1


@pytest.mark.fault(22)
async def test_a_discovery_whose_message_burnt_out_is_begun_again() -> None:
    """Fault 22 of a discovery: ten deliveries fail, its message is dead-lettered; the reconciler
    sends its command again, tag and all, and it ends once."""
    world = await started()
    url = DiskUrl(f"{CONTAINER}/data.vhd")
    world.ports.storage.create(url, 512)
    world.ports.storage.label(url, "backup", "yes")
    fault = world.ports.faults.plan(Fault(call="disks.search", times=10))
    job = await discover(world, tag="backup=yes")
    assert fault.fired == 10
    assert len(world.ports.bus.dead_letters) == 1
    assert job.status is Status.IN_PROGRESS
    for _ in range(20):
        await world.wait()
        await world.settle()
    row = await world.ports.ledger.get(DISCOVERY, Job, job.id)
    assert row is not None
    job = row.record
    assert (job.status, job.detail) == (Status.COMPLETED, '{"found":1,"registered":1}')
    watches = world.ports.due.watches(world.ports.clock.now() + KEPT)
    assert DISCOVERY not in [watch.item async for watch in watches]


async def test_a_discovery_that_never_ends_fails_with_the_reason() -> None:
    world = await started()
    world.ports.faults.plan(Fault(call="disks.search", times=10**9))
    job = await discover(world)
    for _ in range(400):
        await world.wait()
        await world.settle()
    row = await world.look(world.ports.ledger.get(DISCOVERY, Job, job.id))
    assert failed([row.record]) == ["Stalled"]


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_6_a_death_at_any_call_of_a_discovery_is_survived(applied: bool) -> None:
    """Invariant 6: every disk is registered in the end, by one job each."""
    number, fired = 0, True
    while fired:
        world = World()
        await world.set_up()
        urls = [DiskUrl(f"{CONTAINER}/data-{n}.vhd") for n in range(2)]
        for url in urls:
            world.ports.storage.create(url, 512)
        fault = world.ports.faults.plan(Fault(call="*", skip=number, applied=applied, error=Crash))
        job = await discover(world)
        fired = bool(fault.fired)
        world.ports.faults.planned.clear()
        assert job.status is Status.COMPLETED
        assert set(await known_disks(world)) == set(urls)
        for url in urls:
            assert len(await world.jobs(default_item_id(url))) == 1
        number += 1
    assert number > 5
