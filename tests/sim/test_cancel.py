"""Jobs cancelled at any moment: what they held is free, and the next backup is byte-exact."""

from random import Random

import pytest

from shared.memory import Fault
from shared.model.errors import Invalid, NotFound, VaultlineError
from shared.model.ids import JobId, RequestId, request_job
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.messages import COPY, SNAPSHOT, CancelJob
from shared.model.transfer import Transfer
from shared.steps.commands import obey
from shared.steps.tick import tick
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

ASKED = RequestId("asked")
BACKUP = request_job(ITEM, "backup", ASKED)
RESTORE = request_job(ITEM, "restore", ASKED)
TARGETS = {
    "original": {"kind": "original", "confirm": True},
    "alternate": {"kind": "alternate", "url": f"{DISK}-new"},
}


async def backed_up(seed: int = 0) -> tuple[World, Truth]:
    """A disk with one point, changed since."""
    world = await a_protected_disk(seed, SIZE // 4)
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    return world, truth


async def cancel(world: World, job: JobId) -> None:
    await obey(world.ports, CancelJob(job_id=job, request_id=RequestId("cancel")))


class Interruption:
    """Cancels the job before the n-th call of the ports; `refused` is why that was not possible."""

    def __init__(self, world: World, job: JobId, number: int) -> None:
        self.fired = False
        self.refused: VaultlineError | None = None
        self._world, self._job, self._left = world, job, number
        world.ports.faults.before = self._look

    async def _look(self, _: str) -> None:
        if self.fired:
            return
        if self._left:
            self._left -= 1
            return
        self.fired = True
        try:
            await cancel(self._world, self._job)
        except (NotFound, Invalid) as error:
            self.refused = error


async def the_job(world: World, job: JobId) -> Job:
    row = await world.ports.ledger.get(ITEM, Job, job)
    assert row is not None
    return row.record


async def assert_free(world: World) -> None:
    """Nobody holds a place, a lease or a pin; no snapshot is nobody's."""
    item = await world.item()
    assert item is not None
    assert not item.at_work
    assert not world.ports.storage.blob(DISK).lease_id
    points = await world.points()
    assert not any(point.pins for point in points)
    assert not [row async for row in world.ports.ledger.rows(ITEM, Transfer)]
    await world.expire()
    points = await world.points()
    held = {p.source.id for p in points if p.source} | {p.replica.id for p in points if p.replica}
    for disk in (DISK, item.replica):
        assert {snapshot.id for snapshot in await world.ports.disks.snapshots(disk)} <= held


async def test_a_backup_is_cancelled_at_any_call() -> None:
    """Invariants 4 and 8: queued, at its snapshot, planning, copying, committing."""
    number, cancelled = 0, 0
    while True:
        world, truth = await backed_up(number)
        await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
        hit = Interruption(world, BACKUP, number)
        await world.settle()
        if not hit.fired:
            break
        job = await the_job(world, BACKUP)
        assert job.status is (Status.COMPLETED if hit.refused else Status.CANCELLED)
        points = [point for point in await world.points() if point.job_id == BACKUP]
        assert len(points) == (1 if hit.refused else 0)
        cancelled += job.status is Status.CANCELLED
        await assert_free(world)
        assert world.ports.bus.dead_letters == []
        scribble(world)
        await backup(world)
        await restore_all(world, truth)
        number += 1
    assert cancelled > 25


@pytest.mark.parametrize("target", TARGETS)
async def test_a_restore_is_cancelled_at_any_call(target: str) -> None:
    """Lease and pin go with it; the disk is protected on, and can be restored again."""
    number, cancelled = 0, 0
    while True:
        world, truth = await backed_up(number)
        (point,) = await world.points()
        await world.command(type="restore", item_id=ITEM, request_id=ASKED, target=TARGETS[target])
        hit = Interruption(world, RESTORE, number)
        await world.settle()
        if not hit.fired:
            break
        job = await the_job(world, RESTORE)
        assert job.status in (Status.COMPLETED, Status.CANCELLED)
        cancelled += job.status is Status.CANCELLED
        if job.status is Status.CANCELLED:
            assert job.error is not None
            assert job.error.code == "Cancelled"
        await assert_free(world)
        await backup(world)
        assert content(world, await restore(world, point)) == truth.at(point)
        number += 1 if target == "original" else 4
    assert cancelled > (15 if target == "original" else 4)


@pytest.mark.parametrize("seed", range(6))
async def test_many_jobs_are_cancelled_while_calls_fail(seed: int) -> None:
    """Invariants 2, 4, 5 and 6, with backups and restores beside each other, deaths and losses."""
    random = Random(seed)
    world, truth = await backed_up(seed)
    cancelled = 0
    busy = False

    async def perhaps(_: str) -> None:
        nonlocal busy, cancelled
        if busy or random.random() > 0.03:
            return
        busy = True
        under_way = [job for job in await world.jobs() if not job.status.ended]
        if under_way:
            await world.look(cancel(world, random.choice(under_way).id))
            cancelled += 1
        busy = False

    world.ports.faults.before = perhaps
    for _ in range(12):
        await one_request(world, random)
        for _ in range(random.randrange(25)):
            await world.serve_one()
    world.ports.faults.before = None
    world.ports.faults.planned.clear()
    await world.settle(3000)
    assert cancelled > 2
    assert all(job.status.ended for job in await world.jobs())
    await assert_free(world)
    scribble(world)
    await backup(world)
    await restore_all(world, truth)


async def one_request(world: World, random: Random) -> None:
    match random.randrange(6):
        case 0:
            target = {"kind": "alternate", "url": f"{DISK}-{world.requests}"}
            await world.command(type="restore", item_id=ITEM, target=target)
        case 1:
            await world.command(type="restore", item_id=ITEM, target=TARGETS["original"])
        case 2:
            world.ports.clock.advance(86400)
            await world.survive(tick(world.ports))
        case 3:
            skip, applied = random.randrange(30), random.random() < 0.5
            world.ports.faults.plan(Fault(call="*", skip=skip, applied=applied, error=Crash))
        case _:
            scribble(world, 2)
            await world.command(type="backup-now", item_id=ITEM)


@pytest.mark.parametrize("moment", ["queued", "copying"])
async def test_a_cancelled_backup_tells_so(moment: str) -> None:
    """The sub-task that was under way is cancelled, what was done before stays done; the bytes
    are those that moved."""
    world, _ = await backed_up()
    await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
    while not world.ports.bus.available(SNAPSHOT if moment == "queued" else COPY):
        await world.serve_one()
    await cancel(world, BACKUP)
    job = await the_job(world, BACKUP)
    taken = Status.CANCELLED if moment == "queued" else Status.COMPLETED
    assert (job.task(TAKE_SNAPSHOT), job.task(TRANSFER)) == (taken, Status.CANCELLED)
    assert (job.planned_bytes > 0) is (moment == "copying")
    assert job.ended_at is not None


async def test_cancelling_passes_the_turn_on() -> None:
    """Two wait behind a snapshot that does not come: the first of them is cancelled."""
    world, truth = await backed_up()
    for name in ("first", "second", "third"):
        await world.command(type="backup-now", item_id=ITEM, request_id=name)
    stuck = world.ports.faults.plan(Fault(call="disks.take_snapshot", error=Crash))
    while not stuck.fired:
        await world.serve_one("commands", SNAPSHOT)
    while await world.serve_one("commands", SNAPSHOT):
        pass
    item = await world.item()
    assert item is not None
    assert item.snapshotting
    assert len(item.queued) == 2
    await cancel(world, item.queued[0])
    await cancel(world, item.snapshotting)
    await world.settle()
    statuses = sorted(job.status.value for job in await world.jobs() if job.slot is None)
    assert statuses == ["Cancelled", "Cancelled", "Completed", "Completed"]
    await assert_free(world)
    await restore_all(world, truth)


async def test_what_cannot_be_cancelled_is_refused() -> None:
    world, _ = await backed_up()
    await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
    await world.settle()
    with pytest.raises(Invalid, match="has ended already: Completed"):
        await cancel(world, BACKUP)
    (protected,) = [job for job in await world.jobs() if "protect" in job.id]
    with pytest.raises(Invalid, match="restores and checks alone"):
        await cancel(world, protected.id)
    with pytest.raises(NotFound):
        await cancel(world, JobId(f"{ITEM}.backup-none"))
    await world.command(type="cancel", job_id=BACKUP)
    await world.settle()
    (dead,) = world.ports.bus.dead_letters
    assert (dead.code, "has ended already" in dead.reason) == ("JobEnded", True)


async def test_cancelling_twice_is_cancelling_once() -> None:
    world, truth = await backed_up()
    await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
    while not world.ports.bus.available(COPY):
        await world.serve_one()
    for _ in range(2):
        await world.command(type="cancel", job_id=BACKUP)
    await world.settle()
    assert world.ports.bus.dead_letters == []
    assert (await the_job(world, BACKUP)).status is Status.CANCELLED
    await restore_all(world, truth)


async def test_a_cancelled_request_stays_cancelled() -> None:
    """The same command again, e.g. by a redelivery, does not bring it back."""
    world, _ = await backed_up()
    for _ in range(2):
        await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
        if not world.ports.bus.available(SNAPSHOT):
            await world.serve_one("commands")
        await cancel(world, BACKUP)
        await world.settle()
        world.ports.clock.advance(3600)
    assert (await the_job(world, BACKUP)).status is Status.CANCELLED
    assert len(await world.points()) == 1


async def test_what_a_cancelled_backup_leaves_is_swept_though_a_message_is_lost() -> None:
    """Its snapshot on either side; the retention run is asked for until it has been."""
    world, truth = await backed_up()
    await world.command(type="backup-now", item_id=ITEM, request_id=ASKED)
    while not world.ports.bus.available(COPY):
        await world.serve_one()
    world.ports.bus.lose_next("retention")
    await cancel(world, BACKUP)
    assert not world.ports.bus.available("retention")
    await world.settle()
    assert BACKUP not in {each.tag for each in await world.ports.disks.snapshots(DISK)}
    await restore_all(world, truth)
