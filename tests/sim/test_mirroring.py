"""A machine in a Recovery Services vault: its whole life, by commands, slots and the vault's own
clock."""

from datetime import timedelta

import pytest

from shared.decide.errands import SLOT_PATIENCE
from shared.model.ids import slot_job
from shared.model.item import ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Status
from shared.model.machine import Consistency
from shared.model.point import Tier
from shared.steps.expiry import preview_expiry
from shared.steps.tick import tick
from shared.steps.views import job_view
from tests.sim.mirrored import (
    FAILURE,
    GROUP,
    MACHINE,
    RSV,
    STAGING,
    SUBNET,
    a_vault,
    ask,
    back_up,
    days_pass,
    job_of,
    protect,
    protected,
    slot,
    the_item,
    the_job,
    vault_jobs,
)
from tests.sim.world import ITEM, World


async def test_a_machine_comes_under_protection_once_the_vault_has_found_it() -> None:
    world = await a_vault()
    job = await protect(world)
    assert job.status is Status.COMPLETED, job.error
    item = await the_item(world)
    assert item.state is ProtectionState.INITIAL_BACKUP_PENDING
    assert item.mirrors.startswith(RSV.url)
    assert not item.at_work
    assert world.ports.faults.calls["recovery.discover"] == 1
    assert world.ports.bus.dead_letters == []


async def test_a_backup_on_demand_becomes_a_point_with_both_tiers() -> None:
    world = await protected()
    job = await back_up(world, retain_until="2026-03-01")
    assert job.status is Status.COMPLETED, job.error
    assert [job.task(TAKE_SNAPSHOT), job.task(TRANSFER)] == [Status.COMPLETED, Status.COMPLETED]
    (point,) = await world.points()
    assert point.job_id == job.id
    assert point.tiers == (Tier.SNAPSHOT, Tier.VAULT)
    assert point.consistency is Consistency.FILE_SYSTEM
    assert point.expires_at is not None
    assert point.expires_at.isoformat().startswith("2026-03-02T00:00")
    item = await the_item(world)
    assert item.state is ProtectionState.PROTECTED
    assert item.last_point_at == point.created_at
    assert job.mirrors == vault_jobs(world)[0].id


async def test_the_gap_before_a_transfer_shows_is_in_progress() -> None:
    world = await protected()
    seen = set()
    request = await world.command(type="backup-now", item_id=ITEM)
    for _ in range(400):
        if not await world.serve_one():
            await world.wait()
        if not await world.jobs():
            continue
        known = [job for job in await world.jobs() if ".backup-" in job.id]
        seen |= {(job.task(TAKE_SNAPSHOT), job.task(TRANSFER)) for job in known}
        if known and known[0].status.ended:
            break
    assert (Status.COMPLETED, Status.NOT_STARTED) not in seen
    assert (Status.COMPLETED, Status.IN_PROGRESS) in seen
    assert (await job_of(world, "backup", request)).status is Status.COMPLETED


async def test_a_slot_adopts_the_vaults_own_backup() -> None:
    world = await protected()
    for _ in range(3):
        await slot(world)
    jobs = [job for job in await world.jobs() if ".backup-" in job.id]
    assert [job.status for job in jobs] == [Status.COMPLETED] * 3
    assert [job.mirrors for job in jobs] == [job.id for job in vault_jobs(world)]
    assert world.ports.faults.calls["recovery.backup"] == 0
    points = await world.points()
    assert [point.job_id for point in points] == [job.id for job in jobs]
    assert len({point.mirrors for point in points}) == 3


async def test_who_asks_need_not_wait_for_a_slot_that_the_vault_leaves_out() -> None:
    """A slot's job that only looks for the vault's own backup lets a request go first."""
    world = await protected()
    policy = (await the_item(world)).policy
    world.ports.recovery.shelf(RSV).policies[f"vaultline-{policy}"] = {"timeZone": "none"}
    now = world.ports.clock.now()
    at = now.replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=now.hour >= 2)
    waiting = slot_job(ITEM, at)
    world.ports.clock.set(at)
    await tick(world.ports)
    for _ in range(3):
        await world.turn()
    assert (await the_item(world)).snapshotting == waiting
    request = await world.command(type="backup-now", item_id=ITEM)
    begun = world.ports.clock.now()
    await world.turn()
    while not (job := await job_of(world, "backup", request)).status.ended:
        await world.turn()
    assert job.status is Status.COMPLETED
    assert world.ports.clock.now() - begun < SLOT_PATIENCE
    await world.settle(4000)
    late = await the_job(world, waiting)
    assert late.error is not None
    assert late.error.code == "ScheduledBackupMissing"
    item = await the_item(world)
    assert (item.queued, item.snapshotting) == ((), None)


async def test_a_slot_that_the_vault_leaves_out_fails_in_words() -> None:
    world = await protected()
    policy = (await the_item(world)).policy
    world.ports.recovery.shelf(RSV).policies[f"vaultline-{policy}"] = {"timeZone": "none"}
    await slot(world, limit=4000)
    (job,) = [job for job in await world.jobs() if ".backup-" in job.id]
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "ScheduledBackupMissing"
    assert not (await the_item(world)).at_work


async def test_a_transfer_that_fails_is_a_warning_and_a_point_of_one_tier() -> None:
    """Fault 59: CompletedWithWarnings."""
    world = await protected()
    world.ports.recovery.fail_next(RSV, "transfer", FAILURE)
    job = await back_up(world)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error == FAILURE
    assert job.task(TRANSFER) is Status.FAILED
    (point,) = await world.points()
    assert point.tiers == (Tier.SNAPSHOT,)
    assert (await the_item(world)).health == FAILURE.message


