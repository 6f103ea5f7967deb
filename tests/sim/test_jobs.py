"""Requests that overlap, repeat, contradict each other or get lost; hosts whose clocks differ."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from shared.decide.backup import QUEUE_LIMIT
from shared.memory import Fault, ManualClock, MemoryPorts
from shared.model.ids import RequestId, request_job
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.messages import COMMANDS, COPY, QUEUES, SNAPSHOT, Outgoing
from shared.model.point import Kind, Tier
from shared.steps.dead_letters import dead_letters, redrive
from shared.steps.tick import tick
from tests.sim.scenes import SIZE, Truth, backup, restore_all, scheduled, scribble
from tests.sim.scenes import started as a_protected_disk
from tests.sim.world import DISK, ITEM, Crash, World

ASKED = RequestId("asked")
BACKUP = request_job(ITEM, "backup", ASKED)


async def backed_up(seed: int = 0) -> tuple[World, Truth]:
    """A disk with one point, changed since."""
    world = await a_protected_disk(seed, SIZE // 4)
    truth = Truth(world)
    await scheduled(world)
    scribble(world)
    return world, truth


async def ask(world: World, request: str = ASKED, **fields: object) -> None:
    await world.command(type="backup-now", item_id=ITEM, request_id=request, **fields)


async def the_job(world: World) -> Job | None:
    row = await world.ports.ledger.get(ITEM, Job, BACKUP)
    return row.record if row else None


async def status(world: World) -> Status | None:
    job = await the_job(world)
    return job.status if job else None


# ---------------------------------------------------------------- beside each other


@pytest.mark.parametrize("seed", range(6))
async def test_5_backups_run_in_parallel_but_one_sub_task_of_a_kind(seed: int) -> None:
    """Invariant 5, at every moment; every request ends with a point of its own."""
    world, truth = await backed_up(seed)
    for number in range(5):
        scribble(world, 1)
        await ask(world, f"request-{number}")
    together = 0

    async def look(_: str) -> None:
        nonlocal together
        world.ports.faults.before = None
        jobs = await world.jobs()
        for name in (TAKE_SNAPSHOT, TRANSFER):
            assert sum(job.task(name) is Status.IN_PROGRESS for job in jobs) <= 1
        together = max(together, sum(job.status is Status.IN_PROGRESS for job in jobs))
        world.ports.faults.before = look

    world.ports.faults.before = look
    await world.settle()
    world.ports.faults.before = None
    asked = [job for job in await world.jobs() if job.slot is None and "backup" in job.id]
    assert {job.status for job in asked} == {Status.COMPLETED}
    assert {job.task(TRANSFER) for job in asked} <= {Status.COMPLETED, Status.SKIPPED}
    assert {job.attempts for job in asked} == {0}, "each got its turn, none was found waiting"
    assert len(await world.points()) == 6
    assert together == 2
    await restore_all(world, truth)


async def test_5_the_increment_after_a_skipped_one_carries_everything() -> None:
    """What changed before the skipped backup is in no vault point yet: the next one has it."""
    world, truth = await backed_up()
    await ask(world, "slow")
    while not world.ports.bus.available(COPY):
        await world.serve_one()
    world.ports.storage.put(DISK, 0, b"before" * 1024 + bytes(2048))
    await ask(world, "skipped")
    while world.ports.bus.available(COMMANDS) or world.ports.bus.available(SNAPSHOT):
        await world.serve_one(COMMANDS, SNAPSHOT)
    skipped = next(job for job in await world.jobs() if job.task(TRANSFER) is Status.SKIPPED)
    assert skipped.status is Status.COMPLETED
    await world.settle()
    world.ports.storage.put(DISK, 1 << 20, b"behind" * 1024 + bytes(2048))
    await backup(world)
    *_, last = await world.points()
    assert last.kind is Kind.INCREMENTAL
    assert last.changed_bytes == 2 * 8192
    (point,) = [point for point in await world.points() if point.job_id == skipped.id]
    assert point.tiers == (Tier.SNAPSHOT,)
    await restore_all(world, truth)


async def test_each_backup_that_waits_gets_its_turn() -> None:
    """The first dies while it takes its snapshot; the others' messages come meanwhile. No timer
    is needed for them to go on once the first is through."""
    world, truth = await backed_up()
    for number in range(4):
        await ask(world, f"request-{number}")
    while await world.serve_one(COMMANDS):
        pass
    stuck = world.ports.faults.plan(Fault(call="disks.take_snapshot", error=Crash))
    while await world.serve_one(SNAPSHOT):
        pass
    assert stuck.fired
    item = await world.item()
    assert item is not None
    assert item.snapshotting
    assert len(item.queued) == 3
    world.ports.clock.advance(61)
    while await world.serve_one():
        pass
    assert [job.status for job in await world.jobs() if not job.status.ended] == []
    assert len(await world.points()) == 5
    await restore_all(world, truth)


async def test_too_many_requests_are_refused() -> None:
    """While nobody takes a snapshot, only so many may wait; all that were accepted are met."""
    world, _ = await backed_up()
    for number in range(QUEUE_LIMIT + 2):
        await ask(world, f"request-{number}")
    while await world.serve_one(COMMANDS):
        pass
    assert [dead.code for dead in world.ports.bus.dead_letters] == ["TooManyRequests"] * 2
    await world.settle()
    assert len(await world.points()) == 1 + QUEUE_LIMIT


# ---------------------------------------------------------------- again, and otherwise


async def test_the_same_request_twice_is_one_job() -> None:
    """Before it began, while it runs, and long after it has ended."""
    world, _ = await backed_up()
    for message_id in ("one", "two"):
        await _post(world, message_id, retain_until="2026-12-31")
    await world.serve_one(COMMANDS)
    await _post(world, "three", retain_until="2026-12-31")
    await world.settle()
    world.ports.clock.advance(3 * 3600)
    await _post(world, "four", retain_until="2026-12-31")
    await world.settle()
    assert len(await world.points()) == 2
    assert await status(world) is Status.COMPLETED
    assert world.ports.bus.dead_letters == []


async def test_another_request_under_the_same_id_is_refused() -> None:
    world, _ = await backed_up()
    await _post(world, "one", retain_until="2026-12-31")
    await world.settle()
    await _post(world, "two", retain_until="2027-12-31")
    await world.settle()
    (dead,) = world.ports.bus.dead_letters
    assert dead.code == "RequestIdReused"
    assert BACKUP in dead.reason
    assert await status(world) is Status.COMPLETED
    assert len(await world.points()) == 2


async def _post(world: World, message_id: str, **fields: object) -> None:
    """The command with its own request id, under any MessageId."""
    sent = len(world.ports.bus.messages(COMMANDS))
    await ask(world, ASKED, **fields)
    if len(world.ports.bus.messages(COMMANDS)) == sent:  # taken for a duplicate
        body = Outgoing(queue=COMMANDS, message_id=message_id, body=_body(**fields))
        await world.ports.bus.send([body])


def _body(**fields: object) -> str:
    import json

    return json.dumps({"type": "backup-now", "item_id": ITEM, "request_id": ASKED, **fields})


async def test_a_stopped_item_drops_what_waits() -> None:
    """Protection ends between the request and its snapshot: the job says so."""
    world, _ = await backed_up()
    await ask(world)
    await world.serve_one(COMMANDS)
    await world.command(type="stop-protection", item_id=ITEM, delete_data=False)
    await world.serve_one(COMMANDS)
    await world.settle()
    job = await the_job(world)
    assert job is not None
    assert job.status is Status.CANCELLED
    assert job.error is not None
    assert "protection of item os-disk was stopped" in job.error.message
    item = await world.item()
    assert item is not None
    assert item.queued == ()


# ---------------------------------------------------------------- lost


@pytest.mark.parametrize("how", ["lost", "dead-lettered", "never sent"])
async def test_7_a_request_whose_snapshot_message_is_lost_is_met(how: str) -> None:
    """The job is there from the request on, and the reconciler sends its message again."""
    world, truth = await backed_up()
    await ask(world)
    if how == "lost":
        world.ports.bus.lose_next(SNAPSHOT)
    if how == "never sent":
        world.ports.faults.plan(Fault(call="bus.send", error=Crash))
    await world.serve_one(COMMANDS)
    assert await status(world) is Status.NOT_STARTED
    if how == "dead-lettered":
        await burn_out(world, SNAPSHOT)
        assert [dead.queue for dead in world.ports.bus.dead_letters] == [SNAPSHOT]
        assert await status(world) is Status.NOT_STARTED
    await world.settle()
    assert await status(world) is Status.COMPLETED
    await redrive(world.ports, [letter async for letter in dead_letters(world.ports)])
    await world.settle()
    assert len(await world.points()) == 2
    assert world.ports.bus.dead_letters == []
    await restore_all(world, truth)


async def burn_out(world: World, queue: str) -> None:
    """Ten deliveries of one message, each ended by the host's shutdown (fault 22)."""
    for _ in range(10):
        locked = world.ports.bus.receive(queue)
        assert locked is not None
        world.ports.bus.abandon(locked)
    assert world.ports.bus.receive(queue) is None


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "queue", [each for each in QUEUES if each not in ("retention", "recovery-services")]
)
async def test_a_message_that_burnt_out_is_redriven(queue: str) -> None:
    """Fault 22: ten deliveries burn out, the dead letter is redriven, the work is done, under
    the job that was asked for."""
    world, truth = await backed_up()
    await ask(world)
    while not world.ports.bus.available(queue):
        assert await world.serve_one()
    await burn_out(world, queue)
    (letter,) = [letter async for letter in dead_letters(world.ports)]
    assert (letter.queue, letter.code) == (queue, "MaxDeliveryCountExceeded")
    crash = world.ports.faults.plan(Fault(call="dead_letters.remove", error=Crash))
    await world.survive(redrive(world.ports, [letter]))
    assert crash.fired
    await redrive(world.ports, [letter])
    while await world.serve_one():
        pass
    assert await status(world) is Status.COMPLETED
    assert len(await world.points()) == 2
    assert world.ports.bus.dead_letters == []
    await restore_all(world, truth)


