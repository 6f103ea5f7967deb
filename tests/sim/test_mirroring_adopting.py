"""Backups that a vault makes without being asked by us become jobs of ours (invariant 36)."""

from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.ids import slot_job
from shared.model.job import TAKE_SNAPSHOT, Job, Status
from shared.steps.tick import tick
from tests.sim.mirrored import (
    FAILURE,
    MACHINE,
    POLICY,
    RSV,
    a_vault,
    an_hour_passes,
    back_up,
    days_pass,
    protect,
    protected,
    slot,
    the_item,
    vault_jobs,
)
from tests.sim.world import ITEM, Crash, World


def begin_theirs(world: World) -> str:
    """Somebody asks the vault itself for a backup."""
    until = world.ports.clock.now() + timedelta(days=30)
    return world.ports.recovery.shelf(RSV).back_up(MACHINE, until).id


async def backups(world: World) -> list[Job]:
    return [job for job in await world.jobs() if ".backup-" in job.id]


async def test_one_that_has_ended_is_a_job_with_its_point() -> None:
    world = await protected()
    begun = begin_theirs(world)
    await an_hour_passes(world)
    (job,) = await backups(world)
    assert (job.mirrors, job.status) == (begun, Status.COMPLETED)
    assert job.task(TAKE_SNAPSHOT) is Status.COMPLETED
    (point,) = await world.points()
    assert point.job_id == job.id
    item = await the_item(world)
    assert item.seen_until == vault_jobs(world)[0].started_at
    await an_hour_passes(world)
    assert [each.mirrors for each in await backups(world)].count(begun) == 1


async def test_one_that_is_under_way_is_followed() -> None:
    world = await protected()
    world.ports.clock.advance(3000)
    begun = begin_theirs(world)
    world.ports.clock.advance(602)
    await tick(world.ports)
    for _ in range(6):
        await world.serve_one()
    (job,) = await backups(world)
    assert (job.mirrors, job.status) == (begun, Status.IN_PROGRESS)
    assert (await the_item(world)).snapshotting == job.id
    await world.settle(4000)
    (job,) = await backups(world)
    assert job.status is Status.COMPLETED
    assert [point.job_id for point in await world.points()] == [job.id]


async def test_one_that_failed_says_why() -> None:
    world = await protected()
    world.ports.recovery.fail_next(RSV, "snapshot", FAILURE)
    begin_theirs(world)
    await an_hour_passes(world)
    (job,) = await backups(world)
    assert (job.status, job.error) == (Status.FAILED, FAILURE)


async def test_that_of_a_slot_is_the_slots_whoever_sees_it_first() -> None:
    world = await protected()
    at = world.ports.clock.now().replace(hour=2, minute=0, second=0, microsecond=0)
    world.ports.clock.set(at + timedelta(hours=3))
    await world.expire()  # a look at the item, before our own timer fires
    await world.settle(4000)
    (job,) = await backups(world)
    assert (job.id, job.slot, job.status) == (slot_job(ITEM, at), at, Status.COMPLETED)
    await tick(world.ports)
    await world.settle(4000)
    await slot(world)
    assert len(await backups(world)) == 2
    assert len(vault_jobs(world)) == 2


async def test_slots_that_the_vault_does_not_keep_are_no_jobs() -> None:
    """What was lost of the schedule is not waited for; what the vault starts instead is found."""
    world = await a_vault(policy=POLICY.replace("02:00", "02:45"))
    await protect(world, accept_losses=True)
    await slot(world)
    await days_pass(world, 1)
    jobs = await backups(world)
    assert [job.status for job in jobs] == [Status.COMPLETED] * len(jobs)
    assert [job.mirrors for job in jobs] == [job.id for job in vault_jobs(world)]
    assert jobs


async def test_ours_is_not_taken_for_somebody_elses() -> None:
    """Not even before its job in the vault is known to us."""
    world = await protected()
    lost = world.ports.faults.plan(Fault(call="recovery.backup", applied=True, error=Crash))
    await world.command(type="backup-now", item_id=ITEM)
    while not lost.fired:
        assert await world.serve_one()
    await world.expire()
    await world.settle(4000)
    (job,) = await backups(world)
    assert job.status is Status.COMPLETED
    assert job.slot is None
    assert len(vault_jobs(world)) == 1


async def test_many_looks_share_one_listing() -> None:
    world = await protected()
    calls = world.ports.faults.calls
    await days_pass(world, 1)
    before = calls["recovery.jobs"]
    for _ in range(20):
        await world.expire()
    assert calls["recovery.jobs"] - before <= 1


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_process_dies_at_any_call_of_a_look(applied: bool) -> None:
    number = 0
    while True:
        world = await protected(number)
        begun = begin_theirs(world)
        world.ports.clock.advance(3602)
        death = world.ports.faults.plan(Fault(call="*", skip=number, applied=applied, error=Crash))
        await world.survive(tick(world.ports))
        await world.survive(tick(world.ports))
        await world.settle(4000)
        fired = death.fired
        world.ports.faults.planned.clear()
        (job,) = await backups(world)
        assert (job.mirrors, job.status) == (begun, Status.COMPLETED)
        assert [point.job_id for point in await world.points()] == [job.id]
        if not fired:
            break
        number += 1
    assert number > 10


async def test_after_theirs_comes_ours() -> None:
    world = await protected()
    begin_theirs(world)
    world.ports.clock.advance(5)
    job = await back_up(world)
    assert job.status is Status.COMPLETED
    await an_hour_passes(world)
    ours = sorted(each.mirrors for each in await backups(world))
    assert ours == sorted(each.id for each in vault_jobs(world))
    assert {each.job_id for each in await world.points()} == {e.id for e in await backups(world)}
