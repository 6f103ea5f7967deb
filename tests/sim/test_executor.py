"""Parts under way: throttled, refused their source, out of time, killed; and what they tell.

Calls interleave here at every request, as they do on a network; the clock moves where a part
waits, or where a test says that requests take their time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import md5
from typing import Any

import pytest

from shared.codec import from_json
from shared.contracts.policy import parse_policy
from shared.memory import Fault, busy
from shared.model.disk import Snapshot
from shared.model.errors import Transient
from shared.model.extents import image_of, pieces
from shared.model.job import Status
from shared.model.manifest import RECORD_BYTES, Algorithm, Kind, Leaf, Record, decode, standing
from shared.model.messages import COPY, CopyPart
from shared.model.point import Point
from shared.model.ranges import PageRange, merge, size_bytes
from shared.model.transfer import Phase, Transfer
from shared.ports import ReadGrant
from shared.steps.copy import Outcome, copy_part
from shared.steps.lanes import lane_to
from tests.sim.scenes import (
    MIB,
    Truth,
    backup,
    confirmed_expiry,
    content,
    restore,
    restore_all,
    scribble,
    started,
)
from tests.sim.world import DISK, ITEM, POLICY, Crash, World

PLACES = 40
APART = 128 * 1024
"""So that they lie in both extents of the replica."""
Hook = Callable[[str], Awaitable[None]]


async def scattered(seed: int = 0, places: int = PLACES, **pace: Any) -> tuple[World, Truth]:
    """A protected disk with many separate pages, each an operation of its first backup; calls
    interleave."""
    world = await started(seed)
    await world.ports.catalog.put_policy(parse_policy(POLICY))
    world.ports = replace(world.ports, pace=replace(world.ports.pace, samples=0, **pace))
    truth = Truth(world)
    world.ports.storage.erase(DISK, PageRange(0, 6 * MIB))
    rewrite(world, places)
    hooked(world)
    return world, truth


def rewrite(world: World, places: int = PLACES) -> None:
    """Every place again, with other bytes."""
    for place in range(places):
        world.ports.storage.put(DISK, place * APART, world.random.randbytes(4096))


def hooked(world: World, *hooks: Hook) -> None:
    """Before each call the hooks run, and others get their turn."""

    async def before(call: str) -> None:
        for hook in hooks:
            await hook(call)
        await asyncio.sleep(0)

    world.ports.faults.before = before


def slowly(world: World, seconds: float = 1.0) -> Hook:
    """Page operations take their time."""

    async def hook(call: str) -> None:
        if call in ("images.copy", "images.write", "images.clear"):
            world.ports.clock.advance(seconds)

    return hook


def counted(*calls: str) -> tuple[Hook, list[str]]:
    made: list[str] = []

    async def hook(call: str) -> None:
        if call in calls:
            made.append(call)

    return hook, made


async def to_the_parts(world: World) -> CopyPart:
    """A backup, up to the moment when its parts are in their queue: the first of them."""
    await world.command(type="backup-now", item_id=ITEM)
    while not world.ports.bus.available(COPY):
        assert await world.serve_one()
    return from_json(CopyPart, world.ports.bus.messages(COPY)[0].body)


async def transfer_of(world: World, part: CopyPart) -> Transfer:
    row = await world.ports.ledger.get(ITEM, Transfer, part.job_id)
    assert row is not None
    return row.record


async def newest(world: World) -> Point:
    return (await world.points())[-1]


async def leaves_of(world: World, point: Point) -> list[list[Record]]:
    """The point's manifest, leaf by leaf in the order of writing."""
    urls = await world.ports.plans.urls(point.manifest)
    named = sorted((Leaf.named(url.removeprefix(point.manifest)), url) for url in urls)
    return [
        decode(await world.ports.plans.slice(url, 0, (leaf.last - leaf.first) * RECORD_BYTES))
        for leaf, url in named
    ]


async def proved(world: World, truth: Truth, places: int = PLACES) -> None:
    """The backup is right, counted right, and its manifest says of every byte that was written
    what the sealed replica has there (invariants 27 and 28); nothing is left behind."""
    point = await newest(world)
    job = next(job for job in await world.jobs() if job.id == point.job_id)
    assert job.status is Status.COMPLETED
    assert point.copied_bytes == job.planned_bytes == places * 4096
    assert await holds(world, point) == list(
        merge((n * APART, n * APART + 4096) for n in range(places))
    )
    assert world.crashes or world.ports.grants.outstanding == 0
    assert world.ports.bus.dead_letters == []
    world.ports.faults.before = None
    await restore_all(world, truth)


