"""Retention in the pipeline: changed policies, the deletion guard, holds, deaths at every call."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from shared.contracts.policy import parse_policy
from shared.memory import Fault
from shared.model.errors import Invalid, NotFound
from shared.model.expiry import Guard
from shared.model.group import Group, GroupName
from shared.model.ids import PointId, RequestId, VaultName
from shared.model.job import Operation, Status
from shared.model.ledger import Insert
from shared.model.point import Point, Tier
from shared.steps.expiry import preview_expiry, request_expiry
from shared.steps.holds import hold_point, release_point
from shared.steps.policies import apply_policy, retire_policy
from shared.steps.reconcile import reconcile
from shared.steps.tick import tick
from tests.sim.deaths import deaths
from tests.sim.scenes import backup, scheduled
from tests.sim.world import DISK, ITEM, POLICY, Crash, World

SHORTER = POLICY.replace("keep: 30", "keep: 7")
LONGER = POLICY.replace("keep: 30", "keep: 60")


async def days(world: World, count: int) -> None:
    for _ in range(count):
        await scheduled(world)


async def lived(count: int, policy: str = POLICY) -> World:
    """A tiny disk under the policy, after so many daily backups."""
    world = World()
    await world.set_up(policy)
    world.ports.storage.create(DISK, 512)
    await world.protect()
    await world.settle()
    await days(world, count)
    return world


async def held(world: World) -> str:
    item = await world.item()
    assert item
    return item.expiry.held


async def ask(world: World, request: str = "people-1", *, confirm: bool = False) -> None:
    await request_expiry(world.ports, ITEM, RequestId(request), confirm=confirm)


async def vault_snapshots(world: World) -> int:
    item = await world.item()
    assert item
    return len(await world.ports.disks.snapshots(item.replica))


# ---------------------------------------------------------------- ordinary life


async def test_daily_rotation_is_never_held() -> None:
    world = await lived(45)
    assert len(await world.points()) == 30
    assert await held(world) == ""


@pytest.mark.parametrize("missed", [1, 3, 5, 12])
async def test_the_first_clean_up_after_a_short_outage_is_not_held(missed: int) -> None:
    world = await lived(32)
    world.ports.clock.advance(missed * 86400)
    await days(world, 1)
    assert len(await world.points()) == 30 - missed
    assert await held(world) == ""


async def test_a_policy_of_one_week_rotates_though_it_keeps_but_one_point() -> None:
    weekly = """
