"""Items in Recovery Services vaults: what was found wrong, each by a test that failed."""

from collections import Counter, deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from shared.contracts.policy import parse_policy
from shared.decide.posting import expire_message
from shared.memory import Fault
from shared.memory.faults import lost
from shared.model.deferral import Deferred
from shared.model.ids import DiskUrl, ItemId
from shared.model.item import ProtectionState
from shared.model.job import Job, Status
from shared.model.recovery import VaultJob, VaultRestore
from shared.model.vault import Vault
from shared.steps.policies import apply_policy
from shared.steps.vaults import delete_vault
from tests.sim.mirrored import (
    GROUP,
    MACHINE,
    POLICY,
    QUICK,
    RSV,
    STAGING,
    a_vault,
    an_hour_passes,
    ask,
    back_up,
    days_pass,
    machines,
    protect,
    protected,
    slot,
    the_item,
    vault_jobs,
)
from tests.sim.world import ITEM, World

LATER = POLICY.replace("02:00", "03:30")
MOVED = 11390 << 20
"""What a vault in memory says that each backup moved."""

TARGET = {"kind": "disks", "group": GROUP, "prefix": "r1", "staging_account": STAGING}


async def restore(world: World) -> Job:
    return await ask(world, "restore", "restore", target=TARGET)


# ---------------------------------------------------------------- a vault that is gone


async def test_an_item_whose_vault_is_gone_says_so() -> None:
    """Its hourly look was a dead letter each time."""
    world = await protected()
    await back_up(world)
    world.ports.recovery.drop_vault(RSV)
    await an_hour_passes(world)
    item = await the_item(world)
    assert world.ports.bus.dead_letters == []
    assert (item.state, item.health != "") == (ProtectionState.PROTECTION_STOPPED, True)
    assert await world.points() == []


async def test_a_backup_whose_vault_goes_meanwhile_ends() -> None:
    world = await protected()
    await world.command(type="backup-now", item_id=ITEM)
    while not (await world.jobs())[-1].mirrors:
        assert await world.turn()
    world.ports.recovery.drop_vault(RSV)
    await world.settle(4000)
    job = (await world.jobs())[-1]
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "VaultNotFound")
    assert world.ports.bus.dead_letters == []
    assert not (await the_item(world)).at_work


async def test_what_is_left_of_a_vault_that_is_gone_can_be_deleted() -> None:
    """Its items could not be, and so the vault could not."""
    world = await protected()
    await back_up(world)
    world.ports.recovery.drop_vault(RSV)
    job = await ask(world, "stop-protection", "stop", delete_data=True)
    assert job.status is Status.COMPLETED
    assert await world.item() is None
    await delete_vault(world.ports, RSV.name)


async def test_a_policy_changes_although_one_of_its_vaults_is_gone() -> None:
    world = await protected()
    world.ports.recovery.drop_vault(RSV)
    assert (await apply_policy(world.ports, parse_policy(LATER))).change == "changed"


# ---------------------------------------------------------------- what somebody did in the vault


async def test_another_policy_in_the_vault_is_told() -> None:
    """One policy a machine: whoever gave it another one there is found out."""
    world = await protected()
    await back_up(world)
    theirs = world.ports.recovery.shelf(RSV).policies["vaultline-gold"]
    await world.ports.recovery.put_policy(RSV, "DefaultPolicy", theirs)
    await world.ports.recovery.enable(RSV, MACHINE, "DefaultPolicy")
    await an_hour_passes(world)
    assert "DefaultPolicy, not vaultline-gold" in (await the_item(world)).health
    await ask(world, "stop-protection", "stop", delete_data=False)
    await protect(world)
    item = await the_item(world)
    assert (item.state, item.health) == (ProtectionState.PROTECTED, "")


async def test_a_machine_that_somebody_removed_and_protected_again() -> None:
    """The item goes on with it, and its slots are jobs again."""
    world = await protected()
    await back_up(world)
    world.ports.recovery.drop(RSV, MACHINE)
    await an_hour_passes(world)
    assert (await the_item(world)).state is ProtectionState.PROTECTION_STOPPED
    await world.ports.recovery.enable(RSV, MACHINE, "vaultline-gold")
    await days_pass(world, 3)
    item = await the_item(world)
    assert (item.state, item.health) == (ProtectionState.PROTECTED, "")
    assert len([job for job in await world.jobs() if job.slot]) >= 2
    assert {job.status for job in await world.jobs()} == {Status.COMPLETED}