async def test_a_refused_request_is_met_once_its_cause_is_gone() -> None:
    """The job of the first try stays failed, with its reason; the redriven one is a new job."""
    world, _ = await backed_up()
    await world.command(type="stop-protection", item_id=ITEM, delete_data=False)
    await world.settle()
    await ask(world)
    await world.settle()
    (letter,) = [letter async for letter in dead_letters(world.ports)]
    await world.protect()
    await world.settle()
    await redrive(world.ports, [letter])
    await world.settle()
    assert await status(world) is Status.FAILED
    assert len(await world.points()) == 2
    assert world.ports.bus.dead_letters == []


# ---------------------------------------------------------------- clocks


class Ahead(ManualClock):
    """Another clock, by so much ahead of it or behind."""

    def __init__(self, true: ManualClock, by: timedelta) -> None:
        super().__init__()
        self._true, self._by = true, by

    def now(self) -> datetime:
        return self._true.now() + self._by


@pytest.mark.fault(57)
@pytest.mark.parametrize("seed", range(6))
async def test_hosts_whose_clocks_are_10_minutes_apart(seed: int) -> None:
    """Every message and timer goes to one of two hosts: one backup a slot and a request, none
    given up; every point restores."""
    world, truth = await backed_up(seed)
    random, true = Random(seed), world.ports
    hosts = [
        replace(true, clock=Ahead(true.clock, timedelta(minutes=minutes))) for minutes in (5, -5)
    ]
    for day in range(3):
        scribble(world, 3)
        await ask(world, f"day-{day}")
        true.clock.set(true.clock.now().replace(hour=1, minute=50) + timedelta(days=1))
        for _ in range(40):
            await minute(world, hosts, random)
    await world.settle()
    jobs = [job for job in await world.jobs() if "backup" in job.id]
    assert {job.status for job in jobs} == {Status.COMPLETED}
    assert len([job for job in jobs if job.slot]) == 4
    assert len([job for job in jobs if not job.slot]) == 3
    assert all(job.ended_at and job.started_at <= job.ended_at for job in jobs)
    assert all(point.seconds >= 0 for point in await world.points())
    assert true.bus.dead_letters == []
    await restore_all(world, truth)


async def minute(world: World, hosts: list[MemoryPorts], random: Random) -> None:
    """The timers fire on some host; a few messages are served, each by some host."""
    true = world.ports
    for timer in (tick, None):
        host = random.choice(hosts)
        await (timer(host) if timer else world.reconcile(host))
    for _ in range(random.randrange(6)):
        world.ports = random.choice(hosts)
        await world.serve_one()
    world.ports = true
    true.clock.advance(60)
