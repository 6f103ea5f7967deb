"""Bases that are none, floods of backups, and an outage of everything; restored bytes decide."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.disk import Snapshot
from shared.model.errors import Transient
from shared.model.ids import DiskUrl, ItemId, PointId, item_id
from shared.model.job import Operation, Status
from shared.model.messages import COMMANDS, COPY
from shared.model.point import Kind, Tier
from shared.model.ranges import Change
from shared.model.transfer import Transfer
from shared.steps.tick import tick
from tests.sim.scenes import (
    Truth,
    backup,
    content,
    restore,
    restore_all,
    scheduled,
    scribble,
)
from tests.sim.test_cancel import backed_up
from tests.sim.world import DISK, ITEM, Crash, World

KIB = 1024


@pytest.mark.fault(3, 9)
async def test_what_was_sealed_but_never_committed_is_no_base() -> None:
    """The process dies between the replica's snapshot and the commit, and the job is cancelled:
    no point of it exists, and the next increment starts from the last one that does."""
    world, truth = await backed_up()
    (committed,) = await world.points()
    item = await world.item()
    assert item is not None
    await world.command(type="backup-now", item_id=ITEM, request_id="never")
    sealed: list[str] = []

    async def die_when_sealed(call: str) -> None:
        blobs = world.ports.storage.blobs_below(item.replica)
        tags = {kept.snapshot.tag for blob in blobs for kept in blob.snapshots.values()}
        if call == "ledger.commit" and tags - {committed.job_id}:
            sealed.append(call)
            raise Crash

    world.ports.faults.before = die_when_sealed
    while not sealed:
        assert await world.serve_one()
    world.ports.faults.before = None
    (job,) = [job for job in await world.jobs() if not job.status.ended]
    await world.command(type="cancel", job_id=job.id)
    assert await world.serve_one(COMMANDS)
    assert [point.id for point in await world.points()] == [committed.id]
    scribble(world)
    assert await _bases_of(world, "after") == {committed.id}
    assert [point.kind for point in await world.points()] == [Kind.FULL, Kind.INCREMENTAL]
    await restore_all(world, truth)


async def _bases_of(world: World, request: str) -> set[PointId]:
    """Backs up; the points that the transfer was planned against on the way."""
    await world.command(type="backup-now", item_id=ITEM, request_id=request)
    found: set[PointId] = set()
    while await world.serve_one():
        async for row in world.ports.ledger.rows(ITEM, Transfer):
            if row.record.base:
                found.add(row.record.base.point)
    await world.settle()
    return found


@pytest.mark.fault(13)
async def test_a_flood_of_backups_ages_no_good_point_out() -> None:
    """What is kept is a matter of time, not of number: 40 backups within an hour leave every
    daily point, also after the clean-ups of the next days."""
    world, truth = await backed_up()
    for _ in range(3):
        scribble(world, 1)
        await scheduled(world)
    good = [point.id for point in await world.points() if Tier.VAULT in point.tiers]
    for _ in range(40):
        world.ports.storage.put(DISK, 0, world.random.randbytes(512))
        await backup(world)
        world.ports.clock.advance(60)
    for _ in range(3):
        await scheduled(world)
    points = {point.id: point for point in await world.points()}
    assert len(points) == len(good) + 40 + 3
    for id_ in good:
        assert Tier.VAULT in points[id_].tiers
        assert content(world, await restore(world, points[id_])) == truth.at(points[id_])


DISKS = 12


async def _fleet() -> tuple[World, dict[str, DiskUrl]]:
    """Disks under protection, each with its first point."""
    world = World()
    await world.set_up()
    disks = {f"disk-{number}": DiskUrl(f"{DISK}-{number}") for number in range(DISKS)}
    for name, url in disks.items():
        world.ports.storage.create(url, 256 * KIB)
        world.ports.storage.put(url, 0, world.random.randbytes(64 * KIB))
        await world.protect(url, item_id(name))
    await world.settle()
    await scheduled(world)
    return world, disks


@pytest.mark.fault(58)
async def test_an_outage_of_all_storage_ends_without_a_stampede() -> None:
    """40 minutes in which no table and no blob answers. Nobody hammers at them meanwhile; then
    each disk is backed up once, by as many requests as on any other day."""
    world, disks = await _fleet()
    calm = _work(world)
    for url in disks.values():
        world.ports.storage.put(url, 0, world.random.randbytes(64 * KIB))
    await scheduled(world)
    calm = _work(world) - calm
    assert calm > 0
    for url in disks.values():
        world.ports.storage.put(url, 0, world.random.randbytes(64 * KIB))
    held = {name: content(world, url) for name, url in disks.items()}
    knocks = await _outage(world, minutes=40)
    assert knocks < 40 * DISKS * 10
    before = _work(world)
    for _ in range(20):
        await world.settle(2000)
        await world.wait()
    assert _work(world) - before == calm
    for name in disks:
        points = await world.points(item_id(name))
        assert len(points) == 3
        assert points[-1].tiers
        assert await _backups(world, item_id(name)) == [Status.COMPLETED] * 3
        target = DiskUrl(f"{DISK}-{name}-restored")
        await world.command(
            type="restore",
            item_id=name,
            point=points[-1].id,
            target={"kind": "alternate", "url": target},
        )
        await world.settle()
        assert content(world, target) == held[name]


async def _backups(world: World, item: ItemId = ITEM) -> list[Status]:
    """How the item's backups ended, oldest first."""
    jobs = await world.jobs(item)
    return [job.status for job in jobs if job.operation is Operation.BACKUP]


