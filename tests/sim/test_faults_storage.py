"""Storage that refuses, answers late, or whose answers are lost; restored bytes decide."""

from datetime import timedelta

import pytest

from shared.memory import Fault
from shared.model.errors import Conflict, Transient
from shared.model.job import Operation, Status
from shared.model.messages import COPY
from shared.model.point import Kind
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.sim.scenes import (
    MIB,
    Truth,
    backup,
    content,
    restore,
    restore_all,
    scheduled,
    started,
)
from tests.sim.test_cancel import backed_up
from tests.sim.world import DISK, ITEM, World

TIB = 1024**4


async def proved(world: World, truth: Truth, fault: Fault) -> None:
    """A backup under the fault, which must fire; then every point restores."""
    world.ports.faults.plan(fault)
    await backup(world)
    assert fault.fired
    world.ports.faults.planned.clear()
    assert [point.kind for point in await world.points()][1:] == [Kind.INCREMENTAL]
    assert await ended(world) == [Status.COMPLETED] * 2
    await restore_all(world, truth)


async def ended(world: World) -> list[Status]:
    """How the backups ended, oldest first."""
    return [job.status for job in await world.jobs() if job.operation is Operation.BACKUP]


@pytest.mark.fault(6)
@pytest.mark.parametrize("sizes", [(3 * TIB, 5 * TIB), (5 * TIB, 3 * TIB)])
async def test_a_resize_across_4_tb_gets_a_full_copy(sizes: tuple[int, int]) -> None:
    """Between snapshots from either side of it no diff is to be had."""
    before, after = sizes
    world = await started(size=0, extent_bytes=TIB)
    world.ports.storage.resize(DISK, before)
    world.ports.storage.put(DISK, 2 * TIB, b"kept" * 1024)
    world.ports.storage.put(DISK, before - 4096, b"last" * 1024)
    await backup(world)
    world.ports.storage.resize(DISK, after)
    world.ports.storage.put(DISK, after - 8192, b"new." * 1024)
    await backup(world)
    points = await world.points()
    assert [(point.kind, point.size_bytes) for point in points] == [
        (Kind.FULL, before),
        (Kind.FULL, after),
    ]
    assert "across 4 TiB" in points[1].kind_reason
    for point in points:
        assert point.source is not None
        held = world.ports.storage.pages(point.source)
        restored = world.ports.storage.pages(await restore(world, point))
        assert [*restored.allocated()] == [*held.allocated()]
        assert [*restored.differences(held)] == []


LOST_ANSWERS = [
    ("disks.take_snapshot", 0),
    ("disks.take_snapshot", 1),
    ("images.raise_epoch", 0),
    ("images.copy", 0),
    ("images.clear", 0),
    ("plans.put", 0),
    *(("ledger.commit", skip) for skip in range(0, 12, 3)),
    *(("bus.send", skip) for skip in range(3)),
]


@pytest.mark.fault(16, 53)
@pytest.mark.parametrize(("call", "skip"), LOST_ANSWERS)
async def test_an_effect_whose_answer_is_lost_is_repeated(call: str, skip: int) -> None:
    """What is repeated takes effect again."""
    world, truth = await backed_up()
    base = (await world.points())[0].source
    assert base is not None
    world.ports.storage.erase(DISK, next(world.ports.storage.pages(base).allocated()))
    await proved(world, truth, Fault(call, applied=True, skip=skip))


@pytest.mark.fault(50)
async def test_what_was_made_is_found_though_its_maker_was_told_nothing() -> None:
    """A create and a snapshot whose answers are lost: looking is the truth, nothing is there
    twice."""
    world = await started()
    truth = Truth(world)
    lost = [
        world.ports.faults.plan(Fault(call, applied=True, error=error))
        for call, error in (
            ("images.create", lambda: Transient("the answer was lost")),
            ("disks.take_snapshot", lambda: Transient("the answer was lost")),
        )
    ]
    await scheduled(world)
    assert [fault.fired for fault in lost] == [1, 1]
    (point,) = await world.points()
    item = await world.item()
    assert item is not None
    taken = [snapshot.tag for snapshot in await world.ports.disks.snapshots(DISK)]
    assert taken == [point.job_id]
    await restore_all(world, truth)


