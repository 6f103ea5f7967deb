"""The tick: what it costs, what it catches up with, how it spreads, and that it dies harmlessly."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codec import from_json
from shared.memory import Fault, ManualClock, MemoryPorts
from shared.model.errors import Transient
from shared.model.ids import DiskUrl, ItemId, slot_job
from shared.model.item import ProtectionState
from shared.model.job import Status
from shared.model.messages import SNAPSHOT, Outgoing, TakeSnapshot
from shared.model.pace import Pace
from shared.ports import DueSlot
from shared.steps.reconcile import reconcile
from shared.steps.tick import tick
from tests.sim.fleets import DAY, HOUR, HOURLY, SLOT, add, fleet, slots
from tests.sim.world import Crash, World

MINUTE = timedelta(minutes=1)


def sent(ports: MemoryPorts) -> list[Outgoing]:
    return ports.bus.messages(SNAPSHOT)


def jobs(ports: MemoryPorts) -> list[str]:
    return [from_json(TakeSnapshot, message.body).job_id for message in sent(ports)]


# ------------------------------------------------------------ what it costs


@settings(max_examples=25, deadline=None)
@given(due=st.integers(0, 130), resting=st.integers(0, 400))
async def test_what_is_not_due_costs_nothing(due: int, resting: int) -> None:
    """Whatever rests beside it, a tick makes the same calls."""
    lone, crowded = await fleet(), await fleet()
    await add(lone, due)
    await add(crowded, resting, SLOT + HOUR, stem="resting")
    await add(crowded, due)
    assert await tick(lone) == await tick(crowded) == due
    assert lone.faults.calls == crowded.faults.calls


async def test_an_idle_tick_is_one_call() -> None:
    ports = await fleet()
    await add(ports, 3000, SLOT + HOUR)
    assert await tick(ports) == 0
    assert ports.faults.calls == Counter({"due.slots": 1})


@pytest.mark.fault(54)
async def test_a_thousand_at_once_are_watched_sent_and_moved_in_batches() -> None:
    ports = await fleet()
    await add(ports, 1000)
    assert await tick(ports) == 1000
    assert ports.faults.calls == Counter(
        {
            "due.slots": 1,
            "ledger.get": 1000,
            "catalog.policy": 1,
            "due.watch_all": 10,
            "bus.send": 10,
            "due.move_slots": 20,
        }
    )
    assert all(its == [SLOT + DAY] for its in (await slots(ports)).values())


# ------------------------------------------------------------ outages, spreading, bounds


@pytest.mark.fault(58)
async def test_after_an_outage_one_backup_an_item() -> None:
    """Three days of four-hourly slots were missed: the latest is caught up with, once."""
    ports = await fleet(HOURLY)
    items = await add(ports, 20, SLOT - 3 * DAY, policy="hourly")
    latest = SLOT.replace(hour=0)
    assert await tick(ports) == 20
    assert jobs(ports) == [slot_job(item, latest) for item in items]
    assert await slots(ports) == {item: [latest + 4 * HOUR] for item in items}
    assert await tick(ports) == 0


async def test_starts_are_spread_over_the_minute_and_a_lone_one_goes_at_once() -> None:
    ports = await fleet()
    await add(ports, 1000)
    await tick(ports)
    now = ports.clock.now()
    times = [message.not_before or now for message in sent(ports)]
    assert times == sorted(times)
    assert times[0] == now
    assert now + 50 * timedelta(seconds=1) < times[-1] <= now + MINUTE
    a_second = Counter(int((at - now).total_seconds()) for at in times)
    assert max(a_second.values()) <= 18
    lone = await fleet()
    await add(lone, 1)
    await tick(lone)
    assert [message.not_before for message in sent(lone)] == [None]


async def test_a_tick_starts_so_many_and_the_next_one_goes_on() -> None:
    """The earliest missed first; nobody is left out, nobody comes twice."""
    ports = await fleet(pace=Pace(starts_per_tick=200))
    late = await add(ports, 250, SLOT - DAY, stem="late")
    fresh = await add(ports, 200)
    assert [await tick(ports) for _ in range(4)] == [200, 200, 50, 0]
    assert jobs(ports) == [slot_job(item, SLOT) for item in [*late, *fresh]]


async def test_a_start_to_come_is_not_taken_for_a_lost_one() -> None:
    """The reconciler sends a lost message again, but leaves an item alone until its start."""
    ports = await fleet(pace=Pace(start_interval_seconds=30, rest_seconds=60))
    await add(ports, 20)
    await tick(ports)
    starts = {message.message_id: message.not_before or SLOT for message in sent(ports)}
    for _ in range(30):
        ports.clock.advance(30)
        await reconcile(ports)
        again = {job for job, times in Counter(jobs(ports)).items() if times > 1}
        due = {job for job, start in starts.items() if start <= ports.clock.now() - MINUTE}
        assert again <= due
    assert again == set(starts)


# ------------------------------------------------------------ items that cannot be started


@pytest.mark.parametrize("call", ["ledger.get", "catalog.policy"])
async def test_what_cannot_be_read_stays_due_and_stops_no_other(call: str) -> None:
    ports = await fleet()
    items = await add(ports, 150)
    lone = ports.faults.plan(Fault(call=call, skip=40 if call == "ledger.get" else 0))
    with pytest.raises(Transient, match="due"):
        await tick(ports)
    assert lone.fired == 1
    unread = {item for item, its in (await slots(ports)).items() if its == [SLOT]}
    assert unread == ({items[40]} if call == "ledger.get" else set(items))
    assert await tick(ports) == len(unread)
    assert sorted(jobs(ports)) == [slot_job(item, SLOT) for item in items]


async def test_many_that_cannot_be_started_do_not_stand_in_the_way() -> None:
    """More of them than a tick starts, and all due before the others."""
    ports = await fleet(pace=Pace(starts_per_tick=50))
    lost = await add(ports, 210, SLOT - DAY, stem="lost", policy="gone")
    good = await add(ports, 30)
    with pytest.raises(Transient, match=r"210 items stay due.*'gone'"):
        await tick(ports)
    assert jobs(ports) == [slot_job(item, SLOT) for item in good]
    assert {item for item, its in (await slots(ports)).items() if its[0] < SLOT} == set(lost)


async def test_what_is_gone_or_stopped_is_due_no_more() -> None:
    ports = await fleet()
    await add(ports, 2, state=ProtectionState.PROTECTION_STOPPED)
    await ports.due.put_slot(DueSlot(item=ItemId("nobody"), slot=SLOT))
    assert await tick(ports) == 0
    assert not sent(ports)
    assert await slots(ports) == {}


async def test_a_slot_that_the_policy_no_longer_has_only_moves() -> None:
    ports = await fleet()
    (item,) = await add(ports, 1, SLOT + timedelta(seconds=10))
    assert await tick(ports) == 0
    assert await slots(ports) == {item: [SLOT + DAY]}


async def test_two_slots_of_one_item_are_one_backup() -> None:
    """As a change of its policy may leave them."""
    ports = await fleet()
    (item,) = await add(ports, 1)
    await ports.due.put_slot(DueSlot(item=item, slot=SLOT - HOUR))
    assert await tick(ports) == 1
    assert jobs(ports) == [slot_job(item, SLOT)]
    assert await slots(ports) == {item: [SLOT + DAY]}


# ------------------------------------------------------------ deaths (invariants 6, 13 and 20)


async def dies(ports: MemoryPorts, nth: int, call: str = "*", *, applied: bool) -> bool:
    """Runs a tick that is killed at its n-th such call, before or after its effect; False where
    it has not so many."""
    fault = ports.faults.plan(Fault(call=call, skip=nth, applied=applied, error=Crash))
    with suppress(Crash, BaseExceptionGroup):
        await tick(ports)
    ports.faults.planned.clear()
    return fault.fired == 1


@pytest.mark.parametrize("pause", [30, 1200], ids=["soon", "duplicates forgotten"])
@pytest.mark.parametrize("applied", [False, True])
async def test_a_tick_killed_at_any_call_loses_and_doubles_no_backup(
    applied: bool, pause: float
) -> None:
    """Through the whole pipeline: each item ends with one backup of the slot, and its next."""
    for nth in range(100):
        world = await three_disks()
        world.ports.clock.set(SLOT + timedelta(seconds=30))
        if not await dies(world.ports, nth, applied=applied):
            break
        for _ in range(2):
            world.ports.clock.advance(pause)
            await tick(world.ports)
            await world.settle()
        for item in NAMES:
            backups = [job for job in await world.jobs(item) if job.slot is not None]
            assert [(job.slot, job.status) for job in backups] == [(SLOT, Status.COMPLETED)], nth
            assert len(await world.points(item)) == 1
        assert await slots(world.ports) == {item: [SLOT + DAY] for item in NAMES}, nth
    else:
        raise AssertionError("the tick does not end")
    assert nth > 6


NAMES = [ItemId(f"disk-{number}") for number in range(3)]


async def three_disks() -> World:
    world = World()
    world.ports.clock.set(SLOT - HOUR)
    await world.set_up()
    for item in NAMES:
        url = DiskUrl(f"https://vlsource.blob.core.windows.net/disks/{item}")
        world.ports.storage.create(url, 4096)
        await world.protect(url, item)
    await world.settle()
    return world


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("call", ["due.watch_all", "bus.send", "due.move_slots"])
async def test_a_large_tick_killed_between_its_batches_goes_on(call: str, applied: bool) -> None:
    """Within the window of duplicates every message is there once; every item is watched."""
    for nth in range(20):
        ports = await fleet()
        items = await add(ports, 230)
        if not await dies(ports, nth, call, applied=applied):
            break
        ports.clock.advance(60)
        await tick(ports)
        assert sorted(jobs(ports)) == [slot_job(item, SLOT) for item in items]
        assert await slots(ports) == {item: [SLOT + DAY] for item in items}
        assert {w.item async for w in ports.due.watches(SLOT + DAY)} == set(items)
    assert nth >= 3


@pytest.mark.fault(33)
async def test_a_timer_that_fires_twice_starts_each_backup_once() -> None:
    """Two ticks at the same time, interleaved at every call."""

    async def give_way(_: str) -> None:
        await asyncio.sleep(0)

    ports = await fleet()
    items = await add(ports, 150)
    ports.faults.before = give_way
    await asyncio.gather(tick(ports), tick(ports))
    assert sorted(jobs(ports)) == [slot_job(item, SLOT) for item in items]
    assert await slots(ports) == {item: [SLOT + DAY] for item in items}


@pytest.mark.fault(57)
async def test_two_hosts_whose_clocks_differ_make_one_backup_of_a_slot() -> None:
    """Ten minutes apart: the fast one starts it early, the slow one finds it done."""
    slow = await fleet(now=SLOT - 5 * MINUTE)
    (item,) = await add(slow, 1)
    fast = replace(slow, clock=ManualClock(SLOT + 5 * MINUTE))
    assert await tick(fast) == 1
    assert await tick(slow) == 0
    slow.clock.set(SLOT + 20 * MINUTE)
    assert await tick(slow) == 0
    assert jobs(slow) == [slot_job(item, SLOT)]
    assert await slots(slow) == {item: [SLOT + DAY]}
