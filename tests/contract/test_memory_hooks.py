"""What the memory ports offer to simulations beyond the contract."""

import asyncio

import pytest

from shared.memory import Fault, MemoryPorts, busy, memory_ports
from shared.model.disk import EpochFence
from shared.model.errors import Conflict, SourceGone, Transient
from shared.model.ids import DiskUrl, Epoch
from shared.model.ledger import Insert
from shared.model.messages import Outgoing
from shared.model.ranges import PAGE_BYTES
from tests.contract.pages import body, flat, shown, span
from tests.contract.test_ledger import job, outbox
from tests.contract.worlds import memory_world

DISK = DiskUrl("https://vlsource.blob.core.windows.net/disks/disk.vhd")
REPLICA = DiskUrl("https://vlvault.blob.core.windows.net/vault/replica")


@pytest.fixture
def ports() -> MemoryPorts:
    return memory_ports()


def message(message_id: str) -> Outgoing:
    return Outgoing(queue="snapshot", message_id=message_id, body="{}")


async def test_a_lock_ends_and_the_message_comes_again(ports: MemoryPorts) -> None:
    await ports.bus.send([message("a")])
    first = ports.bus.receive("snapshot")
    assert first is not None
    assert ports.bus.receive("snapshot") is None
    ports.clock.advance(59)
    first = ports.bus.renew(first)
    ports.clock.advance(59)
    assert ports.bus.receive("snapshot") is None
    ports.clock.advance(1)
    second = ports.bus.receive("snapshot")
    assert second is not None
    assert (first.delivery_count, second.delivery_count) == (1, 2)
    with pytest.raises(Conflict):
        ports.bus.complete(first)
    ports.bus.complete(second)
    assert ports.bus.messages("snapshot") == []


async def test_a_message_that_fails_ten_times_is_dead(ports: MemoryPorts) -> None:
    await ports.bus.send([message("a")])
    for _ in range(10):
        locked = ports.bus.receive("snapshot")
        assert locked is not None
        ports.bus.abandon(locked)
    assert ports.bus.receive("snapshot") is None
    (dead,) = ports.bus.dead_letters
    assert (dead.code, dead.delivery_count) == ("MaxDeliveryCountExceeded", 10)


async def test_messages_are_lost_doubled_and_reordered_on_demand(ports: MemoryPorts) -> None:
    ports.bus.lose_next("snapshot")
    await ports.bus.send([message("lost")])
    ports.bus.duplicate_next("snapshot")
    await ports.bus.send([message("twice"), message("last")])
    late = ports.bus.receive("snapshot", choose=lambda available: available - 1)
    assert late is not None
    assert late.message.message_id == "last"
    assert [each.message_id for each in ports.bus.messages("snapshot")] == [
        "twice",
        "twice",
        "last",
    ]


async def test_a_repeat_counts_again_when_the_window_is_over(ports: MemoryPorts) -> None:
    await ports.bus.send([message("a")])
    ports.clock.advance(601)
    await ports.bus.send([message("a")])
    assert len(ports.bus.messages("snapshot")) == 2


async def test_a_planned_fault_strikes_before_or_after_the_effect(ports: MemoryPorts) -> None:
    item = memory_world().item()
    before = ports.faults.plan(Fault("ledger.commit"))
    after = ports.faults.plan(Fault("ledger.*", applied=True))
    assert ports.faults.unfired() == [before, after]
    with pytest.raises(Transient):
        await ports.ledger.commit(item, [Insert(outbox("a"))])
    with pytest.raises(Transient):
        await ports.ledger.commit(item, [Insert(job(item))])
    assert ports.faults.unfired() == []
    with pytest.raises(Conflict):
        await ports.ledger.commit(item, [Insert(job(item)), Insert(outbox("a"))])
    await ports.ledger.commit(item, [Insert(outbox("a"))])
    assert ports.faults.calls["ledger.commit"] == 4