async def test_a_point_is_that_of_the_backup_that_took_it() -> None:
    """Another one begins while the first still transfers: both points were the first one's."""
    world = await protected()
    until = world.ports.clock.now() + timedelta(days=9)
    first = world.ports.recovery.shelf(RSV).back_up(MACHINE, until)
    world.ports.clock.advance(700)
    second = world.ports.recovery.shelf(RSV).back_up(MACHINE, until)
    await days_pass(world)
    jobs = {job.id: job.mirrors for job in await world.jobs()}
    made_by = [jobs[point.job_id] for point in await world.points()]
    assert made_by[:2] == [first.id, second.id]


async def test_a_machine_of_another_subscription_is_not_its_namesake() -> None:
    """In a vault machines go by their group and name: it was taken for the one that is there."""
    world = await protected()
    twin = DiskUrl(MACHINE.replace("000000000001", "000000000002"))
    world.ports.machines.create(twin, {})
    await world.command(
        type="protect", source=twin, policy="gold", vault="rsv", item_id=ItemId("twin")
    )
    await world.settle(4000)
    (job,) = await world.jobs(ItemId("twin"))
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "SubscriptionMismatch")
    assert len(vault_jobs(world, "ConfigureBackup")) == 1


# ---------------------------------------------------------------- clocks, and late messages


class Shifted:
    """The vault's clock, so far from ours."""

    def __init__(self, world: World, minutes: float) -> None:
        self._clock, self._by = world.ports.clock, timedelta(minutes=minutes)
        world.ports.recovery._clock = self

    def now(self) -> datetime:
        return self._clock.now() + self._by


@pytest.mark.parametrize("minutes", [-10, -2, 2, 10])
@pytest.mark.parametrize("kind", ["backup", "restore"])
@pytest.mark.fault(50, 57)
async def test_an_answer_that_is_lost_where_clocks_differ(kind: str, minutes: float) -> None:
    """Invariant 37: by a clock behind ours it had begun before it was asked for, and was begun
    again."""
    world = await protected(course=QUICK)
    await back_up(world)
    Shifted(world, minutes)
    lost_ = world.ports.faults.plan(Fault(call=f"recovery.{kind}", applied=True, error=lost))
    job = await (back_up(world) if kind == "backup" else restore(world))
    assert lost_.fired == 1
    assert job.status is Status.COMPLETED
    begun = [each.id for each in vault_jobs(world, kind.title())]
    assert begun[-1:] == [job.mirrors]
    assert len(begun) == (2 if kind == "backup" else 1)


async def test_a_restore_that_somebody_else_began_is_not_ours() -> None:
    """Neither when nothing of ours was begun: what was lost was the request."""
    world = await protected(course=QUICK)
    await back_up(world)
    (point,) = await world.points()
    theirs = VaultRestore(point=point.mirrors, kind="disks", machine=MACHINE, staging_account="")
    await world.ports.recovery.restore(RSV, theirs)
    world.ports.clock.advance(60)
    unsent = world.ports.faults.plan(Fault(call="recovery.restore", error=lost))
    job = await restore(world)
    assert unsent.fired == 1
    assert [each.id for each in vault_jobs(world, "Restore")][1:] == [job.mirrors]


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_backups_of_others_where_clocks_differ(minutes: float) -> None:
    """The first ones after a protection were missed for ever."""
    world = await protected(course=QUICK)
    Shifted(world, minutes)
    theirs = world.ports.recovery.shelf(RSV).back_up(
        MACHINE, world.ports.clock.now() + timedelta(days=9)
    )
    await an_hour_passes(world)
    assert theirs.id in {job.mirrors for job in await world.jobs()}
    assert len(await world.points()) == 1


async def test_a_look_that_comes_late_finds_its_item_gone() -> None:
    world = await protected()
    await ask(world, "stop-protection", "stop", delete_data=True)
    world.ports.recovery.drop(RSV, MACHINE)
    for _ in range(2):
        await world.ports.bus.send([expire_message(ITEM, "mirror", world.ports.clock.now())])
        world.ports.clock.advance(60)
    await world.settle(4000)
    assert await world.item() is None
    assert world.ports.bus.dead_letters == []


# ---------------------------------------------------------------- our side


async def test_points_tell_what_their_backups_moved_whoever_began_them() -> None:
    """What was asked for told nothing."""
    world = await protected()
    job = await back_up(world)
    await slot(world)
    assert job.moved_bytes == MOVED
    assert [point.copied_bytes for point in await world.points()] == [MOVED] * 2


async def test_a_policy_that_changes_while_a_backup_runs() -> None:
    world = await protected()
    await world.command(type="backup-now", item_id=ITEM)
    while not (await world.jobs())[-1].mirrors:
        assert await world.turn()
    await apply_policy(world.ports, parse_policy(LATER))
    await world.settle(4000)
    await days_pass(world, 2)
    jobs = await world.jobs()
    assert {job.status for job in jobs} == {Status.COMPLETED}
    assert {f"{job.slot:%H:%M}" for job in jobs if job.slot} == {"03:30"}


