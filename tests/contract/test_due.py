"""What is due when. The index is one for all, so each test looks only at its own items."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.model.ids import ItemId
from shared.ports import DueSlot, Watch
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


async def test_a_slot_moves_once_and_its_successor_stands(world: World) -> None:
    item = world.item()
    await world.ports.due.put_slot(slot(item, 0))
    for _ in range(2):
        await world.ports.due.move_slot(slot(item, 0), slot(item, 24))
    assert await slots(world, [item]) == [slot(item, 24)]
    await world.ports.due.move_slot(slot(item, 24), slot(item, 24))
    assert await slots(world, [item]) == [slot(item, 24)]
    for _ in range(2):
        await world.ports.due.move_slot(slot(item, 24), None)
    assert await slots(world, [item]) == []


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