async def test_a_share_of_calls_fails_always_the_same_way(ports: MemoryPorts) -> None:
    """Fault 40: so that a run can be repeated."""

    async def refused() -> list[int]:
        fault = Fault("disks.state", times=10**9, share=0.3, error=busy(5.0))
        ports.faults.planned = [fault]
        states = [ports.disks.state(DISK) for _ in range(200)]
        answers = await asyncio.gather(*states, return_exceptions=True)
        refusals = [each for each in answers if isinstance(each, Transient)]
        assert {(each.code, each.busy, each.retry_after) for each in refusals} == {
            ("ServerBusy", True, 5.0)
        }
        assert fault.fired == len(refusals)
        return [number for number, each in enumerate(answers) if isinstance(each, Transient)]

    ports.storage.create(DISK, 0)
    hits = await refused()
    assert 40 <= len(hits) <= 80
    assert await refused() == hits


async def test_a_clock_moves_for_who_sleeps(ports: MemoryPorts) -> None:
    """And those who sleep at the same time sleep beside each other."""
    began = ports.clock.now()
    await asyncio.gather(*(ports.clock.sleep(seconds) for seconds in (5, 3, 5)))
    assert (ports.clock.now() - began).total_seconds() == 5


async def test_a_service_that_lies_about_its_diffs(ports: MemoryPorts) -> None:
    """Faults 1 and 2, and stock Azurite."""
    ports.storage.create(DISK, 16 * PAGE_BYTES)
    ports.storage.put(DISK, 0, body("abcd"))
    base = await ports.disks.take_snapshot(DISK, "base")
    ports.storage.put(DISK, 8 * PAGE_BYTES, body("x"))
    ports.storage.erase(DISK, span(1, 2))
    assert shown(await flat(ports.disks.changed(DISK, base))) == ["-1-2", "+8-9"]
    ports.storage.diff_loses = 1
    assert shown(await flat(ports.disks.changed(DISK, base))) == ["-1-2"]
    ports.storage.diff_answers_everything = True
    assert shown(await flat(ports.disks.changed(DISK, base))) == ["+0-1", "+2-4", "+8-9"]


async def test_what_passes_through_the_worker_is_counted(ports: MemoryPorts) -> None:
    ports.storage.create(DISK, 16 * PAGE_BYTES)
    ports.storage.put(DISK, 0, body("abcd"))
    snapshot = await ports.disks.take_snapshot(DISK, "job")
    await ports.images.create(REPLICA, 16 * PAGE_BYTES, "item")
    fence = EpochFence(epoch=Epoch(0))
    async with ports.disks.grant(snapshot) as grant:
        await ports.images.copy(REPLICA, span(0, 4), grant, fence)
    assert (ports.storage.worker_bytes_read, ports.storage.worker_bytes_written) == (0, 0)
    await ports.images.write(
        REPLICA, span(4, 6), await ports.disks.read(snapshot, span(0, 2)), fence
    )
    assert ports.storage.worker_bytes_read == ports.storage.worker_bytes_written == 2 * PAGE_BYTES
    assert ports.storage.copied_bytes == 4 * PAGE_BYTES
    assert ports.storage.requests["copy"] == 1


@pytest.mark.parametrize("end", ["left", "revoked", "expired"])
async def test_a_grant_ends(ports: MemoryPorts, end: str) -> None:
    """Faults 42 and 45."""
    ports.storage.create(DISK, 16 * PAGE_BYTES)
    snapshot = await ports.disks.take_snapshot(DISK, "job")
    await ports.images.create(REPLICA, 16 * PAGE_BYTES, "item")
    async with ports.disks.grant(snapshot) as grant:
        if end == "revoked":
            ports.grants.revoke_all()
        elif end == "expired":
            ports.clock.advance(3600)
        else:
            ports.grants.take_back(grant)
        assert ports.grants.outstanding == (end == "expired")
        with pytest.raises(Transient, match="grant again"):
            await ports.images.copy(REPLICA, span(0, 1), grant, EpochFence(epoch=Epoch(0)))


def test_a_disk_that_others_delete_is_gone(ports: MemoryPorts) -> None:
    ports.storage.create(DISK, 0)
    ports.storage.remove(DISK)
    with pytest.raises(SourceGone):
        ports.storage.pages(DISK)