# ---------------------------------------------------------------- 150 looks an hour


class HourlyLimit:
    """What Azure answers of looks at jobs and at operations: 150 each an hour and vault, a page of
    a listing for one; then nothing for 324 s."""

    def __init__(self, world: World, page: int = 100) -> None:
        self.refused: Counter[str] = Counter()
        self.since: list[datetime] = []
        self._clock = world.ports.clock
        self._passed: dict[str, deque[datetime]] = {"jobs": deque(), "operations": deque()}
        self._page = page
        self._list = world.ports.recovery.jobs
        world.ports.recovery.jobs = self._jobs  # type: ignore[method-assign]
        world.ports.faults.before = self._before

    async def _before(self, call: str) -> None:
        if call == "recovery.job":
            self._count("jobs")
        if call == "recovery.operation":
            self._count("operations")

    async def _jobs(self, vault: Vault, since: datetime) -> AsyncIterator[list[VaultJob]]:
        self.since.append(since)
        listed = [job async for page in self._list(vault, since) for job in page]
        for start in range(0, max(1, len(listed)), self._page):
            self._count("jobs")
            yield listed[start : start + self._page]

    def _count(self, action: str) -> None:
        now, passed = self._clock.now(), self._passed[action]
        while passed and passed[0] <= now - timedelta(hours=1):
            passed.popleft()
        if len(passed) >= 150:
            self.refused[action] += 1
            raise Deferred("asked too often", retry_after=324, code="ResourceRequestsThrottled")
        passed.append(now)


async def one_by_one(world: World, ids: list[ItemId], seconds: float) -> None:
    """Each is backed up so long after the one before."""
    clock, bus = world.ports.clock, world.ports.bus
    for id_ in ids:
        await world.command(type="backup-now", item_id=id_)
        until = clock.now() + timedelta(seconds=seconds)
        while clock.now() < until:
            if not await world.serve_one():
                at = bus.next_visible_at()
                clock.set(min(until, at) if at and at > clock.now() else until)


async def test_two_hundred_machines_in_a_vault() -> None:
    """Backed up one after the other for an hour, so that somebody always looks: nobody is told
    that jobs are looked at too often, and all ends within an hour of the vault's own end."""
    world = await a_vault(policy=POLICY.replace("02:00", "22:00"))
    ids = await machines(world, 200)
    limit = HourlyLimit(world)
    await one_by_one(world, ids, 18)
    await world.settle(100_000)
    assert limit.refused["jobs"] == 0
    ended = {job.id: job.ended_at for job in vault_jobs(world)}
    for id_ in ids:
        job = (await world.jobs(id_))[-1]
        assert job.status is Status.COMPLETED
        theirs = ended[job.mirrors]
        assert job.ended_at
        assert theirs
        assert job.ended_at - theirs < timedelta(hours=1)


async def test_who_was_refused_does_not_ask_on() -> None:
    """Fifty machines too many for the hour: each asked again by itself, and again."""
    world = await a_vault()
    ids = await machines(world, 200)
    limit = HourlyLimit(world)
    for id_ in ids:
        await world.command(type="backup-now", item_id=id_)
    await world.settle(100_000)
    assert 0 < limit.refused["operations"] < 20
    for id_ in ids:
        assert [job.status for job in await world.jobs(id_)] == [Status.COMPLETED] * 2


async def test_an_item_that_nobody_backs_up_does_not_have_all_jobs_listed() -> None:
    """Its vault's jobs were listed since its last backup, however long ago: more pages each day."""
    world = await protected(course=QUICK)
    await back_up(world)
    await ask(world, "stop-protection", "stop", delete_data=False)
    await machines(world, 1)
    limit = HourlyLimit(world)
    await days_pass(world, 20)
    assert world.ports.clock.now() - min(limit.since[-5:]) < timedelta(days=2)


@pytest.mark.parametrize("age", [timedelta(hours=8), timedelta(days=2)])
async def test_jobs_that_take_long_have_no_listing_of_their_own(age: timedelta) -> None:
    """First backups of large machines take days: each look at one was a listing more."""
    world = await a_vault(policy=POLICY.replace("02:00", "22:00"))
    world.ports.recovery.course = QUICK
    ids = await machines(world, 80)
    world.ports.recovery.course = QUICK.__class__(transfer=age.total_seconds())
    limit = HourlyLimit(world)
    await one_by_one(world, ids, 30)
    await world.settle(100_000)
    assert limit.refused["jobs"] == 0
    for id_ in ids:
        assert [job.status for job in await world.jobs(id_)] == [Status.COMPLETED] * 2