name: gold
schedule: {frequency: weekly, on: [sunday], at: ["02:00"]}
retention: {weekly: {keep: 1, on: [sunday]}}
"""
    world = await lived(0, weekly)
    for _ in range(4):
        world.ports.clock.set(world.ports.due.next_at() or world.ports.clock.now())
        while slots := [e.slot async for e in world.ports.due.slots(world.ports.clock.now())]:
            assert slots
            await tick(world.ports)
        await world.settle()
        world.ports.clock.advance(86400 * 6)
        await reconcile(world.ports)
    assert len(await world.points()) == 1
    assert await held(world) == ""


# ---------------------------------------------------------------- changed policies


async def test_a_shorter_policy_prunes_at_the_next_clean_up() -> None:
    world = await lived(20)
    applied = await apply_policy(world.ports, parse_policy(SHORTER))
    assert (applied.policy.version, applied.change) == (2, "changed")
    assert len(await world.points()) == 20
    await days(world, 1)
    assert len(await world.points()) == 7


async def test_a_longer_policy_extends_the_points_that_are_there() -> None:
    world = await lived(20, SHORTER)
    await apply_policy(world.ports, parse_policy(LONGER))
    await days(world, 20)
    points = await world.points()
    assert len(points) == 27
    for point in points:
        assert point.expires_at == point.created_at + timedelta(days=60)


async def test_a_policy_shortened_to_almost_nothing_is_held_until_confirmed() -> None:
    world = await lived(60, LONGER)
    await apply_policy(world.ports, parse_policy(SHORTER))
    await days(world, 1)
    assert await held(world) == "it would make 54 removals in a day, over 30"
    await days(world, 2)
    assert len(await world.points()) == 61 + 1 + 1
    assert all(Tier.VAULT in point.tiers for point in await world.points())

    await ask(world, confirm=True)
    await world.settle()
    assert len(await world.points()) == 7
    assert await held(world) == ""
    (job,) = [job for job in await world.jobs() if job.operation is Operation.EXPIRE]
    assert job.status is Status.COMPLETED


async def test_a_hold_ends_when_the_policy_is_changed_back_and_nothing_is_to_go() -> None:
    world = await lived(50, LONGER)
    await apply_policy(world.ports, parse_policy(SHORTER))
    await days(world, 1)
    assert await held(world)
    await apply_policy(world.ports, parse_policy(LONGER))
    await days(world, 1)
    assert await held(world) == ""
    assert len(await world.points()) == 52


async def test_a_changed_schedule_is_followed_from_its_next_slot_on() -> None:
    """An earlier slot than the one that was entered is not missed, nor is one caught up with that
    the schedule did not have when it came."""
    world = await lived(2)
    clock = world.ports.clock
    clock.set(clock.now().replace(hour=12))
    changed = POLICY.replace('["02:00"]', '["06:00", "18:00"]')
    assert (await apply_policy(world.ports, parse_policy(changed))).items == 1
    await reconcile(world.ports)
    assert len(await world.jobs()) == 3
    clock.set(clock.now().replace(hour=18))
    await tick(world.ports)
    await world.settle()
    assert [job.slot for job in await world.jobs()][-1] == clock.now().replace(minute=0, second=0)
    for _ in range(4 * 24):
        clock.advance(3600)
        await tick(world.ports)
        await world.settle()
    made = [job.slot for job in await world.jobs() if job.slot]
    hours = [slot.hour for slot in made]
    assert hours == [2, 2, 18, *[6, 18] * 4]
    entered = [entry.slot async for entry in world.ports.due.slots(clock.now() + timedelta(days=9))]
    assert len(entered) == 1


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_policy_that_was_half_applied_is_applied_by_doing_it_again(applied: bool) -> None:
    changed, number = parse_policy(POLICY.replace("02:00", "01:00")), 0
    while True:
        world = await lived(1)
        fault = world.ports.faults.plan(Fault(call="*", skip=number, applied=applied, error=Crash))
        await world.survive(apply_policy(world.ports, changed))
        world.ports.faults.planned.clear()
        again = await apply_policy(world.ports, changed)
        assert again.policy.version == 2
        slot = world.ports.clock.now().replace(hour=1, minute=0, second=0) + timedelta(days=1)
        entered = [entry.slot async for entry in world.ports.due.slots(slot)]
        assert entered == [slot]
        if not fault.fired:
            break
        number += 1
    assert number > 5


async def test_a_policy_in_use_is_not_deleted_and_versions_never_come_again() -> None:
    world = await lived(1)
    policy = parse_policy(POLICY)
    with pytest.raises(Exception, match="in use by 1: os-disk"):
        await retire_policy(world.ports, policy.name)
    other = parse_policy(POLICY.replace("gold", "silver"))
    await apply_policy(world.ports, other)
    farm = Group(
        name=GroupName("farm"),
        policy=other.name,
        vault=VaultName("vault"),
        created_at=world.ports.clock.now(),
    )
    await world.ports.groups.put(farm)
    with pytest.raises(Invalid, match="in use by 1: group farm"):
        await retire_policy(world.ports, other.name)
    await world.ports.groups.delete(farm.name)
    await retire_policy(world.ports, other.name)
    with pytest.raises(NotFound, match="there is no policy 'silver'"):
        await retire_policy(world.ports, other.name)
    again = await apply_policy(world.ports, other)
    assert (again.change, again.policy.version) == ("created", 2)


# ---------------------------------------------------------------- the guard


@pytest.mark.fault(13, 57)
async def test_a_jump_of_the_clock_deletes_nothing() -> None:
    world = await lived(30)
    before = await vault_snapshots(world)
    world.ports.clock.advance(400 * 86400)
    for _ in range(5):
        world.ports.storage.put(DISK, 0, world.random.randbytes(512))
        await days(world, 1)
    assert "401 days went by" in await held(world)
    assert len(await world.points()) == 35
    assert await vault_snapshots(world) == before + 5


@pytest.mark.fault(13)
async def test_more_removals_than_a_day_has_are_held() -> None:
    world = await lived(31)
    world.ports = replace(world.ports, guard=Guard(most_removals_a_day=2))
    world.ports.clock.advance(9 * 86400)
    await days(world, 1)
    assert await held(world) == "it would make 10 removals in a day, over 7"


async def test_what_was_removed_today_counts() -> None:
    world = await lived(31)
    world.ports = replace(world.ports, guard=Guard(most_removals_a_day=1))
    item = await world.item()
    assert item
    assert item.expiry.removed == 1
    today = world.ports.clock.now().date()
    assert item.expiry.removed_by(today) == 1
    assert item.expiry.removed_by(today + timedelta(days=1)) == 0


async def test_the_run_does_what_the_dry_run_said() -> None:
    world = await lived(29)
    world.ports.clock.advance(4 * 86400)
    plan = await preview_expiry(world.ports, ITEM)
    assert len(plan.expire) == 3
    await ask(world)
    await world.settle()
    left = {point.id: point for point in await world.points()}
    assert set(left) == {point.id for point in plan.staying}
    assert all(left[point.id].source is None for point in plan.release)


# ---------------------------------------------------------------- holds, requests


async def test_a_held_point_survives_any_clean_up_in_both_tiers() -> None:
    world = await lived(2, SHORTER)
    first = (await world.points())[0]
    await hold_point(world.ports, first.id, "audit")
    await days(world, 15)
    points = await world.points()
    assert points[0].id == first.id
    assert points[0].tiers == (Tier.SNAPSHOT, Tier.VAULT)
    assert len(points) == 8
    await release_point(world.ports, first.id)
    await days(world, 1)
    assert first.id not in {point.id for point in await world.points()}


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("UTC", "2026-03-01T00:00:00+00:00"),
        ("Europe/Berlin", "2026-02-28T23:00:00+00:00"),
        ("Pacific/Auckland", "2026-02-28T11:00:00+00:00"),
    ],
)
async def test_a_requested_point_is_retained_through_the_day_in_the_policys_zone(
    zone: str, end: str
) -> None:
    world = await lived(1, POLICY.replace("UTC", zone))
    await world.command(type="backup-now", item_id=ITEM, retain_until="2026-02-28")
    await world.settle()
    assert (await world.points())[-1].retain_until == datetime.fromisoformat(end)


async def test_a_requested_point_is_kept_for_30_days_without_a_date() -> None:
    world = await lived(1, SHORTER)
    await backup(world)
    asked = (await world.points())[-1]
    assert asked.expires_at == asked.created_at + timedelta(days=30)
    await days(world, 29)
    assert asked.id in {point.id for point in await world.points()}
    await days(world, 3)
    assert asked.id not in {point.id for point in await world.points()}


@pytest.mark.parametrize("day", ["2020-01-01", "9999-12-31"])
async def test_a_day_that_is_past_or_has_no_end_is_refused(day: str) -> None:
    world = await lived(1)
    await world.command(type="backup-now", item_id=ITEM, retain_until=day)
    await world.settle()
    job = (await world.jobs())[-1]
    assert job.status is Status.FAILED
    assert job.error
    assert day in job.error.message


# ---------------------------------------------------------------- deaths


async def _old_points(world: World, count: int) -> None:
    """Points whose snapshots are gone, from long before: records for a plan to remove."""
    newest = (await world.points())[-1]
    for n in range(count):
        at = newest.created_at - timedelta(days=50 + n)
        old = Point(
            id=PointId(f"{ITEM}.point-old-{n:02}"),
            item_id=ITEM,
            job_id=newest.job_id,
            created_at=at,
            kind=newest.kind,
            source=None,
            replica=newest.replica,
            size_bytes=512,
        )
        await world.ports.ledger.commit(ITEM, [Insert(old)])


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_confirmed_clean_up_is_survived(applied: bool) -> None:
    """Invariants 6 and 8: what was confirmed goes, whole, and is counted once; nothing else."""
    world = await lived(3)
    await _old_points(world, 4)
    world.ports = replace(world.ports, guard=Guard(most_removals_a_day=2, least_points=5))
    plan = await preview_expiry(world.ports, ITEM)
    assert plan.held
    await ask(world, confirm=True)
    number = 0
    async for life, _ in deaths(world, applied=applied):
        await life.settle()
        assert len(await life.points()) == 3
        item = await life.item()
        assert item
        assert item.expiry.removed == 4
        assert (item.expiry.job, item.expiry.confirmed, item.expiry.held) == (None, "", "")
        assert (await life.jobs())[-1].status.ended
        number += 1
    assert number > 20


@dataclass
class HoldAt:
    """Holds a point just before the n-th call of a clean-up; `told` is what the person heard."""

    world: World
    point: PointId
    number: int
    told: bool | None = None

    async def __call__(self, call: str) -> None:
        self.number -= 1
        if self.number != -1:
            return
        try:
            await hold_point(self.world.ports, self.point, "audit")
            self.told = True
        except (Invalid, NotFound):
            self.told = False


async def test_a_hold_at_any_moment_of_a_clean_up_is_kept_or_refused() -> None:
    """Invariant 8: whoever was told that a point is held finds it whole; who was refused, not."""
    outcomes: list[bool] = []
    while True:
        world = await lived(8, SHORTER)
        world.ports.clock.advance(86400)
        (going,) = (await preview_expiry(world.ports, ITEM)).begins
        holding = HoldAt(world, going.id, len(outcomes))
        world.ports.faults.before = holding
        await world.expire()
        world.ports.faults.before = None
        if holding.told is None:
            break
        left = {point.id: point for point in await world.points()}
        assert (going.id in left) == holding.told, len(outcomes)
        if holding.told:
            copy = left[going.id].replica
            assert copy in await world.ports.disks.snapshots(copy.disk if copy else DISK)
        outcomes.append(holding.told)
    assert set(outcomes) == {True, False}
