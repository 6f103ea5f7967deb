"""The numbered invariants of docs/design.md, each under the fault that would break it."""

import json
from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.disk import EpochFence
from shared.model.errors import StaleEpoch
from shared.model.extents import image_of
from shared.model.ids import DiskUrl, Epoch
from shared.model.item import ProtectionState
from shared.model.job import TRANSFER, Status
from shared.model.messages import COMMANDS, COPY, SNAPSHOT, Outgoing
from shared.model.outbox import Outbox
from shared.model.point import Kind, Tier
from shared.model.ranges import PageRange
from shared.model.transfer import Transfer
from shared.steps.tick import tick
from tests.sim.scenes import (
    MIB,
    SIZE,
    Truth,
    backup,
    confirmed_expiry,
    content,
    restore,
    restore_all,
    scheduled,
    scribble,
    started,
)
from tests.sim.world import DISK, ITEM, World


async def first_backup(seed: int = 0, size: int = SIZE) -> tuple[World, Truth]:
    world = await started(seed, size)
    truth = Truth(world)
    await scheduled(world)
    return world, truth


async def serve_until(world: World, queue: str) -> None:
    """Serves in order until a message of `queue` can be received."""
    while not world.ports.bus.available(queue):
        assert await world.serve_one()


@pytest.mark.fault(9)
async def test_1_no_point_before_its_commit() -> None:
    """Invariant 1: with the last transaction missing, nothing of the backup can be restored."""
    world, _ = await first_backup()
    before = await world.points()
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    while not [s for s in world.ports.storage.requests if s == "take_snapshot"]:
        await world.serve_one()
    await serve_until(world, COPY)
    assert await world.points() == before


@pytest.mark.fault(8)
async def test_3_a_stale_writer_is_refused_by_the_storage_service() -> None:
    """Invariant 3: the epoch of a finished round cannot write, copy or clear any more."""
    world, _ = await first_backup()
    item = await world.item()
    assert item is not None
    old = EpochFence(epoch=item.epoch)
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    before = content(world, item.replica)
    with pytest.raises(StaleEpoch):
        await world.ports.images.write(item.replica, PageRange(0, 512), b"x" * 512, old)
    with pytest.raises(StaleEpoch):
        await world.ports.images.clear(item.replica, PageRange(0, 512), old)
    with pytest.raises(StaleEpoch):
        await world.ports.images.raise_epoch(item.replica, Epoch(old.epoch))
    assert content(world, item.replica) == before


@pytest.mark.fault(8, 21)
async def test_3_a_stale_part_arriving_late_changes_nothing() -> None:
    """Invariant 3: a part of an abandoned round arrives after a newer transfer's commit."""
    world, truth = await first_backup()
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    stale = world.ports.bus.messages(COPY)
    for number in world.ports.bus.available(COPY):
        world.ports.bus.drop(COPY, number)
    await world.settle()
    scribble(world)
    await backup(world)
    late = [
        Outgoing(queue=COPY, message_id=f"late-{n}", body=message.body)
        for n, message in enumerate(stale)
    ]
    await world.ports.bus.send(late)
    await world.settle()
    await restore_all(world, truth)


@pytest.mark.fault(19)
@pytest.mark.parametrize("seed", range(5))
async def test_4_what_an_abandoned_transfer_wrote_is_put_right(seed: int) -> None:
    """Invariant 4, fault 19: half the copies of a transfer happen, it fails for good; the source
    clears pages that were written; the next backup restores byte for byte."""
    world, truth = await first_backup(seed, 24 * MIB)
    world.ports.storage.put(DISK, 0, world.random.randbytes(12 * MIB))
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    item = await world.item()
    assert item is not None
    assert item.transferring
    lost = world.ports.faults.plan(Fault(call="images.copy", times=10**9, skip=2))
    await abandon(world)
    assert lost.fired > 0
    world.ports.faults.planned.clear()
    world.ports.storage.erase(DISK, PageRange(0, 12 * MIB))
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.INCREMENTAL
    assert content(world, await restore(world, last)) == truth.at(last)


