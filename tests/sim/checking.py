"""What the tests of checks and doubts share: a disk full of data, and how all is found right."""

from shared.codec import from_json
from shared.model.check import Findings
from shared.model.ids import JobId, RequestId, request_job
from shared.model.item import Item
from shared.model.job import Job
from tests.sim.scenes import (
    MIB,
    SIZE,
    Truth,
    backup,
    content,
    started,
)
from tests.sim.world import DISK, ITEM, World

SMALL, TINY = MIB // 2, MIB // 32
CHECK = request_job(ITEM, "check", RequestId("asked"))


async def backed_up(seed: int = 0, size: int = SIZE, backups: int = 1) -> tuple[World, Truth]:
    """A disk full of data, with as many points."""
    world = await started(seed, size)
    world.ports.storage.put(DISK, 0, world.random.randbytes(size))
    truth = Truth(world)
    await backup(world)
    for _ in range(backups - 1):
        world.ports.storage.put(DISK, 0, world.random.randbytes(4096))
        await backup(world)
    return world, truth


async def the_item(world: World) -> Item:
    item: Item | None = await world.look(world.item())
    assert item is not None
    return item


async def ask(world: World, request: str = "asked") -> JobId:
    await world.command(type="consistency-check", item_id=ITEM, request_id=request)
    return request_job(ITEM, "check", RequestId(request))


async def check(world: World, request: str = "asked") -> Job:
    """A check by request, at its end."""
    id_ = await ask(world, request)
    await world.settle()
    return await the_job(world, id_)


async def the_job(world: World, id_: JobId) -> Job:
    row = await world.ports.ledger.get(ITEM, Job, id_)
    assert row is not None
    return row.record


def findings(job: Job) -> Findings:
    return from_json(Findings, job.detail)


async def vault_copies_are_right(world: World, truth: Truth) -> None:
    """The copies in the vault themselves, whatever tier a restore would read."""
    for point in await world.points():
        if point.replica and not point.suspect:
            assert content(world, point.replica) == truth.at(point), point.id


async def nothing_is_left(world: World) -> None:
    """No place is held, no suspicion left, no snapshot nobody's."""
    item = await the_item(world)
    assert not item.at_work
    assert item.suspect == ()
    await world.expire()
    points = await world.points()
    held = {p.replica.id for p in points if p.replica and not p.replica.extents}
    held |= {e.id for p in points if p.replica for e in p.replica.extents}
    for extent in item.largest_replica:
        assert {each.id for each in await world.ports.disks.snapshots(extent.url)} <= held
    assert not await world.ports.plans.urls(f"{item.replica}.plans/")
    assert world.ports.bus.dead_letters == []
