"""What stopped moving is found: it is moved on, or fails with a reason and lets everything go."""

from collections.abc import AsyncIterator

import pytest

from shared.memory import Fault
from shared.model.ids import ItemId, JobId, RequestId, request_job
from shared.model.job import Job, Status
from shared.model.messages import COPY
from shared.steps.reconcile import reconcile
from tests.sim.scenes import (
    SIZE,
    Truth,
    backup,
    content,
    restore,
    restore_all,
    scheduled,
    scribble,
)
from tests.sim.scenes import started as a_protected_disk
from tests.sim.world import DISK, ITEM, Crash, World

RESTORE = request_job(ITEM, "restore", RequestId("asked"))


async def restoring(target: str = "original") -> tuple[World, str]:
    """A restore of the one point that was accepted, and what it must bring back."""
    world = await a_protected_disk(0, SIZE // 4)
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    kinds = {"original": {"confirm": True}, "alternate": {"url": f"{DISK}-new"}}
    await world.command(
        type="restore",
        item_id=ITEM,
        request_id="asked",
        target={"kind": target, **kinds[target]},
    )
    await world.serve_one("commands")
    assert list(world.running) == [RESTORE]
    return world, truth.at((await world.points())[0])


async def the_restore(world: World) -> Job:
    row = await world.ports.ledger.get(ITEM, Job, RESTORE)
    assert row is not None
    return row.record


async def live(world: World, rounds: int) -> None:
    """Time passes; messages are served, orchestrations are not."""
    for _ in range(rounds):
        while any(world.ports.bus.available(queue) for queue in ("snapshot", "retention")):
            await world.serve_one("snapshot", "retention")
        await world.wait()


@pytest.mark.fault(35)
@pytest.mark.parametrize("calls", [0, 3, 12, 20])
async def test_a_vanished_orchestration_is_started_again(calls: int) -> None:
    """Fault 35: the task hub forgot it, at the beginning or in its midst."""
    world, expected = await restoring()
    if calls:
        world.ports.faults.plan(Fault(call="*", skip=calls, error=Crash))
        await world.serve_one()
        world.ports.faults.planned.clear()
    world.running.clear()
    await world.settle()
    assert (await the_restore(world)).status is Status.COMPLETED
    assert content(world, DISK) == expected
    await world.let_go()


async def test_a_restore_that_always_hangs_fails_and_lets_go() -> None:
    """It is started again so often; then lease and pin go, and the job tells why."""
    world, _ = await restoring()
    fault = world.ports.faults.plan(Fault(call="images.copy", error=Crash))
    await world.serve_one()
    assert fault.fired
    assert world.ports.storage.blob(DISK).lease_id
    for _ in range(400):
        world.running.clear()
        await live(world, 1)
        if (await the_restore(world)).status.ended:
            break
    job = await the_restore(world)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "Stalled"
    assert not world.ports.storage.blob(DISK).lease_id
    assert not any(point.pins for point in await world.points())
    item = await world.item()
    assert item is not None
    assert not item.at_work
    await backup(world)
    assert len(await world.points()) == 3  # the one restored, what it would overwrite, the new one


async def test_a_zombie_of_an_ended_restore_takes_no_lease() -> None:
    """The orchestration that was given up wakes: what people did since is not overwritten."""
    world, expected = await restoring()
    zombie = dict(world.running)
    await world.settle()
    assert content(world, DISK) == expected
    await world.let_go()
    scribble(world)
    since = content(world, DISK)
    world.running = zombie
    await world.settle()
    assert content(world, DISK) == since
    await world.let_go()
    assert (await the_restore(world)).status is Status.COMPLETED


async def test_a_cancelled_restore_without_orchestration_lets_go() -> None:
    world, _ = await restoring()
    fault = world.ports.faults.plan(Fault(call="images.copy", error=Crash))
    await world.serve_one()
    assert fault.fired
    world.running.clear()
    await world.command(type="cancel", job_id=RESTORE)
    await world.serve_one("commands")
    assert (await the_restore(world)).status is Status.CANCELLING
    world.running.clear()
    await world.settle()
    assert (await the_restore(world)).status is Status.CANCELLED
    assert not world.ports.storage.blob(DISK).lease_id


async def test_retention_beside_a_restore_leaves_its_plan() -> None:
    """A retention run in the midst of a restore removes neither its point nor its plan."""
    world, expected = await restoring("alternate")
    world.ports.faults.plan(Fault(call="images.copy", error=Crash))
    await world.serve_one()
    plans = await world.ports.plans.urls()
    assert plans
    await world.expire()
    assert await world.ports.plans.urls() == plans
    await world.settle()
    (point, *_) = await world.points()
    assert content(world, await restore(world, point)) == expected


async def test_16_a_plan_written_during_a_retention_run_stays() -> None:
    """Invariant 16: the run has read the ledger and begins to sweep a dead job's plan; in that
    moment a backup writes its own. Only the dead one goes."""
    world = await a_protected_disk(0, SIZE // 4)
    truth = Truth(world)
    await backup(world)
    item = await world.item()
    assert item is not None
    dead = f"{item.replica}.plans/{ITEM}.backup-dead/0"
    await world.ports.plans.put(dead, _one_block())

    async def before(call: str) -> None:
        if call == "plans.delete":
            world.ports.faults.before = None
            world.ports.storage.put(DISK, 0, b"new!" * 1024)
            await world.command(type="backup-now", item_id=ITEM)
            while not world.ports.bus.available(COPY):
                await world.serve_one()

    world.ports.faults.before = before
    await world.expire()
    assert world.ports.faults.before is None, "the backup began in the midst of the sweep"
    left = await world.ports.plans.urls()
    assert left
    assert dead not in left
    await world.settle()
    assert len(await world.points()) == 2
    await restore_all(world, truth)


async def _one_block() -> AsyncIterator[bytes]:
    yield bytes(16)


@pytest.mark.parametrize("moment", ["fan-out", "part"])
async def test_a_lost_plan_is_planned_again(moment: str) -> None:
    """Somebody cleared the folder of plans in mid-transfer."""
    world = await a_protected_disk(0, SIZE // 4)
    truth = Truth(world)
    await world.command(type="backup-now", item_id=ITEM)
    while not await world.ports.plans.urls():
        await world.serve_one()
    while moment == "part" and not world.ports.bus.available(COPY):
        await world.serve_one()
    await world.ports.plans.delete("")
    await world.settle()
    (point,) = await world.points()
    assert world.ports.bus.dead_letters == []
    assert content(world, await restore(world, point)) == truth.at(point)


async def test_one_item_in_trouble_does_not_keep_the_others_waiting() -> None:
    """Reading the first item fails at every look."""
    world = await a_protected_disk(0, SIZE // 4)
    now = world.ports.clock.now()
    await world.ports.due.watch(ItemId("a-disk"), now, now)
    await world.command(type="backup-now", item_id=ITEM, request_id="asked")
    world.ports.bus.lose_next("snapshot")
    await world.serve_one("commands")
    world.ports.clock.advance(3600)
    trouble = world.ports.faults.plan(Fault(call="ledger.get"))
    assert (await reconcile(world.ports)).looked == 2
    assert trouble.fired
    assert world.ports.bus.available("snapshot")
    job = await world.ports.ledger.get(ITEM, Job, JobId(f"{ITEM}.backup-{RESTORE[-10:]}"))
    assert job is not None
    assert job.record.attempts == 1
