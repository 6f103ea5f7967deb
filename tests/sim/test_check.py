"""Checks: what they find, what they repair, what they leave alone (invariants 30 to 33)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from shared.memory import Fault
from shared.memory.faults import lost
from shared.model.ids import JobId, RequestId, request_job
from shared.model.job import COMPARE, REPAIR, Operation, Status
from shared.model.messages import COPY, Outgoing
from shared.model.point import Kind
from shared.model.ranges import PageRange
from tests.sim.checking import (
    CHECK,
    SMALL,
    ask,
    backed_up,
    check,
    findings,
    nothing_is_left,
    the_item,
    the_job,
    vault_copies_are_right,
)
from tests.sim.deaths import deaths
from tests.sim.rot import rot
from tests.sim.scenes import (
    MIB,
    SIZE,
    Truth,
    backup,
    content,
    restore,
    restore_all,
    scheduled,
    scribble,
    started,
)
from tests.sim.world import CHECKED, DISK, ITEM, POLICY, Crash, World


async def test_a_sound_replica_is_found_sound_and_not_written_to() -> None:
    """Invariant 30: two snapshots are read; neither epoch nor etag of the replica changes."""
    world, truth = await backed_up(backups=3)
    item = await the_item(world)
    etags = [world.ports.storage.blob(extent.url).etag for extent in item.largest_replica]
    job = await check(world)
    assert (job.operation, job.status) == (Operation.CONSISTENCY_CHECK, Status.COMPLETED)
    assert [(task.name, task.status) for task in job.sub_tasks] == [
        (COMPARE, Status.COMPLETED),
        (REPAIR, Status.SKIPPED),
    ]
    assert findings(job).compared_bytes == job.planned_bytes == SIZE
    assert findings(job).differing_bytes == job.moved_bytes == 0
    assert etags == [world.ports.storage.blob(e.url).etag for e in item.largest_replica]
    assert (await the_item(world)).checked_at
    await nothing_is_left(world)
    await restore_all(world, truth)


@pytest.mark.fault(15)
@pytest.mark.parametrize("offset", [0, 777, 4 * MIB - 1, 4 * MIB, SIZE - 1])
async def test_rot_is_found_repaired_and_healed(offset: int) -> None:
    """Fault 15: the newest point is healed; older points that share the page are suspect."""
    world, truth = await backed_up()
    for _ in range(2):
        world.ports.storage.put(DISK, MIB, world.random.randbytes(MIB))
        await backup(world)
    assert rot(world, await the_item(world), offset) >= 2
    job = await check(world)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error
    assert job.error.code == "ReplicaDamaged"
    assert "512 of" in job.error.message
    told = findings(job)
    page = offset // 512 * 512
    assert (told.ranges, told.differing_bytes) == (((page, page + 512),), 512)
    assert told.healed
    assert job.moved_bytes == 512
    *older, newest = await world.points()
    assert not newest.suspect
    assert newest.repaired_bytes == 512
    assert CHECK in newest.healed
    assert set(told.suspects) == {point.id for point in older}
    assert all(CHECK in point.suspect for point in older)
    assert newest.replica
    assert content(world, newest.replica) == truth.at(newest)
    await nothing_is_left(world)
    assert (await check(world, "again")).status is Status.COMPLETED
    scribble(world)
    await backup(world)
    assert (await world.points())[-1].kind is Kind.INCREMENTAL
    await vault_copies_are_right(world, truth)
    await restore_all(world, truth)


@pytest.mark.parametrize("extent_bytes", [4 * MIB, 8 * MIB])
async def test_rot_in_many_places_is_remembered_in_little_room(extent_bytes: int) -> None:
    """300 damaged places: all are put right, about 100 ranges are told."""
    world = await started(size=SIZE, extent_bytes=extent_bytes)
    world.ports.storage.put(DISK, 0, world.random.randbytes(SIZE))
    truth = Truth(world)
    await backup(world)
    places = world.random.sample(range(0, SIZE, 8192), 300)
    for place in places:
        rot(world, await the_item(world), place + 17)
    job = await check(world)
    told = findings(job)
    assert told.differing_bytes == 300 * 512
    assert len(told.ranges) == 100
    assert all(any(a <= place < b for a, b in told.ranges) for place in places)
    (point,) = await world.points()
    assert point.replica
    assert content(world, point.replica) == truth.at(point)
    await nothing_is_left(world)


async def test_what_others_wrote_into_the_replica_is_put_right() -> None:
    """No point is harmed, so none is suspect; pages where the source has none are cleared."""
    world = await started()
    world.ports.storage.put(DISK, 0, world.random.randbytes(MIB))
    truth = Truth(world)
    await backup(world)
    item = await the_item(world)
    world.ports.storage.put(item.replica, 4096, b"?" * 512)
    world.ports.storage.erase(item.replica, PageRange(8192, 16384))
    world.ports.storage.put(item.replica, 3 * MIB + 512, b"!" * 512)
    job = await check(world)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error
    assert job.error.code == "ReplicaWrittenTo"
    told = findings(job)
    assert told.dirty
    assert told.ranges[:2] == ((4096, 4608), (8192, 16384))
    (point,) = await world.points()
    assert (point.suspect, point.healed, point.repaired_bytes) == ("", "", 0)
    assert content(world, item.replica) == content(world, point.replica) == truth.at(point)  # type: ignore[arg-type]
    await nothing_is_left(world)


async def test_what_an_abandoned_transfer_left_is_no_damage_to_any_point() -> None:
    """It is put right all the same, and the next increment is right."""
    world, truth = await backed_up()
    world.ports.storage.put(DISK, 0, world.random.randbytes(2 * MIB))
    job = await world.command(type="backup-now", item_id=ITEM)
    while not world.ports.storage.requests["copy"] > 2:
        if not await world.serve_one():
            await world.wait()
    await world.command(type="cancel", job_id=request_job(ITEM, "backup", RequestId(job)))
    await world.settle()
    found = await check(world)
    assert found.status in (Status.COMPLETED, Status.COMPLETED_WITH_WARNINGS)
    assert not any(point.suspect for point in await world.points())
    await backup(world)
    await vault_copies_are_right(world, truth)
    await nothing_is_left(world)


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_check_is_survived(applied: bool) -> None:
    """Invariants 6, 31 and 33: damage is found, told and repaired, wherever the process dies."""
    world, truth = await backed_up(size=SMALL, backups=2)
    rot(world, await the_item(world), SMALL - 512)
    await ask(world)
    number = 0
    async for life, held in deaths(world, truth, applied=applied):
        await life.settle()
        assert life.crashes == 1
        job = await the_job(life, CHECK)
        assert job.status is Status.COMPLETED_WITH_WARNINGS, number
        assert findings(job).ranges == ((SMALL - 512, SMALL),)
        older, newest = await life.points()
        assert older.suspect
        assert not newest.suspect
        await nothing_is_left(life)
        await vault_copies_are_right(life, held)
        assert (await check(life, "again")).status is Status.COMPLETED
        number += 1
    assert number > 40


async def test_a_check_is_cancelled_at_any_call() -> None:
    """Invariant 31: whatever it had found, the next backup's copy is right, and what is not right
    is marked."""
    number, cancelled = 0, 0
    while True:
        world, truth = await backed_up(number, size=SMALL, backups=2)
        rot(world, await the_item(world), 4096 + 13)
        await ask(world)
        hit = Interruption(world, CHECK, number)
        await world.settle()
        if not hit.fired:
            break
        job = await the_job(world, CHECK)
        assert job.status in (Status.CANCELLED, Status.COMPLETED_WITH_WARNINGS)
        item = await the_item(world)
        assert not item.at_work
        cancelled += job.status is Status.CANCELLED
        known = bool(item.suspect)
        world.ports.storage.put(DISK, 0, world.random.randbytes(512))
        await backup(world)
        if known or job.status is not Status.CANCELLED:
            await vault_copies_are_right(world, truth)
            assert content(world, await restore(world, (await world.points())[-1])) == truth.at(
                (await world.points())[-1]
            )
            await nothing_is_left(world)
        number += 1
    assert cancelled > 30


async def test_a_check_beside_a_backup_waits_for_its_turn_to_repair() -> None:
    """Invariants 5 and 30: the backup is not held up; the check heals the newer point."""
    world, truth = await backed_up()
    rot(world, await the_item(world), 5 * MIB)
    world.ports.storage.put(DISK, 0, world.random.randbytes(MIB))
    await world.command(type="backup-now", item_id=ITEM, request_id="beside")
    while not world.ports.bus.available(COPY):
        await world.serve_one()
    held = hold(world, COPY)
    await ask(world)
    for _ in range(60):
        if not await world.serve_one():
            break
    item = await the_item(world)
    assert item.checks == (CHECK,)
    assert item.suspect
    assert item.transferring != CHECK
    assert (await world.points())[0].suspect
    await world.ports.bus.send(held)
    await world.settle()
    assert (await the_job(world, CHECK)).status is Status.COMPLETED_WITH_WARNINGS
    first, second = await world.points()
    assert first.suspect
    assert not second.suspect
    assert second.replica
    assert content(world, second.replica) == truth.at(second)
    await nothing_is_left(world)


def hold(world: World, queue: str) -> list[Outgoing]:
    """Takes the queue's messages away, to be sent later."""
    waiting = world.ports.bus.messages(queue)
    messages = [replace(each, message_id=f"{each.message_id}.late") for each in waiting]
    for number in world.ports.bus.available(queue):
        world.ports.bus.drop(queue, number)
    return messages