LIMITS = ["SnapshotOperationRateExceeded", "SnapshotCountExceeded"]


@pytest.mark.fault(46)
@pytest.mark.parametrize("code", LIMITS)
@pytest.mark.parametrize("skip", [0, 1], ids=["source", "replica"])
async def test_snapshots_beyond_a_limit_are_taken_later(code: str, skip: int) -> None:
    """Refused for longer than a message has deliveries: the reconciler asks again, and it is one
    snapshot in the end."""
    world, truth = await backed_up()
    began = world.ports.clock.now()
    limited = Fault(
        "disks.take_snapshot", times=25, skip=skip, error=lambda: Transient("limit", code=code)
    )
    await proved(world, truth, limited)
    assert limited.fired == 25
    assert world.ports.clock.now() > began + timedelta(seconds=60)
    tags = [snapshot.tag for snapshot in await world.ports.disks.snapshots(DISK)]
    assert len(tags) == len(set(tags))


@pytest.mark.fault(48)
async def test_a_diff_of_more_ranges_than_an_answer_holds() -> None:
    """12,000 scattered pages, every third of them cleared: ten answers and more, one plan."""
    world = await started(size=16 * MIB)
    truth = Truth(world)
    await scheduled(world)
    for page in range(12_000):
        where = PageRange(page * 2 * PAGE_BYTES, (page * 2 + 1) * PAGE_BYTES)
        if page % 3 == 2:
            world.ports.storage.erase(DISK, where)
        else:
            world.ports.storage.put(DISK, where.start, bytes([page % 255 + 1]) * PAGE_BYTES)
    before = world.ports.storage.requests["changed"]
    await backup(world)
    assert world.ports.storage.requests["changed"] - before > 10
    last = (await world.points())[-1]
    assert last.kind is Kind.INCREMENTAL
    assert last.changed_bytes >= 8_000 * PAGE_BYTES
    await restore_all(world, truth)


@pytest.mark.fault(52)
@pytest.mark.parametrize("skip", range(0, 12, 3))
async def test_a_lost_race_is_read_and_decided_again(skip: int) -> None:
    """412 for transactions in a row, wherever in a backup they are."""
    world, truth = await backed_up()
    raced = Fault("ledger.commit", times=3, skip=skip, error=lambda: Conflict("412"))
    await proved(world, truth, raced)
    assert raced.fired == 3


@pytest.mark.fault(54)
async def test_an_item_of_more_rows_than_a_transaction_takes() -> None:
    """60 backups leave over 100 rows; their clean-up, and the end of the item, go on to the end
    in transactions of at most 100."""
    world = await started(size=64 * 1024)
    truth = Truth(world)
    for _ in range(60):
        world.ports.storage.put(DISK, 0, world.random.randbytes(512))
        await backup(world)
    assert len(await world.points()) == 60
    assert len(await world.jobs()) + len(await world.points()) > 100
    last = (await world.points())[-1]
    assert content(world, await restore(world, last)) == truth.at(last)
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()
    world.ports.clock.advance(15 * 86400)
    await scheduled(world)
    assert await world.item() is None
    assert await world.points() == []


@pytest.mark.fault(20, 21)
async def test_work_that_outlives_its_lock_is_done_twice_and_counts_once() -> None:
    """The lock ends in the midst of a copy; another host is given the message, does the work and
    reports it; then the first goes on."""
    world, truth = await backed_up()
    await world.command(type="backup-now", item_id=ITEM)
    while not world.ports.bus.available(COPY):
        assert await world.serve_one()
    twice: list[bool] = []

    async def outlive(call: str) -> None:
        if call == "images.copy" and not twice:
            twice.append(False)
            world.ports.clock.advance(120)
            twice[0] = await world.serve_one(COPY)

    world.ports.faults.before = outlive
    await world.serve_one(COPY)
    assert twice == [True]
    await world.settle()
    last = (await world.points())[-1]
    assert last.copied_bytes <= last.changed_bytes
    assert await ended(world) == [Status.COMPLETED] * 2
    await restore_all(world, truth)