async def abandon(world: World) -> None:
    """Lets the transfer under way fail for good, however often it is moved on."""
    for _ in range(4000):
        item = await world.item()
        assert item is not None
        if item.transferring is None:
            return
        if not await world.serve_one():
            await world.wait()
    raise AssertionError("the transfer does not end")


async def test_5_a_second_backup_skips_its_transfer() -> None:
    """Invariant 5: its snapshot is a point of its own, the next increment carries everything."""
    world, truth = await first_backup()
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await world.serve_one(COMMANDS)
    await world.serve_one(SNAPSHOT)
    skipped = [job for job in await world.jobs() if job.task(TRANSFER) is Status.SKIPPED]
    assert [job.status for job in skipped] == [Status.COMPLETED]
    await world.settle()
    assert [p.tiers for p in await world.points() if p.job_id == skipped[0].id] == [
        (Tier.SNAPSHOT,)
    ]
    await backup(world)
    await restore_all(world, truth)


@pytest.mark.fault(10, 16, 21)
@pytest.mark.parametrize("seed", range(8))
async def test_6_twice_late_and_out_of_order(seed: int) -> None:
    """Invariant 6: every queue delivers some messages twice, in any order; calls fail now and
    then, before or after their effect."""
    world, truth = await first_backup(seed)
    faults = [
        world.ports.faults.plan(
            Fault(call=call, skip=world.random.randrange(3), applied=world.random.random() < 0.5)
        )
        for call in ("ledger.commit", "bus.send", "images.copy", "disks.take_snapshot")
    ]
    for _ in range(2):
        for queue in (SNAPSHOT, COPY, "transfer-to-vault", "retention"):
            world.ports.bus.duplicate_next(queue, 2)
        scribble(world)
        await backup(world)
    assert any(fault.fired for fault in faults)
    await restore_all(world, truth)


@pytest.mark.fault(11)
@pytest.mark.parametrize("queue", [SNAPSHOT, "transfer-to-vault", COPY, "retention"])
async def test_6_a_lost_message_is_sent_again(queue: str) -> None:
    """Fault 11: the bus takes the message and loses it; the reconciler moves the work on."""
    world, truth = await first_backup()
    scribble(world)
    now = world.ports.clock.now()
    world.ports.clock.set(now.replace(hour=2, minute=0, second=30) + timedelta(days=1))
    world.ports.bus.lose_next(queue)
    await tick(world.ports)
    for _ in range(40):
        await world.settle()
        await world.wait()
    assert not world.ports.bus._to_lose[queue], "no message was lost"
    assert len(await world.points()) == 2
    item = await world.item()
    assert item is not None
    assert not item.expiry_due
    await restore_all(world, truth)


@pytest.mark.fault(29)
async def test_7_state_and_its_messages_are_stored_together() -> None:
    """Invariant 7: sending fails after the transaction; the outbox holds what must be sent."""
    world, truth = await first_backup()
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, SNAPSHOT)
    fault = world.ports.faults.plan(Fault(call="bus.send"))
    await world.serve_one(SNAPSHOT)
    assert fault.fired
    left = [row.record.message.queue async for row in world.ports.ledger.rows(ITEM, Outbox)]
    assert left == ["transfer-to-vault"]
    await world.settle()
    assert len(await world.points()) == 2
    assert not [row async for row in world.ports.ledger.rows(ITEM, Outbox)]
    await restore_all(world, truth)


@pytest.mark.fault(12, 14)
async def test_8_retention_keeps_newest_base_and_pinned() -> None:
    """Invariant 8: long after every date has passed, what is in use and the newest stay."""
    world, truth = await first_backup()
    for _ in range(3):
        scribble(world)
        await scheduled(world)
    pinned = (await world.points())[0]
    await world.command(
        type="restore",
        item_id=ITEM,
        point=pinned.id,
        target={"kind": "alternate", "url": f"{DISK}-pinned"},
    )
    await serve_until(world, COMMANDS)
    await world.serve_one(COMMANDS)
    held, world.running = world.running, {}
    world.ports.clock.advance(400 * 86400)
    await confirmed_expiry(world, "first")
    left = [point.id for point in await world.points()]
    newest = (await world.points())[-1]
    assert pinned.id in left
    assert len(left) == 2
    world.running = held
    await world.settle()
    assert content(world, DiskUrl(f"{DISK}-pinned")) == truth.at(pinned)
    await confirmed_expiry(world, "second")
    assert [point.id for point in await world.points()] == [newest.id]
    scribble(world)
    await backup(world)
    assert (await world.points())[-1].kind is Kind.INCREMENTAL
    await restore_all(world, truth)