async def holds(world: World, point: Point) -> list[tuple[int, int]]:
    """What the manifest's checksums were found to hold for."""
    assert point.replica is not None
    stands = standing(await leaves_of(world, point))
    for record in stands:
        if record.kind is Kind.CLEARED:
            continue
        [(extent, local)] = pieces(image_of(point.replica), record.range)
        body = world.ports.storage.pages(extent.snapshot).read(local)
        assert record.checksum.algorithm is Algorithm.MD5
        assert record.checksum.digest == md5(body).digest()
    return list(merge(record.range for record in stands))


@pytest.mark.fault(40)
async def test_a_pause_that_the_service_asks_for_is_kept() -> None:
    """Fault 40: after 503 with Retry-After nothing is sent until it is over, by nobody."""
    world, truth = await scattered()
    now = world.ports.clock.now
    refused_at: list[datetime] = []
    sent_after: list[datetime] = []

    def refuse() -> Exception:
        refused_at.append(now())
        return busy(7.0)()

    async def note(call: str) -> None:
        if call == "images.copy" and refused_at:
            sent_after.append(now())

    hooked(world, note)
    await to_the_parts(world)
    world.ports.faults.plan(Fault("images.copy", skip=5, error=refuse))
    await world.serve_one(COPY)
    assert len(sent_after) > PLACES // 2
    assert min((at - refused_at[0]).total_seconds() for at in sent_after) == 7
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(40)
async def test_a_long_pause_is_waited_for_by_a_message() -> None:
    """Fault 40: no function sleeps for a minute; the rest of the part is sent for then, and what
    was done before is not done again."""
    world, truth = await scattered(copy_concurrency=4)
    hook, made = counted("images.copy")
    hooked(world, hook)
    fault = world.ports.faults.plan(Fault("images.copy", skip=20, error=busy(60.0)))
    part = await to_the_parts(world)
    began = world.ports.clock.now()
    await world.serve_one(COPY)
    assert fault.fired == 1
    assert world.ports.clock.now() == began
    [rest] = world.ports.bus.messages(COPY)
    assert rest.not_before is not None
    assert (rest.not_before - began).total_seconds() == 60
    done = from_json(CopyPart, rest.body).first
    assert done > part.first
    assert (await transfer_of(world, part)).reached == ((part.part, done),)
    await world.settle()
    assert (world.ports.clock.now() - began).total_seconds() >= 60
    assert len(made) <= PLACES + 2 * 4
    await proved(world, truth)


@pytest.mark.fault(40)
@pytest.mark.parametrize("seed", range(3))
async def test_a_service_that_refuses_a_third_gets_everything_done(seed: int) -> None:
    """Fault 40: refusals at random, without Retry-After, end no part."""
    world, truth = await scattered(seed)
    world.ports.faults.plan(Fault("images.*", times=10**9, share=0.3, error=busy()))
    part = await to_the_parts(world)
    assert await world.serve_one(COPY)
    assert world.ports.faults.planned[0].fired > 5
    assert (await transfer_of(world, part)).phase is Phase.COMMITTING
    world.ports.faults.planned.clear()
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(40, 58)
async def test_what_one_part_is_told_another_heeds() -> None:
    """The lane to an account is shared: no stampede after an outage (fault 58)."""
    world, _ = await scattered()
    part = await to_the_parts(world)
    world.ports.faults.plan(Fault("images.copy", times=10**9, error=busy()))
    with pytest.raises(Transient):
        await copy_part(world.ports, part)
    item = await world.item()
    assert item is not None
    assert lane_to(world.ports, item.replica).size < 2


@pytest.mark.fault(41, 45)
@pytest.mark.parametrize("at", range(0, PLACES, 7))
async def test_a_grant_revoked_in_mid_part_is_asked_for_again(at: int) -> None:
    """Fault 45: one grant more, and no operation is lost."""
    world, truth = await scattered()
    copies, made = counted("images.copy")
    grants, given = counted("disks.grant")

    async def revoke(call: str) -> None:
        if call == "images.copy" and len(made) == at + 1:
            world.ports.grants.revoke_all()

    hooked(world, copies, grants, revoke)
    await to_the_parts(world)
    await world.serve_one(COPY)
    assert len(given) == 2
    assert len(made) > PLACES
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(42)
async def test_a_grant_that_runs_out_in_mid_part_is_asked_for_again() -> None:
    """Fault 42."""
    world, truth = await scattered(part_seconds=3 * 3600)
    grants, given = counted("disks.grant")
    hooked(world, slowly(world, 200), grants)
    await backup(world)
    assert len(given) >= 3
    await proved(world, truth)


