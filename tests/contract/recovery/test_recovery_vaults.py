"""What any adapter of Recovery Services vaults does: the port, word for word."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.policy import parse_policy
from shared.decide.vault_policy import translate
from shared.model.deferral import Deferred
from shared.model.errors import Conflict, Invalid, NotFound
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Status
from shared.model.machine import Consistency
from shared.model.point import Tier
from shared.model.recovery import VaultItemState, VaultRestore
from shared.model.vault import Redundancy
from tests.contract.recovery.world import (
    FAILURE,
    REGION,
    SNAPSHOT_SECONDS,
    STAGING,
    SUBNET,
    RecoveryWorld,
    with_redundancy,
)

OURS = (TAKE_SNAPSHOT, TRANSFER)


async def test_a_vault_is_adopted_and_can_change_while_it_is_empty(world: RecoveryWorld) -> None:
    await world.recovery.make(world.vault)
    zoned = with_redundancy(world, Redundancy.ZRS)
    await world.done(lambda: world.recovery.make(zoned))
    await world.recovery.make(zoned)
    await world.protect()
    with pytest.raises(Invalid):
        await world.recovery.make(world.vault)


async def test_a_vault_goes_once_it_is_empty(world: RecoveryWorld) -> None:
    machine = await world.protect()
    with pytest.raises(Invalid, match=machine) as refused:
        await world.recovery.delete(world.vault)
    assert refused.value.code == "VaultNotEmpty"
    await world.ended(await world.recovery.remove(world.vault, machine))
    with pytest.raises(Invalid, match=machine):
        await world.recovery.delete(world.vault)
    world.clock.advance(15 * 24 * 3600)
    await world.done(lambda: world.recovery.delete(world.vault))
    await world.done(lambda: world.recovery.delete(world.vault))


async def test_all_below_a_vault_that_is_gone_says_so(world: RecoveryWorld) -> None:
    await world.done(lambda: world.recovery.delete(world.vault))
    machine = world.machine("vm1")
    for call in (
        world.recovery.item(world.vault, machine),
        world.recovery.operation(world.vault, "one"),
        world.recovery.policy(world.vault, "default"),
        world.recovery.remove(world.vault, machine),
        world.recovery.discover(world.vault),
    ):
        with pytest.raises(NotFound) as gone:
            await call
        assert gone.value.code == "VaultNotFound"


GOLD = {
    "name": "gold",
    "time_zone": "Europe/Berlin",
    "schedule": {"frequency": "hourly", "every_hours": 6, "from": "06:00", "window_hours": 12},
    "instant_restore_days": 7,
    "retention": {
        "daily": {"keep": 30},
        "weekly": {"keep": 12, "on": ["sunday"]},
        "monthly": {"keep": 24, "day": "last"},
        "yearly": {"keep": 3, "months": ["may"], "week": "first", "on": "friday"},
    },
}


async def test_a_policy_comes_back_as_it_was_put(world: RecoveryWorld) -> None:
    gold = translate(parse_policy(GOLD), world.clock.now().date())
    assert gold.losses == ()
    await world.recovery.put_policy(world.vault, "gold", gold.body)
    known = await world.recovery.policy(world.vault, "gold")
    assert known is not None
    assert_within(gold.body, known)
    assert await world.recovery.policy(world.vault, "another") is None


def assert_within(put: Any, shown: Any) -> None:
    """All that was put is shown; the vault may say more."""
    if isinstance(put, Mapping):
        for name, value in put.items():
            assert_within(value, shown[name])
    else:
        assert shown == put


async def test_discovery_finds_machines_that_no_vault_protects(world: RecoveryWorld) -> None:
    world.make_machine("vm2")
    assert [page async for page in world.recovery.protectable(world.vault)] == [
        [world.machine("vm1")]
    ]
    await world.discover()
    await world.protect("vm1")
    pages = [page async for page in world.recovery.protectable(world.vault)]
    assert pages == [[world.machine("vm2")]]


async def test_one_vault_a_machine(world: RecoveryWorld) -> None:
    machine = world.machine("vm1")
    assert await world.recovery.protection_of(machine, REGION) == ""
    await world.protect()
    assert await world.recovery.protection_of(machine, REGION) == world.vault.url


async def test_protection_and_its_end(world: RecoveryWorld) -> None:
    machine = world.machine("vm1")
    assert await world.recovery.item(world.vault, machine) is None
    job = await world.ended(await world.recovery.enable(world.vault, machine, "default"))
    assert (job.operation, job.status, job.machine) == (
        "ConfigureBackup",
        Status.COMPLETED,
        machine,
    )
    item = await world.item(machine)
    assert (item.state, item.policy, item.machine) == (
        VaultItemState.INITIAL_BACKUP_PENDING,
        "default",
        machine,
    )
    assert (item.healthy, item.last_backup_at) == (True, None)
    await world.ended(await world.recovery.stop(world.vault, machine))
    stopped = await world.item(machine)
    assert (stopped.state, stopped.policy) == (VaultItemState.STOPPED, "")
    await world.ended(await world.recovery.enable(world.vault, machine, "default"))
    assert (await world.item(machine)).policy == "default"
    assert [page async for page in world.recovery.items(world.vault)] == [
        [await world.item(machine)]
    ]


async def test_changes_of_an_item_come_one_by_one(world: RecoveryWorld) -> None:
    machine = await world.protect()
    operation = await world.recovery.stop(world.vault, machine)
    with pytest.raises(Deferred):
        await world.recovery.enable(world.vault, machine, "default")
    await world.ended(operation)


async def test_a_backup_from_its_snapshot_to_its_end(world: RecoveryWorld) -> None:
    machine = await world.protect()
    began = world.clock.now()
    until = began + timedelta(days=90)
    operation = await world.recovery.backup(world.vault, machine, until)
    job = await world.job(operation)
    assert (job.operation, job.status, job.machine) == ("Backup", Status.IN_PROGRESS, machine)
    assert job.started_at >= began
    assert [task.name for task in job.sub_tasks] == list(OURS)
    world.clock.advance(500)
    gap = await world.recovery.job(world.vault, job.id)
    assert [task.status for task in gap.sub_tasks] == [Status.COMPLETED, Status.NOT_STARTED]
    assert (gap.status, gap.ended_at) == (Status.IN_PROGRESS, None)
    (early,) = await world.points(machine)
    assert early.tiers == (Tier.SNAPSHOT,)
    done = await world.ended(operation)
    assert [task.status for task in done.sub_tasks] == [Status.COMPLETED] * 2
    assert (done.status, done.error) == (Status.COMPLETED, None)
    assert done.ended_at is not None
    (point,) = await world.points(machine)
    assert (point.name, point.tiers) == (early.name, (Tier.SNAPSHOT, Tier.VAULT))
    assert point.consistency is Consistency.FILE_SYSTEM
    assert point.expires_at is not None
    assert abs(point.expires_at - until) < timedelta(days=1)
    item = await world.item(machine)
    assert (item.state, item.last_backup_at is not None) == (VaultItemState.PROTECTED, True)


async def test_jobs_since(world: RecoveryWorld) -> None:
    machine = await world.protect()
    before = world.clock.now()
    world.clock.advance(60)
    job = await world.back_up(machine)
    jobs = [job async for page in world.recovery.jobs(world.vault, before) for job in page]
    assert [(each.id, each.operation, each.status, each.machine) for each in jobs] == [
        (job.id, "Backup", Status.COMPLETED, machine)
    ]
    assert jobs[0].sub_tasks == ()
    later = world.clock.now() + timedelta(seconds=1)
    assert [job async for page in world.recovery.jobs(world.vault, later) for job in page] == []


async def test_the_vault_backs_up_by_its_policy(world: RecoveryWorld) -> None:
    machine = await world.protect()
    since = world.clock.now()
    world.clock.advance(17 * 3600)
    jobs = [job async for page in world.recovery.jobs(world.vault, since) for job in page]
    assert [(job.operation, job.machine) for job in jobs] == [("Backup", machine)]
    assert (jobs[0].started_at - since) < timedelta(hours=18)
    assert len(await world.points(machine)) == 1


@pytest.mark.fault(59)
async def test_a_second_backup_waits_for_the_first_ones_snapshot(world: RecoveryWorld) -> None:
    machine = await world.protect()
    until = world.clock.now() + timedelta(days=30)
    await world.recovery.backup(world.vault, machine, until)
    with pytest.raises(Conflict) as refused:
        await world.recovery.backup(world.vault, machine, until)
    assert refused.value.code == "UserErrorBackupOperationInProgress"


@pytest.mark.fault(59)
async def test_a_transfer_that_fails_leaves_a_point_in_the_snapshot_tier(
    world: RecoveryWorld,
) -> None:
    machine = await world.protect()
    world.fail_transfer()
    job = await world.back_up(machine)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert [task.status for task in job.sub_tasks] == [Status.COMPLETED, Status.FAILED]
    assert job.error == FAILURE
    (point,) = await world.points(machine)
    assert point.tiers == (Tier.SNAPSHOT,)


async def test_a_backup_is_cancelled_while_its_snapshot_is_taken(world: RecoveryWorld) -> None:
    machine = await world.protect()
    until = world.clock.now() + timedelta(days=30)
    job = await world.job(await world.recovery.backup(world.vault, machine, until))
    world.clock.advance(60)
    await world.recovery.cancel(world.vault, job.id)
    world.clock.advance(600)
    assert (await world.recovery.job(world.vault, job.id)).status is Status.CANCELLED
    assert await world.points(machine) == []
    await world.recovery.cancel(world.vault, job.id)


async def test_it_is_too_late_to_cancel_a_transfer(world: RecoveryWorld) -> None:
    machine = await world.protect()
    until = world.clock.now() + timedelta(days=30)
    job = await world.job(await world.recovery.backup(world.vault, machine, until))
    world.clock.advance(SNAPSHOT_SECONDS)
    with pytest.raises(Invalid) as refused:
        await world.recovery.cancel(world.vault, job.id)
    assert refused.value.code == "UserErrorJobNotCancellable"


async def test_what_is_not_there(world: RecoveryWorld) -> None:
    with pytest.raises(NotFound):
        await world.recovery.job(world.vault, "00000000-0000-0000-0000-000000000000")
    until = world.clock.now() + timedelta(days=30)
    with pytest.raises(NotFound):
        await world.recovery.backup(world.vault, world.machine("vm1"), until)
    assert await world.recovery.remove(world.vault, world.machine("vm1")) == ""


@pytest.mark.parametrize("kind", ["disks", "alternate", "original"])
async def test_restores(world: RecoveryWorld, kind: str) -> None:
    machine = await world.protect()
    await world.back_up(machine)
    (point,) = await world.points(machine)
    wanted = VaultRestore(
        point=point.name,
        kind=kind,
        machine=machine,
        staging_account=STAGING,
        group=machine.partition("/providers/")[0] if kind == "disks" else "",
        new_machine=world.machine("vm9") if kind == "alternate" else None,
        subnet=SUBNET if kind == "alternate" else "",
    )
    job = await world.ended(await world.recovery.restore(world.vault, wanted))
    assert (job.operation, job.status, job.machine) == ("Restore", Status.COMPLETED, machine)
    assert job.sub_tasks[0].name == "Transfer data from vault"
    assert {task.status for task in job.sub_tasks} == {Status.COMPLETED}


async def test_deleted_data_can_be_had_back_for_a_while(world: RecoveryWorld) -> None:
    machine = await world.protect()
    await world.back_up(machine)
    job = await world.ended(await world.recovery.remove(world.vault, machine))
    assert (job.operation, job.status) == ("DeleteBackupData", Status.COMPLETED)
    deleted = await world.item(machine)
    assert (deleted.deleted, deleted.state) == (True, VaultItemState.STOPPED)
    assert deleted.kept_seconds is not None
    assert 13 * 24 * 3600 < deleted.kept_seconds <= 14 * 24 * 3600
    with pytest.raises(Invalid):
        await world.recovery.enable(world.vault, machine, "default")
    await world.ended(await world.recovery.undelete(world.vault, machine))
    kept = await world.item(machine)
    assert (kept.deleted, kept.kept_seconds, kept.state) == (False, None, VaultItemState.STOPPED)
    assert len(await world.points(machine)) == 1
    await world.ended(await world.recovery.enable(world.vault, machine, "default"))
    assert (await world.item(machine)).policy == "default"


async def test_deleted_data_goes_after_its_days(world: RecoveryWorld) -> None:
    machine = await world.protect()
    await world.ended(await world.recovery.remove(world.vault, machine))
    world.clock.advance(15 * 24 * 3600)
    assert await world.recovery.item(world.vault, machine) is None