async def test_a_snapshot_that_fails_fails_the_job() -> None:
    world = await protected()
    world.ports.recovery.fail_next(RSV, "snapshot", FAILURE)
    job = await back_up(world)
    assert (job.status, job.error) == (Status.FAILED, FAILURE)
    assert await world.points() == []
    assert not (await the_item(world)).at_work
    assert (await back_up(world)).status is Status.COMPLETED


async def test_two_backups_asked_for_at_once_follow_each_other() -> None:
    """Invariant 5."""
    world = await protected()
    first = await world.command(type="backup-now", item_id=ITEM)
    second = await world.command(type="backup-now", item_id=ITEM)
    await world.settle(1000)
    jobs = [await job_of(world, "backup", each) for each in (first, second)]
    assert [job.status for job in jobs] == [Status.COMPLETED] * 2
    ours = sorted(job.mirrors for job in jobs)
    assert ours == sorted(job.id for job in vault_jobs(world))
    assert len(await world.points()) == 2


async def test_points_go_when_azure_has_expired_them() -> None:
    """Invariant 36: our retention removes none, and says so."""
    world = await protected()
    await slot(world)
    plan = await preview_expiry(world.ports, ITEM)
    assert [decision.mark.value for decision in plan.decisions] == ["keep"]
    assert "Recovery Services" in plan.decisions[0].why
    await days_pass(world, 32)
    left = await world.points()
    assert len(left) == 30
    held = world.ports.recovery.shelf(RSV).kept[MACHINE].points
    assert {point.mirrors for point in left} == set(held)


async def test_a_stopped_item_is_looked_at_every_day() -> None:
    world = await protected()
    await back_up(world)
    await ask(world, "stop-protection", "stop", delete_data=False)
    item = await the_item(world)
    assert item.state is ProtectionState.PROTECTION_STOPPED
    world.ports.recovery.drop(RSV, MACHINE)
    await days_pass(world, 2)
    assert await world.points() == []
    assert "does not protect it" in (await the_item(world)).health


async def test_stop_resume_delete_undelete_and_gone() -> None:
    world = await protected()
    await back_up(world)
    assert (
        await ask(world, "stop-protection", "stop", delete_data=False)
    ).status is Status.COMPLETED
    assert (await protect(world)).status is Status.COMPLETED
    assert (await the_item(world)).state is ProtectionState.PROTECTED
    assert (
        await ask(world, "stop-protection", "stop", delete_data=True)
    ).status is Status.COMPLETED
    deleted = await the_item(world)
    assert deleted.delete_after is not None
    assert deleted.delete_after - world.ports.clock.now() > timedelta(days=13)
    assert len(await world.points()) == 1
    assert (await ask(world, "undelete", "undelete")).status is Status.COMPLETED
    back = await the_item(world)
    assert (back.delete_after, back.state) == (None, ProtectionState.PROTECTION_STOPPED)
    await ask(world, "stop-protection", "stop", delete_data=True)
    await days_pass(world, 16)
    assert await world.look(world.item()) is None
    assert await world.points() == []
    assert await world.ports.inventory.disk(MACHINE) is not None
    assert (await protect(world)).status is Status.COMPLETED


@pytest.mark.parametrize(
    "target",
    [
        {"kind": "disks", "group": GROUP, "prefix": "r1"},
        {"kind": "alternate", "url": f"{MACHINE}-2", "network": SUBNET},
        {"kind": "original", "confirm": True},
    ],
    ids=["disks", "alternate", "original"],
)
async def test_restores_are_the_vaults(target: dict[str, str]) -> None:
    world = await protected()
    await back_up(world)
    job = await ask(world, "restore", "restore", target={**target, "staging_account": STAGING})
    assert job.status is Status.COMPLETED, job.error
    (point,) = await world.points()
    (restored,) = world.ports.recovery.restored
    assert restored.point == point.mirrors
    assert restored.kind == target["kind"]
    assert restored.staging_account == STAGING
    view = job_view(job)
    assert view["point"] == point.id
    assert view["target"] in (GROUP, f"{MACHINE}-2", MACHINE)
    assert all(task.status is Status.COMPLETED for task in job.sub_tasks)
    assert job.sub_tasks
    assert not (await the_item(world)).at_work


async def test_a_restore_that_fails_says_why() -> None:
    world = await protected()
    await back_up(world)
    world.ports.recovery.fail_next(RSV, "restore", FAILURE)
    target = {"kind": "disks", "group": GROUP, "prefix": "r1", "staging_account": STAGING}
    job = await ask(world, "restore", "restore", target=target)
    assert (job.status, job.error) == (Status.FAILED, FAILURE)


async def cancelled_after(world: World, seconds: float) -> Status:
    request = await world.command(type="backup-now", item_id=ITEM)
    end = world.ports.clock.now() + timedelta(seconds=seconds)
    while world.ports.clock.now() < end:
        if not await world.serve_one():
            await world.wait()
    job = await job_of(world, "backup", request)
    await world.command(type="cancel", job_id=job.id)
    await world.settle()
    item = await the_item(world)
    assert not item.at_work
    return (await job_of(world, "backup", request)).status


@pytest.mark.parametrize(
    ("seconds", "status", "points"),
    [(30, Status.CANCELLED, 0), (550, Status.CANCELLED, 1), (1500, Status.COMPLETED, 1)],
    ids=["snapshot", "gap", "transfer"],
)
async def test_a_backup_is_cancelled_while_the_vault_can(
    seconds: float, status: Status, points: int
) -> None:
    """Invariant 22. Once its transfer shows, Azure refuses."""
    world = await protected()
    assert await cancelled_after(world, seconds) is status
    assert len(await world.points()) == points