@pytest.mark.fault(41, 45)
async def test_a_source_that_is_never_readable_does_not_hold_a_part_for_ever() -> None:
    """Fault 41: who revokes every grant gets as many as are bearable; the message comes again."""
    world, truth = await scattered()

    async def revoke(call: str) -> None:
        if call == "images.copy":
            world.ports.grants.revoke_all()

    hooked(world, revoke)
    part = await to_the_parts(world)
    with pytest.raises(Transient) as refusal:
        await copy_part(world.ports, part)
    assert refusal.value.code == "GrantOver"
    hooked(world)
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(43)
async def test_leave_that_cannot_be_taken_back_ends_no_part() -> None:
    """Fault 43: it is swept, or ends by itself; what is done stays done."""
    world, truth = await scattered()
    give, failed = world.ports.disks.grant, []

    @asynccontextmanager
    async def grant(snapshot: Snapshot) -> AsyncIterator[ReadGrant]:
        async with give(snapshot) as given:
            yield given
        failed.append(snapshot)
        raise Transient("the answer to the revocation was lost")

    world.ports.disks.grant = grant  # type: ignore[method-assign]
    hook, made = counted("images.copy")
    hooked(world, hook)
    await backup(world)
    assert failed
    assert len(made) == PLACES
    del world.ports.disks.grant  # type: ignore[attr-defined]
    await proved(world, truth)


@pytest.mark.fault(16)
@pytest.mark.parametrize("seed", range(3))
async def test_a_lost_answer_is_repeated(seed: int) -> None:
    """Fault 16: many writes happen twice, and count once."""
    world, truth = await scattered(seed)
    lost = Fault("images.*", times=10**9, share=0.3, applied=True)
    await to_the_parts(world)
    world.ports.faults.plan(lost)
    await world.serve_one(COPY)
    world.ports.faults.planned.clear()
    assert lost.fired > 5
    await world.settle()
    point = await newest(world)
    assert point.requests >= PLACES + lost.fired
    await proved(world, truth)


@pytest.mark.fault(20, 23)
async def test_a_part_over_its_time_goes_on_as_another_message() -> None:
    """Every operation is done once, whichever message it came by."""
    world, truth = await scattered(part_seconds=10, copy_concurrency=4)
    hook, made = counted("images.copy")
    hooked(world, slowly(world), hook)
    await to_the_parts(world)
    legs = set()
    while any(world.ports.bus.messages(COPY)):
        legs |= {from_json(CopyPart, m.body).leg for m in world.ports.bus.messages(COPY)}
        assert await world.serve_one(COPY)
    assert legs == set(range(max(legs) + 1))
    assert len(legs) >= 3
    assert len(made) == PLACES
    await world.settle()
    await proved(world, truth)


async def test_a_part_stands_still_only_where_nothing_of_it_can_be_done() -> None:
    """A leg that moved goes on by a message; one that could do nothing goes back to its queue,
    to be counted there."""
    world, truth = await scattered(part_seconds=10)
    part = await to_the_parts(world)
    stuck = world.ports.faults.plan(Fault("images.copy", skip=10, times=10**9))
    assert await copy_part(world.ports, part) is Outcome.CONTINUED
    with pytest.raises(Transient):
        await copy_part(world.ports, part)
    assert stuck.fired
    world.ports.faults.planned.clear()
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(9, 23)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_part_killed_at_any_call_goes_on_from_its_checkpoint(applied: bool) -> None:
    """Invariants 6 and 27, fault 23: byte-exact, counted once, and little is done again."""
    number, again, places = 0, 0, 16
    while True:
        world, truth = await scattered(
            places=places, part_seconds=6, checkpoint_seconds=1.5, copy_concurrency=2
        )
        hook, made = counted("images.copy")
        hooked(world, slowly(world, 0.5), hook)
        await to_the_parts(world)
        fault = world.ports.faults.plan(Fault("*", skip=number, applied=applied, error=Crash))
        while world.ports.bus.messages(COPY):
            if not await world.serve_one(COPY):
                await world.wait()
        world.ports.faults.planned.clear()
        await world.settle()
        await proved(world, truth, places)
        if not fault.fired:
            break
        again = max(again, len(made) - places)
        number += 1
    assert number > places
    # What is done between two reports, while one is on its way, and what is under way itself.
    assert 0 < again <= places // 2


