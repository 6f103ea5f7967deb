"""Plans: written in blocks, read in slices, and there only when they are whole."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from shared.model.errors import ChainBroken, Conflict, NotFound
from shared.model.plan import PageOp, decode_ops, encode
from shared.model.ranges import Change
from tests.contract.pages import span
from tests.contract.worlds import World

OPS = [PageOp(span(0, 2), Change.WRITTEN), PageOp(span(5, 9), Change.CLEARED)]
PLAN = encode(OPS)


async def blocks(*bodies: bytes) -> AsyncIterator[bytes]:
    for each in bodies:
        yield each


async def test_a_plan_is_read_in_slices(world: World) -> None:
    url = world.replica("replica.plans/1")
    await world.ports.plans.put(url, blocks(PLAN))
    assert decode_ops(await world.ports.plans.slice(url, 16, 16)) == OPS[1:]
    assert await world.ports.plans.slice(url, 0, len(PLAN)) == PLAN
    with pytest.raises(NotFound):
        await world.ports.plans.slice(world.replica("replica.plans/2"), 0, 16)


@pytest.mark.parametrize("cuts", [(len(PLAN),), (8, 16), (1, 2, 3)])
async def test_a_plan_is_fixed_once_written(world: World, cuts: tuple[int, ...]) -> None:
    """However it is cut into blocks: the same bytes again are no error, others are refused."""
    url = world.replica("replica.plans/1")
    edges = (0, *cuts, len(PLAN))
    bodies = [PLAN[first:last] for first, last in pairwise(edges) if first < last]
    for _ in range(2):
        await world.ports.plans.put(url, blocks(*bodies))
    for others in ([PLAN[:16]], [PLAN[:16], PLAN[:16]]):
        with pytest.raises(Conflict):
            await world.ports.plans.put(url, blocks(*others))
    assert await world.ports.plans.slice(url, 0, 100) == PLAN


async def test_a_plan_exists_only_when_it_is_whole(world: World) -> None:
    """What stops its making leaves nothing, however many blocks have gone out."""

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield PLAN
        raise ChainBroken("the listing ended too early")

    url = world.replica("replica.plans/1")
    with pytest.raises(ChainBroken):
        await world.ports.plans.put(url, broken())
    with pytest.raises(NotFound):
        await world.ports.plans.slice(url, 0, 16)
    await world.ports.plans.put(url, blocks(PLAN, PLAN, PLAN))
    assert await world.ports.plans.slice(url, 0, 200) == PLAN * 3


async def test_an_empty_plan_is_a_plan(world: World) -> None:
    url = world.replica("replica.plans/1")
    await world.ports.plans.put(url, blocks())
    assert await world.ports.plans.slice(url, 0, 0) == b""


async def test_plans_go_by_prefix_and_the_replica_stays(world: World) -> None:
    disk = world.replica()
    await world.ports.images.create(disk, 512, "item-1")
    for number in (1, 2):
        await world.ports.plans.put(f"{disk}.plans/{number}", blocks(PLAN))
    assert await world.ports.plans.urls(disk) == [f"{disk}.plans/1", f"{disk}.plans/2"]
    for _ in range(2):
        await world.ports.plans.delete(disk)
    assert await world.ports.plans.urls(disk) == []
    with pytest.raises(NotFound):
        await world.ports.plans.slice(f"{disk}.plans/1", 0, 16)
    assert (await world.ports.disks.state(disk)).url == disk
