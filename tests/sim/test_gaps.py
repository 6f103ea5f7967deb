"""Gaps moved along, everywhere they may be: bytes and allocation stay the source's.

The cost model of these worlds joins whatever invariant 17 lets it join, and the listings come in
answers of a few ranges, so that plans are made in many windows.
"""

from dataclasses import replace
from random import Random

import pytest

from shared.memory import Fault
from shared.model.errors import ChainBroken
from shared.model.ids import DiskUrl
from shared.model.point import Kind
from shared.model.ranges import PageRange
from tests.sim.scenes import MIB, Truth, backup, content, restore, restore_all
from tests.sim.test_soak import live
from tests.sim.world import DISK, ITEM, World

KIB = 1024
DISK_BYTES = 24 * MIB


GIB = 1024 * MIB


async def eager(seed: int = 0, rows: int = 5, **pace: float) -> World:
    """A protected disk, before its first backup, whose cost model counts time alone."""
    world = World(seed, extent_bytes=GIB)
    figures = {"gap_share": float("inf"), "listing_gaps": 1, **pace}
    object.__setattr__(world.ports, "pace", replace(world.ports.pace, **figures))
    world.ports.storage.listing_rows = rows
    await world.set_up()
    world.ports.storage.create(DISK, DISK_BYTES)
    await world.protect()
    await world.settle()
    return world


def allocation(world: World, image: DiskUrl) -> list[PageRange]:
    return list(world.ports.storage.pages(image).allocated())


async def replica(world: World) -> DiskUrl:
    item = await world.item()
    assert item is not None
    return item.replica


def rewrite(world: World, run: int, gap: int, until: int = 8 * MIB) -> int:
    """Runs of new bytes, that far apart; how many."""
    starts = range(0, until, run + gap)
    for start in starts:
        world.ports.storage.put(DISK, start, world.random.randbytes(run))
    return len(starts)


async def copies(world: World) -> int:
    """The copies that one more backup makes."""
    before = world.ports.storage.requests["copy"]
    await backup(world)
    return world.ports.storage.requests["copy"] - before


@pytest.mark.parametrize("rows", [3, 1000])
async def test_runs_close_together_are_copied_at_once(rows: int) -> None:
    """One copy a transfer unit, instead of one a run; what they hold is the source's."""
    world = await eager(rows=rows)
    truth = Truth(world)
    world.ports.storage.put(DISK, 0, world.random.randbytes(8 * MIB))
    await backup(world)
    assert rewrite(world, 64 * KIB, 64 * KIB) == 64
    assert await copies(world) == 2
    last = (await world.points())[-1]
    assert (last.kind, last.repaired_bytes) == (Kind.INCREMENTAL, 0)
    assert last.changed_bytes == 4 * MIB
    assert last.copied_bytes == 8 * MIB - 2 * 64 * KIB
    await restore_all(world, truth)


async def test_a_gap_that_the_source_has_not_stays_unallocated() -> None:
    """Invariant 17: no zeros are written, and the audit has nothing to put right."""
    world = await eager()
    truth = Truth(world)
    await backup(world)
    assert rewrite(world, 64 * KIB, 64 * KIB) == 64
    assert await copies(world) == 64
    last = (await world.points())[-1]
    assert (last.copied_bytes, last.repaired_bytes) == (4 * MIB, 0)
    assert allocation(world, await replica(world)) == allocation(world, DISK)
    await restore_all(world, truth)


async def test_clears_go_together_over_what_is_empty_anyway() -> None:
    world = await eager()
    truth = Truth(world)
    rewrite(world, 64 * KIB, 64 * KIB)
    world.ports.storage.put(DISK, 20 * MIB, b"end." * 1024)
    await backup(world)
    for start in range(0, 8 * MIB, 128 * KIB):
        if start != 4 * MIB:
            world.ports.storage.erase(DISK, PageRange(start, start + 64 * KIB))
    world.ports.storage.listing_rows = 1000
    before = world.ports.storage.requests["clear"]
    await backup(world)
    assert world.ports.storage.requests["clear"] - before == 2
    await restore_all(world, truth)


async def test_by_default_a_gap_has_to_be_small_beside_its_runs() -> None:
    world = await eager(gap_share=0.25)
    truth = Truth(world)
    world.ports.storage.put(DISK, 0, world.random.randbytes(8 * MIB))
    await backup(world)
    assert rewrite(world, 64 * KIB, 20 * KIB, until=4 * MIB) == 49
    assert await copies(world) == 49
    assert rewrite(world, 64 * KIB, 16 * KIB, until=4 * MIB) == 52
    assert await copies(world) < 5
    last = (await world.points())[-1]
    assert last.changed_bytes < last.copied_bytes <= 1.25 * last.changed_bytes
    await restore_all(world, truth)


async def test_what_a_dead_transfer_left_is_put_right_among_gaps() -> None:
    """Invariant 4, with strays between the runs of the next increment."""
    world = await eager()
    truth = Truth(world)
    world.ports.storage.put(DISK, 0, world.random.randbytes(8 * MIB))
    await backup(world)
    rewrite(world, 32 * KIB, 32 * KIB)
    item = await replica(world)
    blob = world.ports.storage.blob(item)
    for start in range(0, 8 * MIB, 96 * KIB):
        world.ports.storage.write(blob, PageRange(start, start + 4 * KIB), b"?" * 4 * KIB)
    world.ports.storage.write(blob, PageRange(16 * MIB, 17 * MIB), b"?" * MIB)
    await backup(world)
    last = (await world.points())[-1]
    assert (last.kind, last.repaired_bytes) == (Kind.INCREMENTAL, 0)
    assert content(world, await restore(world, last)) == truth.at(last)
    assert allocation(world, item) == allocation(world, DISK)


async def test_a_base_lost_while_it_is_listed_gets_a_full_copy() -> None:
    """The diff breaks off after some answers, when blocks of the plan are on their way."""
    world = await eager(rows=2)
    truth = Truth(world)
    rewrite(world, 64 * KIB, 64 * KIB)
    await backup(world)
    rewrite(world, 64 * KIB, 64 * KIB)
    broken = world.ports.faults.plan(
        Fault(call="disks.changed", skip=9, error=lambda: ChainBroken("the base is gone"))
    )
    await backup(world)
    assert broken.fired
    last = (await world.points())[-1]
    assert (last.kind, last.kind_reason) == (Kind.FULL, "the base is gone")
    await restore_all(world, truth)


@pytest.mark.parametrize("seed", range(100, 106))
async def test_every_point_of_an_eager_life_restores(seed: int) -> None:
    """The soak's life, under faults, with every gap that may be moved moved."""
    random = Random(seed)
    world = await eager(seed, rows=random.choice([1, 3, 1000]))
    truth = Truth(world)
    for _ in range(3):
        for _ in range(20):
            await live(world, random)
        world.ports.faults.planned.clear()
        world.ports.bus.stop_faults()
        await world.settle(3000)
        await restore_all(world, truth)
    await world.command(type="backup-now", item_id=ITEM)
    await world.settle()
    assert content(world, DISK) == truth.at((await world.points())[-1])
