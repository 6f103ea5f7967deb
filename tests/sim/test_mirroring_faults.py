"""Whatever dies, fails or is lost between us and a Recovery Services vault: nothing is begun twice,
and all comes to its end."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.deferral import Deferred
from shared.model.errors import Transient
from shared.model.job import Status
from shared.model.messages import VAULTS
from shared.steps.dead_letters import dead_letters, redrive
from tests.sim.mirrored import (
    FAILURE,
    GROUP,
    MACHINE,
    QUICK,
    RSV,
    STAGING,
    a_vault,
    ask,
    back_up,
    days_pass,
    machines,
    protect,
    protected,
    slot,
    the_item,
    vault_jobs,
)
from tests.sim.world import ITEM, Crash, World

TARGET = {"kind": "disks", "group": GROUP, "prefix": "r1", "staging_account": STAGING}


async def unprotected(seed: int = 0) -> World:
    return await a_vault(seed, course=QUICK)


async def enabled(seed: int = 0) -> World:
    return await protected(seed, QUICK)


async def backed_up(seed: int = 0) -> World:
    world = await enabled(seed)
    await back_up(world)
    return world


async def deleted(seed: int = 0) -> World:
    world = await backed_up(seed)
    await ask(world, "stop-protection", "stop", delete_data=True)
    return world


Story = tuple[Callable[[int], Awaitable[World]], Callable[[World], Awaitable[object]], str]

STORIES: dict[str, Story] = {
    "protect": (unprotected, protect, "ConfigureBackup"),
    "backup": (enabled, back_up, "Backup"),
    "slot": (enabled, slot, "Backup"),
    "restore": (backed_up, lambda w: ask(w, "restore", "restore", target=TARGET), "Restore"),
    "stop": (
        backed_up,
        lambda w: ask(w, "stop-protection", "stop", delete_data=False),
        "DisableBackup",
    ),
    "delete": (
        backed_up,
        lambda w: ask(w, "stop-protection", "stop", delete_data=True),
        "DeleteBackupData",
    ),
    "undelete": (deleted, lambda w: ask(w, "undelete", "undelete"), "Undelete"),
}
ONCE = ("Backup", "Restore")


async def assert_well(world: World, story: str) -> None:
    """Every job of ours ended well, the vault was asked once where twice would matter, and the
    ledger is as the vault has it."""
    item = await the_item(world)
    assert not item.at_work
    assert world.ports.bus.dead_letters == []
    jobs = await world.jobs()
    assert [job.status for job in jobs] == [Status.COMPLETED] * len(jobs), jobs
    kind = STORIES[story][2]
    if kind in ONCE:
        assert len(vault_jobs(world, kind)) == 1
    held = world.ports.recovery.shelf(RSV).kept[MACHINE].points
    assert {point.mirrors for point in await world.points()} == set(held)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_process_dies_at_any_call(story: str, applied: bool) -> None:
    """Invariants 6, 7, 13, 21 and 37."""
    before, act, _ = STORIES[story]
    number = 0
    while True:
        world = await before(number)
        death = world.ports.faults.plan(Fault(call="*", skip=number, applied=applied, error=Crash))
        await act(world)
        if not death.fired:
            break
        await assert_well(world, story)
        number += 1
    assert number > 10


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize(
    "error",
    [
        lambda: Transient("internal error", code="InternalServerError"),
        lambda: Deferred("asked too often", retry_after=324, code="ResourceRequestsThrottled"),
    ],
    ids=["5xx", "429"],
)
@pytest.mark.fault(49)
async def test_a_vault_that_answers_badly_is_asked_again(
    story: str, error: Callable[[], Exception]
) -> None:
    """Half of its answers, for a while."""
    before, act, _ = STORIES[story]
    for seed in range(4):
        world = await before(seed)
        faults = world.ports.faults
        faults.plan(Fault(call="recovery.*", times=6, share=0.5, error=error))
        await act(world)
        await assert_well(world, story)


@pytest.mark.parametrize("story", ["backup", "restore"])
async def test_an_answer_that_is_lost_begins_nothing_twice(story: str) -> None:
    """Invariant 37: the vault's jobs tell."""
    before, act, kind = STORIES[story]
    world = await before(0)
    lost = world.ports.faults.plan(Fault(call=f"recovery.{story}", applied=True))
    await act(world)
    assert lost.fired == 1
    assert len(vault_jobs(world, kind)) == 1
    await assert_well(world, story)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.fault(50)
async def test_an_operation_whose_status_has_vanished(story: str) -> None:
    """The vault's jobs tell, or the item itself."""
    before, act, _ = STORIES[story]
    world = await before(0)

    async def forget(call: str) -> None:
        if call == "recovery.operation":
            world.ports.recovery.forget_operations()

    world.ports.faults.before = forget
    await act(world)
    await assert_well(world, story)


@pytest.mark.parametrize("seed", range(6))
async def test_messages_come_twice_or_never(seed: int) -> None:
    """Invariant 6."""
    world = await enabled(seed)
    bus = world.ports.bus
    for story in ("backup", "restore", "stop"):
        if seed % 2:
            bus.duplicate_next(VAULTS)
        else:
            bus.lose_next(VAULTS)
        await STORIES[story][1](world)
    assert not (await the_item(world)).at_work
    assert len(vault_jobs(world, "Backup")) == 1
    assert len(vault_jobs(world, "Restore")) == 1


