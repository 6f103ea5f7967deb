"""A mirrored item's life at random, with whatever goes wrong on the way (invariant 6): in the end
the ledger is as the vault has it, and no job of the vault's is two of ours."""

from datetime import timedelta
from random import Random

import pytest

from shared.memory import Fault
from shared.memory.faults import lost
from shared.model.deferral import Deferred
from shared.model.messages import QUEUES
from shared.steps.tick import tick
from tests.sim.mirrored import (
    FAILURE,
    GROUP,
    MACHINE,
    QUICK,
    RSV,
    STAGING,
    a_vault,
    days_pass,
    protect,
    vault_jobs,
)
from tests.sim.world import ITEM, Crash, World

TARGET = {"kind": "disks", "group": GROUP, "prefix": "r1", "staging_account": STAGING}
COMMANDS = (
    {"type": "backup-now"},
    {"type": "backup-now"},
    {"type": "restore", "target": TARGET},
    {"type": "stop-protection", "delete_data": False},
    {"type": "stop-protection", "delete_data": True},
    {"type": "undelete"},
    {"type": "protect", "source": MACHINE, "policy": "gold", "vault": "rsv"},
)


def trouble(world: World, dice: Random) -> None:
    """Something that goes wrong a little later."""
    call = dice.choice(["*", "recovery.*", "ledger.commit", "bus.send"])
    errors = (Crash, lost, lambda: Deferred("later", retry_after=60.0))
    fault = Fault(
        call=call, skip=dice.randrange(12), applied=dice.random() < 0.5, error=dice.choice(errors)
    )
    if fault.applied and call == "recovery.*":
        fault.error = dice.choice([Crash, lost])  # what is put off was not begun
    world.ports.faults.plan(fault)


async def something(world: World, dice: Random) -> None:
    match dice.randrange(7):
        case 0:
            trouble(world, dice)
        case 1:
            queue = dice.choice(QUEUES)
            dice.choice([world.ports.bus.lose_next, world.ports.bus.duplicate_next])(queue)
        case 2:
            stage = dice.choice(["snapshot", "transfer", "restore", "change"])
            world.ports.recovery.fail_next(RSV, stage, FAILURE)  # type: ignore[arg-type]
        case 3:
            world.ports.clock.advance(dice.choice([60, 3600, 8 * 3600]))
            await world.survive(tick(world.ports))
        case 4:
            shelf = world.ports.recovery.shelf(RSV)
            if MACHINE in shelf.kept and not shelf.busy(MACHINE):
                shelf.back_up(MACHINE, world.ports.clock.now() + timedelta(days=5))
        case _:
            await world.command(item_id=ITEM, **dice.choice(COMMANDS))
    for _ in range(dice.randrange(12)):
        if not await world.serve_one():
            await world.wait()


@pytest.mark.parametrize("seed", [*range(24), 31, 344])
async def test_a_life_at_random(seed: int) -> None:
    dice = Random(seed)
    world = await a_vault(seed, course=QUICK)
    await protect(world)
    for _ in range(40):
        await something(world, dice)
    world.ports.faults.planned.clear()
    world.ports.recovery.shelf(RSV).scripted.clear()
    await world.settle(20_000)
    await days_pass(world, 2)
    await as_the_vault_has_it(world)
    world.ports.clock.advance(timedelta(days=16).total_seconds())
    await days_pass(world, 2)
    await as_the_vault_has_it(world)


async def as_the_vault_has_it(world: World) -> None:
    item = await world.item()
    kept = world.ports.recovery.shelf(RSV).kept.get(MACHINE)
    if item is None:
        assert kept is None
        assert await world.points() == []
        return
    assert not item.at_work
    assert (item.delete_after is not None) == (kept is not None and kept.item.deleted)
    theirs = kept.points if kept else {}
    if item.delete_after is None:  # a deleted item's points are not told
        assert {point.mirrors for point in await world.points()} == set(theirs)
    ours = [job.mirrors for job in await world.jobs() if job.mirrors]
    assert len(ours) == len(set(ours))
    since = [job for kind in ("Backup", "Restore") for job in vault_jobs(world, kind)]
    assert [
        job for job in since if job.started_at >= item.protected_at and job.id not in ours
    ] == []
    assert all(job.status.ended for job in await world.jobs())
