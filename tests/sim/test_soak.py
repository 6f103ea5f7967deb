"""Long random lives of one disk, under random faults, against the bytes it held at each snapshot.

Every seed is one history: writes, clears, resizes, replacement, backups by schedule and request,
restores, retention; calls that fail or kill the process; messages lost, doubled and out of order.
After the faults stop, what is due completes, and every point restores to what the disk held.
"""

from random import Random

import pytest

from shared.memory import Fault
from shared.model.job import Operation
from shared.model.ranges import PageRange
from shared.steps.tick import tick
from tests.sim.scenes import MIB, SIZE, Truth, content, restore_all, scribble, started
from tests.sim.world import DISK, ITEM, Crash, World

CALLS = (
    "ledger.commit",
    "ledger.get",
    "bus.send",
    "images.*",
    "disks.*",
    "plans.*",
    "due.*",
    "catalog.*",
)


def change_disk(world: World, random: Random) -> None:
    match random.randrange(12):
        case 0:
            world.ports.storage.resize(DISK, random.choice([SIZE, SIZE // 2, SIZE + 3 * MIB]))
        case 1:
            world.ports.storage.replace(DISK, SIZE)
            scribble(world, 3)
        case 2:
            size = world.ports.storage.blob(DISK).size_bytes
            world.ports.storage.erase(DISK, PageRange(0, size))
        case _:
            scribble(world, random.randrange(1, 5))


def plan_fault(world: World, random: Random) -> Fault:
    return world.ports.faults.plan(
        Fault(
            call=random.choice(CALLS),
            times=random.choice([1, 1, 2, 15]),
            skip=random.randrange(8),
            applied=random.random() < 0.5,
            **({"error": Crash} if random.random() < 0.4 else {}),
        )
    )


async def live(world: World, random: Random) -> None:
    """One event of the disk's life, and a few messages served."""
    match random.randrange(10):
        case 0 | 1 | 2:
            change_disk(world, random)
        case 3 | 4:
            await world.command(type="backup-now", item_id=ITEM)
        case 5:
            world.ports.clock.advance(random.choice([60, 3600, 86400]))
            await world.survive(tick(world.ports))
        case 6:
            plan_fault(world, random)
        case 7:
            queue = random.choice(["snapshot", "transfer-to-vault", "incremental-copy"])
            if random.random() < 0.5:
                world.ports.bus.duplicate_next(queue)
            else:
                world.ports.bus.lose_next(queue)
        case 8:
            await restore_original(world, random)
        case _:
            await world.wait()
    for _ in range(random.randrange(12)):
        await world.serve_one()


async def restore_original(world: World, random: Random) -> None:
    points = [point for point in await world.look(world.points()) if not point.expiring]
    if points and random.random() < 0.3:
        await world.command(
            type="restore",
            item_id=ITEM,
            point=random.choice(points).id,
            target={"kind": "original", "confirm": True},
        )


@pytest.mark.parametrize("seed", range(12))
async def test_every_point_of_a_long_life_restores(seed: int) -> None:
    """Invariants 1, 2, 4, 6 and 8, together."""
    random = Random(seed)
    world = await started(seed)
    truth = Truth(world)
    fired = 0
    for _ in range(3):
        for _ in range(25):
            await live(world, random)
        fired += sum(fault.fired for fault in world.ports.faults.planned)
        world.ports.faults.planned.clear()
        world.ports.bus.stop_faults()
        await world.settle(3000)
        await restore_all(world, truth)
    assert fired > 0
    await world.command(type="backup-now", item_id=ITEM)
    await world.settle()
    assert content(world, DISK) == truth.at((await world.points())[-1])
    stuck = [job for job in await world.jobs() if not job.status.ended]
    assert stuck == []
    assert any(job.operation is Operation.BACKUP for job in await world.jobs())
