"""What is due when. The index is one for all, so each test looks only at its own items."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.model.ids import ItemId
from shared.ports import DueSlot, SlotMove, Watch
from tests.contract.worlds import World

AT = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE = AT + timedelta(days=365)


def slot(item: ItemId, hours: float) -> DueSlot:
    return DueSlot(item=item, slot=AT + hours * HOUR)


async def slots(world: World, items: Sequence[ItemId], until: datetime = LATE) -> list[DueSlot]:
    return [entry async for entry in world.ports.due.slots(until) if entry.item in items]


async def watches(world: World, items: Sequence[ItemId], until: datetime = LATE) -> list[Watch]:
    return [watch async for watch in world.ports.due.watches(until) if watch.item in items]


async def test_slots_come_when_they_are_due_and_earliest_first(world: World) -> None:
    items = [world.item() for _ in range(9)]
    for number, item in enumerate(items):
        await world.ports.due.put_slot(slot(item, -number))
        await world.ports.due.put_slot(slot(item, -number))
    expected = [slot(item, -number) for number, item in enumerate(items)][::-1]
    assert await slots(world, items) == expected
    assert await slots(world, items, AT - 5 * HOUR) == expected[:4]
    assert await slots(world, items, AT - 5 * HOUR - timedelta(microseconds=1)) == expected[:3]


def move(item: ItemId, hours: float, to: float | None) -> SlotMove:
    return SlotMove(entry=slot(item, hours), to=None if to is None else slot(item, to))


async def test_a_slot_moves_once_and_its_successor_stands(world: World) -> None:
    item = world.item()
    await world.ports.due.put_slot(slot(item, 0))
    for _ in range(2):
        await world.ports.due.move_slots([move(item, 0, 24)])
    assert await slots(world, [item]) == [slot(item, 24)]
    await world.ports.due.move_slots([move(item, 24, 24)])
    assert await slots(world, [item]) == [slot(item, 24)]
    for _ in range(2):
        await world.ports.due.move_slots([move(item, 24, None)])
    assert await slots(world, [item]) == []


@pytest.mark.fault(54)
async def test_many_slots_move_whatever_became_of_some_meanwhile(world: World) -> None:
    """More than a transaction holds; one is gone, one has moved, one stands twice."""
    items = sorted(world.item() for _ in range(120))
    gone, moved, twice, *_ = items
    for item in items[1:]:
        await world.ports.due.put_slot(slot(item, 0))
    await world.ports.due.put_slot(slot(twice, 6))
    await world.ports.due.move_slots([move(moved, 0, 24)])
    moves = [move(item, 0, 24) for item in items] + [move(twice, 6, 24)]
    await world.ports.due.move_slots(moves)
    assert await slots(world, items) == [slot(item, 24) for item in items]
    await world.ports.due.move_slots([move(item, 24, None) for item in items])
    assert await slots(world, [gone, moved, twice]) == []
    await world.ports.due.move_slots([])


async def test_slots_may_be_moved_while_they_are_read(world: World) -> None:
    """More than a page holds; none is given twice, none is left out."""
    items = sorted(world.item() for _ in range(1100))
    await world.ports.due.move_slots([move(item, 0, 0) for item in items])
    seen: list[ItemId] = []
    async for entry in world.ports.due.slots(AT):
        if entry.item in set(items):
            seen.append(entry.item)
            if len(seen) % 100 == 0:
                await world.ports.due.move_slots([move(item, 0, 24) for item in seen[-100:]])
    assert seen == items
    assert await slots(world, items, AT) == []


async def test_a_watch_comes_when_it_is_time_to_look(world: World) -> None:
    first, second = world.item(), world.item()
    await world.ports.due.watch(first, AT, AT + 2 * HOUR)
    await world.ports.due.watch(second, AT, AT + HOUR)
    found = await watches(world, [first, second], AT + 2 * HOUR)
    assert [(each.item, each.since, each.look_at) for each in found] == [
        (second, AT, AT + HOUR),
        (first, AT, AT + 2 * HOUR),
    ]
    assert [each.item for each in await watches(world, [first, second], AT + HOUR)] == [second]


async def test_an_item_has_one_watch_and_the_last_word_counts(world: World) -> None:
    item = world.item()
    await world.ports.due.watch(item, AT, AT)
    await world.ports.due.watch(item, AT + HOUR, AT + 3 * HOUR)
    found = await watches(world, [item])
    assert [(each.since, each.look_at) for each in found] == [(AT + HOUR, AT + 3 * HOUR)]


async def test_a_watch_that_was_renewed_is_not_ended_by_who_read_the_old_one(world: World) -> None:
    item = world.item()
    await world.ports.due.watch(item, AT, AT)
    (old,) = await watches(world, [item])
    await world.ports.due.watch(item, AT, AT)
    await world.ports.due.unwatch(old)
    (new,) = await watches(world, [item])
    for _ in range(2):
        await world.ports.due.unwatch(new)
    assert await watches(world, [item]) == []


async def test_many_watches_are_written_together(world: World) -> None:
    items = sorted(world.item() for _ in range(120))
    await world.ports.due.watch(items[0], AT - HOUR, AT)
    look = {item: AT + number * HOUR for number, item in enumerate(items)}
    await world.ports.due.watch_all(
        [Watch(item=item, since=AT, look_at=at) for item, at in look.items()]
    )
    found = await watches(world, items)
    assert {each.item: each.look_at for each in found} == look
    assert {each.since for each in found} == {AT}
    await world.ports.due.unwatch(found[0])
    assert len(await watches(world, items)) == len(items) - 1
    await world.ports.due.watch_all([])