def _work(world: World) -> int:
    """Requests so far that change something in the storage."""
    counted = world.ports.storage.requests
    return sum(counted[each] for each in ("take_snapshot", "copy", "clear", "create"))


async def _outage(world: World, minutes: int) -> int:
    """The slots come while nothing answers but the bus; how often somebody knocked in vain."""
    knocks = 0

    async def silent(call: str) -> None:
        nonlocal knocks
        if not call.startswith("bus."):
            knocks += 1
            raise Transient("nobody answers")

    now = world.ports.clock.now()
    world.ports.clock.set(now.replace(hour=2, minute=0, second=30) + timedelta(days=1))
    await world.survive(tick(world.ports))
    world.ports.faults.before = silent
    await _worked_at(world, timedelta(minutes=minutes))
    world.ports.faults.before = None
    return knocks


PAGE_OPERATIONS = ("images.copy", "images.clear", "images.write")


@pytest.mark.fault(16, 40)
@pytest.mark.parametrize("seed", range(3))
async def test_storage_that_refuses_a_third_of_all_page_operations(seed: int) -> None:
    """30 of 100 page operations are answered with 503; of all other calls, which the SDK has
    repeated before it gives up, 5; and some take effect without an answer."""
    world, truth = await backed_up(seed)
    refused: Counter[str] = Counter()

    async def busy(call: str) -> None:
        rate = 0.3 if call in PAGE_OPERATIONS else 0.05
        if not call.startswith("bus.") and world.random.random() < rate:
            refused[call] += 1
            raise Transient("busy", code="ServerBusy", busy=True, retry_after=1)

    lost = world.ports.faults.plan(Fault("images.*", applied=True, times=5, skip=2))
    for _ in range(3):
        scribble(world, 12)
        await world.command(type="backup-now", item_id=ITEM)
        assert await world.serve_one(COMMANDS)
        world.ports.faults.before = busy
        await _worked_at(world, timedelta(minutes=20))
        world.ports.faults.before = None
        await world.settle()
    assert lost.fired
    assert sum(refused[call] for call in PAGE_OPERATIONS) > 5
    assert await _backups(world) == [Status.COMPLETED] * 4
    assert len(await world.points()) == 4
    await restore_all(world, truth)


async def _worked_at(world: World, span: timedelta) -> None:
    """The host serves what comes for so long."""
    until = world.ports.clock.now() + span
    while world.ports.clock.now() < until:
        while await world.serve_one():
            pass
        await world.wait()


async def _copying(request: str) -> tuple[World, Truth]:
    """A world with one backup whose part's message is sent and not yet served."""
    world, truth = await backed_up()
    await world.command(type="backup-now", item_id=ITEM, request_id=request)
    while not world.ports.bus.available(COPY):
        assert await world.serve_one()
    return world, truth


@pytest.mark.fault(11)
async def test_a_part_whose_message_vanished_is_sent_again() -> None:
    """It was there, and nobody got it."""
    world, truth = await _copying("vanishes")
    (number,) = world.ports.bus.available(COPY)
    world.ports.bus.drop(COPY, number)
    assert world.ports.bus.messages(COPY) == []
    await world.settle()
    assert await _backups(world) == [Status.COMPLETED] * 2
    await restore_all(world, truth)


@pytest.mark.fault(10, 21)
async def test_a_part_that_comes_twice_counts_once() -> None:
    """At once, and once more when all is over."""
    world, truth = await _copying("twice")
    (message,) = world.ports.bus.messages(COPY)
    for name in ("again", "late"):
        copy = replace(message, message_id=f"{message.message_id}.{name}")
        await world.ports.bus.send([copy])
        if name == "again":
            before = world.ports.faults.calls["ledger.get"]
            assert len(world.ports.bus.messages(COPY)) == 2
            await world.settle()
            assert world.ports.faults.calls["ledger.get"] > before
    assert world.ports.bus.messages(COPY)
    await world.settle()
    assert world.ports.bus.messages(COPY) == []
    last = (await world.points())[-1]
    assert last.copied_bytes == _written(world, last.source)
    assert await _backups(world) == [Status.COMPLETED] * 2
    await restore_all(world, truth)


def _written(world: World, snapshot: Snapshot | None) -> int:
    """What was written between the first snapshot of the disk and that one."""
    assert snapshot is not None
    first, *_ = world.ports.storage.blob(DISK).snapshots.values()
    changes = world.ports.storage.pages(snapshot).changed_since(first.pages)
    return sum(each.range.size_bytes for each in changes if each.change is Change.WRITTEN)