async def test_two_checks_at_once_find_the_same_and_repair_it_once() -> None:
    world, truth = await backed_up()
    rot(world, await the_item(world), 1024)
    first, second = await ask(world, "one"), await ask(world, "two")
    await world.settle()
    for id_ in (first, second):
        job = await the_job(world, id_)
        assert job.status.ended
        assert job.status is not Status.FAILED
    (point,) = await world.points()
    assert not point.suspect
    await vault_copies_are_right(world, truth)
    await nothing_is_left(world)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_newest_point_is_right_after_a_check(seed: int) -> None:
    """Rot, backups, checks and cancellations in any order, while processes die and messages are
    lost; one check that comes to its end leaves nothing wrong in the newest copy."""
    world, truth = await backed_up(seed, size=SMALL)
    random, requests = Random(seed), list[JobId]()
    for turn in range(14):
        match random.choice(["rot", "write", "backup", "check", "check", "cancel", "work"]):
            case "rot":
                world.ports.storage.put(DISK, 0, random.randbytes(512))
                with suppress(ValueError):  # nothing is there
                    rot(world, await the_item(world), random.randrange(SMALL))
            case "write":
                scribble(world, 2)
            case "backup":
                await world.command(type="backup-now", item_id=ITEM)
            case "check":
                requests.append(await ask(world, f"check-{turn}"))
            case "cancel" if requests:
                await world.command(type="cancel", job_id=random.choice(requests))
        error: Callable[[], BaseException] = Crash if random.random() < 0.5 else lost
        skip, applied = random.randrange(40), random.random() < 0.5
        world.ports.faults.plan(Fault(call="*", skip=skip, applied=applied, error=error))
        if random.random() < 0.3:
            world.ports.bus.lose_next(random.choice(["transfer-to-vault", COPY]))
        for _ in range(random.randrange(60)):
            if not await world.serve_one():
                await world.wait()
    world.ports.faults.planned.clear()
    world.ports.bus.stop_faults()
    await world.settle()
    job = await check(world, "the last")
    assert job.status in (Status.COMPLETED, Status.COMPLETED_WITH_WARNINGS)
    newest = [point for point in await world.points() if point.replica][-1]
    assert newest.replica
    assert not newest.suspect
    assert content(world, newest.replica) == truth.at(newest)
    item = await the_item(world)
    assert not item.at_work
    assert item.suspect == ()
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert content(world, await restore(world, last)) == truth.at(last)