async def test_an_item_that_somebody_removed_in_the_vault() -> None:
    """Fault 51: the job fails with the reason, the ledger is as the vault has it."""
    world = await backed_up()
    world.ports.recovery.drop(RSV, MACHINE)
    job = await back_up(world)
    assert job.status is Status.FAILED
    await days_pass(world, 2)
    item = await the_item(world)
    assert item.state.value == "ProtectionStopped"
    assert await world.points() == []
    assert (await protect(world)).status is Status.COMPLETED


@pytest.mark.fault(51)
async def test_a_machine_that_is_deleted_keeps_its_points() -> None:
    world = await backed_up()
    world.ports.machines.remove(MACHINE)
    await days_pass(world, 1)
    assert len(await world.points()) >= 1


async def test_a_vault_that_is_silent_for_a_day_fails_the_job() -> None:
    world = await protected()
    world.ports.faults.plan(Fault(call="recovery.job*", times=10**6))
    await world.command(type="backup-now", item_id=ITEM)
    start = world.ports.clock.now()
    while not [job for job in await world.jobs() if ".backup-" in job.id and job.status.ended]:
        if not await world.serve_one():
            await world.wait()
    world.ports.faults.planned.clear()
    await world.settle(4000)
    (job,) = [job for job in await world.jobs() if ".backup-" in job.id and not job.slot]
    assert job.status is Status.FAILED
    assert world.ports.clock.now() - start > timedelta(days=1)
    assert not (await the_item(world)).at_work


async def test_a_protection_that_the_vault_refuses_leaves_nothing() -> None:
    """Invariant 18: the claim ends with the item."""
    world = await a_vault()
    world.ports.recovery.fail_next(RSV, "change", FAILURE)
    job = await protect(world)
    assert (job.status, job.error) == (Status.FAILED, FAILURE)
    assert await world.look(world.item()) is None
    known = await world.ports.inventory.disk(MACHINE)
    assert known is not None
    assert known.item is None
    assert (await protect(world)).status is Status.COMPLETED


async def test_many_machines_share_one_listing() -> None:
    """Azure answers 150 looks at jobs an hour: twenty backups of an hour stay well below."""
    world = await a_vault()
    ids = await machines(world, 20)
    for id_ in ids:
        await world.command(type="backup-now", item_id=id_)
    calls = world.ports.faults.calls
    before, start = calls["recovery.jobs"] + calls["recovery.job"], world.ports.clock.now()
    await world.settle(4000)
    hours = (world.ports.clock.now() - start).total_seconds() / 3600
    assert hours > 0.5
    assert calls["recovery.jobs"] + calls["recovery.job"] - before < 150 * max(1.0, hours)
    for id_ in ids:
        assert [job.status for job in await world.jobs(id_)] == [Status.COMPLETED] * 2


@pytest.mark.fault(59)
async def test_a_backup_waits_for_one_that_is_not_ours() -> None:
    """The vault refuses a second one meanwhile; the other's is not taken for ours."""
    world = await enabled()
    shelf = world.ports.recovery.shelf(RSV)
    theirs = shelf.back_up(MACHINE, world.ports.clock.now() + timedelta(days=1))
    world.ports.clock.advance(5)
    job = await back_up(world)
    assert job.status is Status.COMPLETED
    assert job.mirrors not in ("", theirs.id)
    assert [each.status for each in vault_jobs(world)] == [Status.COMPLETED] * 2
    assert job.id in {point.job_id for point in await world.points()}


@pytest.mark.fault(22)
async def test_looks_that_burn_out_are_taken_again() -> None:
    """Ten deliveries end in the dead letters; the reconciler looks on, and the letter that is
    redriven later comes too late to do anything."""
    world = await enabled()
    await world.command(type="backup-now", item_id=ITEM)
    while not world.ports.bus.available(VAULTS):
        assert await world.serve_one()
    for _ in range(10):
        locked = world.ports.bus.receive(VAULTS)
        assert locked is not None
        world.ports.bus.abandon(locked)
    (letter,) = [letter async for letter in dead_letters(world.ports)]
    await world.settle(4000)
    await redrive(world.ports, [letter])
    await world.settle(4000)
    (job,) = [job for job in await world.jobs() if ".backup-" in job.id]
    assert job.status is Status.COMPLETED
    assert len(vault_jobs(world)) == 1
    assert world.ports.bus.dead_letters == []


@pytest.mark.fault(51)
async def test_a_target_group_that_goes_during_a_restore() -> None:
    """The job fails with what the vault says; the point stays, and can be restored elsewhere."""
    world = await backed_up()
    gone = replace(FAILURE, code="UserErrorResourceGroupNotFound")
    world.ports.recovery.fail_next(RSV, "restore", gone)
    job = await ask(world, "restore", "restore", target=TARGET)
    assert (job.status, job.error) == (Status.FAILED, gone)
    assert len(await world.points()) == 1
    assert (await ask(world, "restore", "restore", target=TARGET)).status is Status.COMPLETED