@pytest.mark.fault(10, 20)
@pytest.mark.parametrize("seed", range(12))
async def test_any_weather(seed: int) -> None:
    """Writes and clears in both extents, while all of it happens at random: refusals with and
    without a wait, lost answers, revoked grants, streams, deaths, parts out of time."""
    world, truth = await scattered(seed, part_seconds=6, checkpoint_seconds=1, copy_concurrency=4)
    random = world.random
    await backup(world)
    scribble(world, 40)
    world.ports.storage.refuse_server_side_copy = random.random() < 0.3

    async def weather(call: str) -> None:
        world.ports.clock.advance(random.uniform(0, 0.6))
        if random.random() < 0.05:
            world.ports.grants.revoke_all()

    await to_the_parts(world)
    hooked(world, weather)
    world.ports.faults.planned = [
        Fault("images.*", times=10**9, share=0.15, dice=random, error=busy()),
        Fault("images.*", times=3, share=0.1, dice=random, error=busy(random.choice([2.0, 30.0]))),
        Fault("*", times=10**9, share=0.05, dice=random, applied=True),
        Fault("*", times=3, share=0.05, dice=random, applied=random.random() < 0.5, error=Crash),
    ]
    for _ in range(60):
        if not await world.serve_one():
            await world.wait()
    assert sum(fault.fired for fault in world.ports.faults.planned) >= 3
    world.ports.faults.planned = []
    hooked(world)
    await world.settle()
    point = await newest(world)
    job = next(job for job in await world.jobs() if job.id == point.job_id)
    assert job.status is Status.COMPLETED
    assert point.copied_bytes == job.planned_bytes
    stands = standing(await leaves_of(world, point))
    assert size_bytes(merge(record.range for record in stands)) == (
        point.copied_bytes + point.cleared_bytes
    )
    await holds(world, point)
    await restore_all(world, truth)


@pytest.mark.fault(10, 20)
async def test_two_runs_of_a_part_count_it_once() -> None:
    """Fault 20: a part outlives its lock and is delivered again while it runs; both report."""
    world, truth = await scattered(checkpoint_seconds=2)
    hooked(world, slowly(world, 0.3))
    part = await to_the_parts(world)
    outcomes = await asyncio.gather(*(copy_part(world.ports, part) for _ in range(3)))
    assert Outcome.COPIED in outcomes
    await world.settle()
    await proved(world, truth)


@pytest.mark.fault(8)
async def test_a_stale_part_ends_and_reports_nothing() -> None:
    """Invariant 3, fault 8: a newer epoch is raised in mid-part."""
    world, _ = await scattered()
    hook, made = counted("images.copy")

    async def overtake(call: str) -> None:
        if call == "images.copy" and len(made) == 10:
            item = await world.item()
            assert item is not None
            for extent in item.largest_replica:
                blob = world.ports.storage.blob(extent.url)
                world.ports.storage.raise_epoch(blob, type(item.epoch)(item.epoch + 1))

    part = await to_the_parts(world)
    hooked(world, hook, overtake)
    assert await copy_part(world.ports, part) is Outcome.STALE
    after = await transfer_of(world, part)
    assert (after.copied_bytes, after.reached, after.done_hex) == (0, (), "0")
    assert 10 <= len(made) < PLACES


async def test_a_part_that_nobody_wants_any_more_ends_at_its_checkpoint() -> None:
    """Invariant 22: its job was cancelled; what it finds is nothing to report to."""
    world, _ = await scattered(checkpoint_seconds=4, copy_concurrency=2)
    hook, made = counted("images.copy", "ledger.commit")
    part = await to_the_parts(world)

    async def cancel(call: str) -> None:
        """Between two reports: a race for the row would be another story."""
        if call == "images.copy" and made[-4:] == ["ledger.commit", *["images.copy"] * 3]:
            world.ports.faults.before = None
            await world.command(type="cancel", job_id=part.job_id)
            assert await world.serve_one("commands")
            hooked(world, slowly(world, 0.5), hook)

    hooked(world, slowly(world, 0.5), hook, cancel)
    assert await copy_part(world.ports, part) is Outcome.NOTHING
    assert made.count("images.copy") < PLACES


async def test_no_operation_waits_for_another() -> None:
    """One request that hangs holds one worker, and nobody else."""
    world, truth = await scattered(copy_concurrency=4)
    released, made = asyncio.Event(), []

    async def hang(call: str) -> None:
        if call != "images.copy":
            return
        made.append(call)
        if len(made) == 1:
            await released.wait()
        elif len(made) == PLACES:
            released.set()

    await to_the_parts(world)
    hooked(world, hang)
    async with asyncio.timeout(5):
        await world.serve_one(COPY)
    await world.settle()
    await proved(world, truth)