# ---------------------------------------------------------------- by policy


async def test_a_full_copy_is_verified_once() -> None:
    world = await started(policy=CHECKED)
    world.ports.storage.put(DISK, 0, world.random.randbytes(SIZE))
    await scheduled(world)
    (point,) = await world.points()
    verify = JobId(point.job_id.replace("backup-", "verify-"))
    job = await the_job(world, verify)
    assert (job.operation, job.status) == (Operation.VERIFY, Status.COMPLETED)
    assert findings(job).compared_bytes == SIZE
    assert verify in [id_ async for id_ in listed(world)]
    scribble(world)
    await backup(world)
    assert [j.operation for j in await world.jobs()].count(Operation.VERIFY) == 1
    world.ports.storage.replace(DISK, SIZE)
    scribble(world)
    await backup(world)
    assert [j.operation for j in await world.jobs()].count(Operation.VERIFY) == 2
    await nothing_is_left(world)


def listed(world: World):  # type: ignore[no-untyped-def]
    now = world.ports.clock.now()
    return world.ports.catalog.jobs(now - timedelta(days=9), now)


async def test_a_verification_holds_no_backup_up() -> None:
    """A backup asked for while the first copy is verified comes into the vault."""
    world = await started(policy=CHECKED)
    world.ports.storage.put(DISK, 0, world.random.randbytes(SIZE))
    truth = Truth(world)
    await world.command(type="backup-now", item_id=ITEM)
    while not (await the_item(world)).checks:
        assert await world.serve_one()
    scribble(world)
    await backup(world)
    assert [len(point.tiers) for point in await world.points()] == [2, 2]
    await restore_all(world, truth)