async def test_8_every_snapshot_is_in_the_ledger_or_gone() -> None:
    """Invariant 8: orphans of either side are swept; nothing else is."""
    world, truth = await first_backup()
    item = await world.item()
    assert item is not None
    await world.ports.disks.take_snapshot(DISK, f"{ITEM}.backup-orphan")
    await world.ports.disks.take_snapshot(item.replica, f"{ITEM}.backup-orphan")
    foreign = await world.ports.disks.take_snapshot(DISK, "somebody-else.backup-1")
    scribble(world)
    await backup(world)
    points = await world.points()
    kept = {s.id for s in await world.ports.disks.snapshots(DISK)}
    assert kept == {p.source.id for p in points if p.source} | {foreign.id}
    sealed = {
        (extent.url, snapshot.id)
        for extent in item.largest_replica
        for snapshot in await world.ports.disks.snapshots(extent.url)
    }
    assert len(item.largest_replica) == 2
    images = [image_of(p.replica) for p in points if p.replica]
    assert sealed == {(extent.url, extent.snapshot.id) for image in images for extent in image}
    await restore_all(world, truth)


@pytest.mark.fault(3)
async def test_11_the_base_is_checked_again_at_commit() -> None:
    """Invariant 11: the base moves while a transfer runs; it is planned again, not committed."""
    from dataclasses import replace

    from shared.model.item import Item
    from shared.model.ledger import Replace

    world, truth = await first_backup()
    scribble(world)
    await backup(world)
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    row = await world.ports.ledger.get(ITEM, Item)
    assert row is not None
    first = (await world.points())[0]
    assert row.record.base
    assert first.source
    assert first.replica
    moved = replace(row.record.base, point=first.id, source=first.source, replica=first.replica)
    await world.ports.ledger.commit(ITEM, [Replace(replace(row.record, base=moved), row.etag)])
    rounds = []
    while transfers := [t.record async for t in world.ports.ledger.rows(ITEM, Transfer)]:
        rounds.append(transfers[0].rounds)
        if not await world.serve_one():
            await world.wait()
    assert max(rounds) >= 1
    await restore_all(world, truth)


BAD = {
    "not JSON": b"\x00\xff not json",
    "unknown type": json.dumps({"type": "format-disk"}).encode(),
    "wrong type": json.dumps({"type": "backup-now", "item_id": 7}).encode(),
    "extra field": json.dumps({"type": "backup-now", "item_id": ITEM, "force": True}).encode(),
    "unknown item": json.dumps({"type": "backup-now", "item_id": "nobody"}).encode(),
    "no object": b"[1, 2]",
    "garbage": b"{" + b"garbage" * 30_000,
}


@pytest.mark.fault(26)
@pytest.mark.parametrize("kind", BAD)
async def test_12_a_bad_message_is_dead_lettered_and_nothing_else(kind: str) -> None:
    """Invariant 12: with a reason for people; the good message behind it is served."""
    world, truth = await first_backup()
    body = BAD[kind].decode("latin-1")
    await world.ports.bus.send([Outgoing(queue=COMMANDS, message_id="bad", body=body)])
    scribble(world)
    await backup(world)
    (dead,) = world.ports.bus.dead_letters
    assert dead.code in ("InvalidInput", "NotFound")
    assert dead.delivery_count == 1
    assert len(dead.reason) > 20
    assert len(await world.points()) == 2
    await restore_all(world, truth)


@pytest.mark.fault(5)
async def test_a_replaced_source_gets_a_full_copy() -> None:
    """Fault 5: the blob was replaced under its name."""
    world, _ = await first_backup()
    world.ports.storage.replace(DISK, SIZE)
    truth = Truth(world)
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert "replaced" in last.kind_reason
    assert content(world, await restore(world, last)) == truth.at(last)


