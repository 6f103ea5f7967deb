"""A machine's life in a Recovery Services vault that others use as well, by a clock of its own:
they remove, protect, stop and have back what is ours, and cancel what we do. Whatever happens, no
job of the vault's is two of ours or none, every job ends, and the ledger is as the vault has it."""

from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from shared.model.errors import VaultlineError
from tests.sim.mirrored import MACHINE, QUICK, RSV, a_vault, days_pass, protect, vault_jobs
from tests.sim.test_mirroring_found import Shifted
from tests.sim.test_mirroring_random import something
from tests.sim.world import ITEM, World

CLOCKS = timedelta(minutes=10)


async def somebody(world: World, dice: Random) -> None:
    """Somebody does something, in the vault or with us; what is impossible is refused."""
    vaults = world.ports.recovery
    with suppress(VaultlineError):
        match dice.randrange(6):
            case 0:
                if not vaults.shelf(RSV).busy(MACHINE):
                    vaults.drop(RSV, MACHINE)
            case 1:
                await world.look(vaults.enable(RSV, MACHINE, "vaultline-gold"))
            case 2:
                await world.look(vaults.stop(RSV, MACHINE))
            case 3:
                await world.look(vaults.remove(RSV, MACHINE))
            case 4:
                await world.look(vaults.undelete(RSV, MACHINE))
            case _:
                await cancel_one(world, dice)


async def cancel_one(world: World, dice: Random) -> None:
    if going_on := [job.id for job in await world.look(world.jobs()) if not job.status.ended]:
        await world.command(type="cancel", job_id=dice.choice(going_on))


@pytest.mark.parametrize("seed", range(16))
async def test_a_life_beside_others(seed: int) -> None:
    dice = Random(seed)
    world = await a_vault(seed, course=QUICK)
    Shifted(world, dice.choice([-8, 0, 8]))
    await protect(world)
    for _ in range(40):
        if dice.random() < 0.3:
            await somebody(world, dice)
        await something(world, dice)
    world.ports.faults.planned.clear()
    world.ports.recovery.shelf(RSV).scripted.clear()
    await world.settle(20_000)
    for days in (2, 18):
        await days_pass(world, days)
        await as_the_vault_has_it(world)


async def as_the_vault_has_it(world: World) -> None:
    item, jobs = await world.item(), await world.jobs()
    assert [job.id for job in jobs if not job.status.ended] == []
    assert [each for each in world.ports.bus.dead_letters if each.queue != "commands"] == []
    if item is None:
        assert await world.points() == []
        return
    assert not item.at_work
    kept = world.ports.recovery.shelf(RSV).kept.get(MACHINE)
    assert (item.delete_after is not None) == (kept is not None and kept.item.deleted)
    if item.delete_after is None:  # a deleted item's points are not told
        assert {each.mirrors for each in await world.points(ITEM)} == set(
            kept.points if kept else ()
        )
    ours = [job.mirrors for job in jobs if job.mirrors]
    assert len(ours) == len(set(ours))
    theirs = [*vault_jobs(world, "Backup"), *vault_jobs(world, "Restore")]
    missed = {job.id for job in theirs if job.started_at >= item.protected_at + CLOCKS} - {*ours}
    assert not missed