async def test_a_policy_checks_again_after_so_many_days() -> None:
    world = await started(size=SMALL, policy=POLICY.replace("false}", "false, every_days: 3}"))
    for _ in range(10):
        scribble(world, 1)
        await scheduled(world)
    checks = [j for j in await world.jobs() if j.operation is Operation.CONSISTENCY_CHECK]
    assert len(checks) == 3
    assert {job.status for job in checks} == {Status.COMPLETED}


# ---------------------------------------------------------------- what cannot be checked


async def test_nothing_to_check_is_said() -> None:
    world = await started()
    job = await check(world)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error.code == "NothingToCheck"


async def test_a_lost_snapshot_fails_the_check_and_the_next_backup_is_whole() -> None:
    world, truth = await backed_up()
    item = await the_item(world)
    assert item.base
    await world.ports.disks.delete_snapshot(item.base.source)
    job = await check(world)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error.code == "NothingToCompare"
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert content(world, await restore(world, last)) == truth.at(last)
    await nothing_is_left(world)


@pytest.mark.parametrize("queue", ["commands", "transfer-to-vault", COPY])
async def test_a_check_whose_message_is_lost_is_moved_on(queue: str) -> None:
    world, truth = await backed_up()
    rot(world, await the_item(world), 1024)
    if queue != "commands":
        world.ports.bus.lose_next(queue)
    await ask(world)
    await world.settle()
    assert (await the_job(world, CHECK)).status is Status.COMPLETED_WITH_WARNINGS
    await vault_copies_are_right(world, truth)


async def test_a_check_that_does_not_move_fails_in_the_end() -> None:
    world, truth = await backed_up()
    reads = world.ports.faults.plan(Fault(call="disks.read", times=10**9))
    await ask(world)
    await world.settle(4000)
    assert reads.fired
    job = await the_job(world, CHECK)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error.code == "Stalled"
    world.ports.faults.planned.clear()
    assert not (await the_item(world)).at_work
    await restore_all(world, truth)


class Interruption:
    """Cancels the job before the n-th call of the ports."""

    def __init__(self, world: World, job: JobId, number: int) -> None:
        self.fired = False
        self._world, self._job, self._left = world, job, number
        world.ports.faults.before = self._look

    async def _look(self, _: str) -> None:
        from shared.model.errors import Invalid, NotFound
        from shared.model.messages import CancelJob
        from shared.steps.commands import obey

        if self.fired:
            return
        if self._left:
            self._left -= 1
            return
        self.fired = True
        command = CancelJob(job_id=self._job, request_id=RequestId("cancel"))
        try:
            await obey(self._world.ports, command)
        except (Invalid, NotFound):
            self.fired = True