@pytest.mark.fault(4)
async def test_a_base_snapshot_deleted_by_others_gets_a_full_copy() -> None:
    """Fault 4: `PreviousSnapshotNotFound`; the reason is on the point."""
    world, truth = await first_backup()
    item = await world.item()
    assert item is not None
    assert item.base
    await world.ports.disks.delete_snapshot(item.base.source)
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert last.kind_reason
    await restore_all(world, truth)


async def test_a_lost_replica_gets_a_full_copy() -> None:
    """Somebody deleted the replica with all its snapshots: the next backup is whole again."""
    world, truth = await first_backup()
    item = await world.item()
    assert item is not None
    world.ports.storage.remove(item.replica)
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert content(world, await restore(world, last)) == truth.at(last)


async def test_a_deleted_source_fails_the_job_and_keeps_the_points() -> None:
    world, truth = await first_backup()
    held = truth.at((await world.points())[0])
    world.ports.storage.remove(DISK)
    await backup(world)
    job = (await world.jobs())[-1]
    assert job.status is Status.FAILED
    assert job.error
    assert job.error.code == "SourceNotFound"
    assert content(world, await restore(world, (await world.points())[0])) == held


@pytest.mark.fault(7)
@pytest.mark.parametrize("size", [SIZE * 2, SIZE // 2, SIZE + 512])
async def test_a_resized_source_is_followed(size: int) -> None:
    """Fault 7, in both directions; a disk that shrinks and grows again has lost what lay there."""
    world, truth = await first_backup()
    world.ports.storage.resize(DISK, size)
    scribble(world)
    await backup(world)
    world.ports.storage.resize(DISK, SIZE // 4)
    world.ports.storage.resize(DISK, SIZE)
    await backup(world)
    points = await world.points()
    assert [p.size_bytes for p in points] == [SIZE, size, SIZE]
    assert [p.kind for p in points] == [Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL]
    await restore_all(world, truth)


async def test_a_diff_that_answers_everything_is_audited() -> None:
    """Stock Azurite answers a diff with all that is allocated and no clears: bytes are right."""
    world, truth = await first_backup()
    world.ports.storage.diff_answers_everything = True
    world.ports.storage.erase(DISK, PageRange(0, SIZE // 2))
    await backup(world)
    last = (await world.points())[-1]
    assert content(world, await restore(world, last)) == truth.at(last)


@pytest.mark.fault(2)
async def test_a_clear_that_the_diff_lost_is_found_by_the_audit() -> None:
    """Faults 1 and 2: what the diff did not tell is put right before the commit, and reported."""
    world, truth = await first_backup()
    world.ports.storage.put(DISK, 0, b"x" * 8192)
    await backup(world)
    world.ports.storage.erase(DISK, PageRange(0, 4096))
    world.ports.storage.diff_loses = 1
    await backup(world)
    last = (await world.points())[-1]
    assert last.repaired_bytes == 4096
    assert content(world, await restore(world, last)) == truth.at(last)


async def test_a_refused_server_side_copy_is_streamed() -> None:
    """Fault: 409 `CopySourceCannotBeIncrementalCopyBlob`; the bytes go through the worker."""
    world, truth = await first_backup()
    world.ports.storage.refuse_server_side_copy = True
    scribble(world)
    await backup(world)
    last = (await world.points())[-1]
    assert last.worker_bytes == last.copied_bytes > 0
    assert content(world, await restore(world, last)) == truth.at(last)


@pytest.mark.parametrize("size", [0, 3 * 1024**4])
async def test_an_empty_disk_and_a_huge_sparse_one(size: int) -> None:
    world = await started(size=0, extent_bytes=64 * 1024**3)
    world.ports.storage.resize(DISK, size)
    if size:
        world.ports.storage.put(DISK, size - 4096, b"end." * 1024)
    await backup(world)
    (point,) = await world.points()
    assert point.size_bytes == size
    target = await restore(world, point)
    image = world.ports.storage.version(target)
    assert image.size_bytes == size
    if size:
        assert image.pages.read(PageRange(size - 4096, size)) == b"end." * 1024


async def test_a_restored_disk_goes_on_incrementally() -> None:
    """The seven steps: the restored disk, protected, is not copied whole again."""
    world, _ = await first_backup()
    scribble(world)
    await backup(world)
    point = (await world.points())[0]
    url = await restore(world, point)
    await world.command(
        type="protect", source=url, policy="gold", vault="vault", item_id="restored"
    )
    await world.settle()
    world.ports.storage.put(url, 0, b"new!" * 1024)
    expected = content(world, url)
    await world.command(type="backup-now", item_id="restored")
    await world.settle()
    (first,) = await world.points("restored")  # type: ignore[arg-type]
    assert first.kind is Kind.INCREMENTAL
    assert first.copied_bytes == 4096
    target = DiskUrl(f"{url}-again")
    await world.command(
        type="restore",
        item_id="restored",
        point=first.id,
        target={"kind": "alternate", "url": target},
    )
    await world.settle()
    assert content(world, target) == expected


async def test_an_original_restored_in_place_goes_on_incrementally() -> None:
    """Only what differs is written, so the next increment carries only that; and what the
    restore overwrote can be had back."""
    world, truth = await first_backup()
    scribble(world, 2)
    await backup(world)
    scribble(world, 2)
    overwritten = content(world, DISK)
    first = (await world.points())[0]
    await world.command(
        type="restore",
        item_id=ITEM,
        point=first.id,
        target={"kind": "original", "confirm": True},
    )
    await world.settle()
    assert content(world, DISK) == truth.at(first)
    safety = next(p for p in await world.points() if "before a restore" in p.kind_reason)
    assert content(world, await restore(world, safety)) == overwritten
    await backup(world)
    last = (await world.points())[-1]
    assert last.kind is Kind.INCREMENTAL
    assert content(world, await restore(world, last)) == truth.at(first)


async def test_a_restore_onto_the_original_wants_confirmation() -> None:
    world, _ = await first_backup()
    before = content(world, DISK)
    await world.command(type="restore", item_id=ITEM, point="latest", target={"kind": "original"})
    await world.settle()
    (dead,) = world.ports.bus.dead_letters
    assert "confirm" in dead.reason
    assert content(world, DISK) == before


async def test_a_stopped_item_keeps_or_loses_its_data() -> None:
    world, truth = await first_backup()
    await world.command(type="stop-protection", item_id=ITEM, delete_data=False)
    await scheduled(world)
    item = await world.item()
    assert item is not None
    assert item.state is ProtectionState.PROTECTION_STOPPED
    assert len(await world.points()) == 1
    await restore_all(world, truth)
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()
    assert len(await world.points()) == 1
    world.ports.clock.advance(14 * 86400)
    await tick(world.ports)
    await world.settle()
    assert await world.item() is None
    assert await world.points() == []
    assert world.ports.storage.find(item.replica) is None


async def test_a_refused_request_leaves_a_failed_job_with_the_reason() -> None:
    world, _ = await first_backup()
    await world.command(
        type="protect", source=DISK, policy="platinum", vault="vault", item_id="other"
    )
    await world.command(
        type="restore",
        item_id=ITEM,
        point=f"{ITEM}.point-none",
        target={"kind": "alternate", "url": f"{DISK}-x"},
    )
    await world.settle()
    failed = [job for job in [*await world.jobs(), *await world.jobs("other")] if job.error]  # type: ignore[arg-type]
    assert {job.operation.value for job in failed} == {"ConfigureProtection", "Restore"}
    assert all(job.status is Status.FAILED and job.error for job in failed)
    assert len(world.ports.bus.dead_letters) == 2


async def test_a_replica_deleted_in_mid_transfer_is_made_anew() -> None:
    world, truth = await first_backup()
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM)
    await serve_until(world, COPY)
    item = await world.item()
    assert item is not None
    world.ports.storage.remove(item.replica)
    await world.settle()
    last = (await world.points())[-1]
    assert last.kind is Kind.FULL
    assert "deleted" in last.kind_reason
    assert content(world, await restore(world, last)) == truth.at(last)