@pytest.mark.parametrize(("holders", "bound"), [(24, 4), (3, 3)], ids=["part", "process"])
async def test_a_stream_holds_a_bounded_number_of_blocks(holders: int, bound: int) -> None:
    """Fault 24: reads and writes overlap, and no more blocks are in memory than a part has
    workers, nor, once it is known that the source must be streamed, than a process may hold."""
    world, truth = await scattered(copy_concurrency=4, holders=holders)
    world.ports.storage.refuse_server_side_copy = True
    await backup(world)
    rewrite(world)
    in_memory, most, overlapped = 0, 0, False
    disks, images = world.ports.disks, world.ports.images
    read, write = disks.read, images.write

    async def reading(*args: Any) -> bytes:
        nonlocal in_memory, most
        in_memory += 1
        most = max(most, in_memory)
        return await read(*args)

    async def writing(*args: Any) -> Any:
        nonlocal in_memory, overlapped
        overlapped = overlapped or in_memory > 1
        try:
            return await write(*args)
        finally:
            in_memory -= 1

    disks.read, images.write = reading, writing  # type: ignore[method-assign]
    await backup(world)
    assert most == bound
    assert overlapped
    assert in_memory == 0
    assert (await newest(world)).worker_bytes == PLACES * 4096
    await proved(world, truth)


async def test_a_refused_source_is_remembered_until_it_is_replaced() -> None:
    """Found out once a source: later backups do not ask again."""
    world, truth = await scattered()
    hook, made = counted("images.copy")
    hooked(world, hook)
    world.ports.storage.refuse_server_side_copy = True
    await backup(world)
    assert 0 < len(made) <= world.ports.pace.copy_concurrency
    await proved(world, truth)
    hooked(world, hook)
    made.clear()
    rewrite(world)
    await backup(world)
    assert made == []
    world.ports.storage.refuse_server_side_copy = False
    size = world.ports.storage.blob(DISK).size_bytes
    world.ports.storage.replace(DISK, size)
    rewrite(world)
    await backup(world)
    assert len(made) == PLACES
    await proved(world, truth)


async def test_a_manifest_goes_with_its_point() -> None:
    """Invariant 28; and what a failed job left is swept (16)."""
    world, _ = await scattered()
    await backup(world)
    first = await newest(world)
    rewrite(world)
    await backup(world)
    second = await newest(world)
    for point in (first, second):
        assert await world.ports.plans.urls(point.manifest)
    orphan = f"{second.manifest.replace(second.job_id, f'{ITEM}.backup-gone')}1-0-0-1"

    async def one() -> Any:
        yield b"\0" * RECORD_BYTES

    await world.ports.plans.put(orphan, one())
    world.ports.clock.advance(40 * 86400)
    rewrite(world)
    await backup(world)
    await confirmed_expiry(world, "confirmed")
    left = {point.id for point in await world.points()}
    assert first.id not in left
    assert await world.ports.plans.urls(first.manifest) == []
    assert await world.ports.plans.urls(orphan) == []
    assert await world.ports.plans.urls((await newest(world)).manifest)


async def test_a_manifest_covers_what_an_audit_put_right() -> None:
    """A later round overwrites what an earlier one wrote; the manifest tells which stands."""
    world, truth = await scattered()
    await backup(world)
    rewrite(world)
    world.ports.storage.put(DISK, 5 * MIB, world.random.randbytes(8192))
    world.ports.storage.diff_loses = 1
    await backup(world)
    point = await newest(world)
    assert point.repaired_bytes == 8192
    assert size_bytes(await holds(world, point)) == point.copied_bytes
    world.ports.faults.before = None
    await restore_all(world, truth)


async def test_a_restore_bears_the_same() -> None:
    """Behind a lease instead of an epoch: throttled, revoked, out of time; and it is right."""
    world, truth = await scattered(part_seconds=5, checkpoint_seconds=1, copy_concurrency=4)
    await backup(world)
    point = await newest(world)
    hook, made = counted("images.copy")

    async def revoke(call: str) -> None:
        if call == "images.copy" and len(made) == 17:
            world.ports.grants.revoke_all()

    hooked(world, slowly(world, 0.5), hook, revoke)
    world.ports.faults.plan(Fault("images.copy", times=10**9, share=0.3, error=busy(0.5)))
    world.ports.faults.plan(Fault("images.copy", times=10**9, share=0.1, applied=True))
    target = await restore(world, point)
    assert all(fault.fired > 1 for fault in world.ports.faults.planned)
    assert len(made) > PLACES
    assert content(world, target) == truth.at(point)
    assert world.ports.grants.outstanding == 0
