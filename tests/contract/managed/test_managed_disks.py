"""`Disks` over managed disks: the contract suite where it applies, and what only managed disks
have: limits, an operation's many ends, leave to read that is shared and revoked."""

import asyncio
from datetime import timedelta

import pytest

from local.arm.controls import add_faults, clear_counters, clear_faults, read_counters
from local.arm.faults import Fault
from shared.azure.managed import grants, ranges, snapshots, together
from shared.azure.managed.naming import snapshot_name
from shared.model.arm_ids import disk_id, snapshot_id
from shared.model.deferral import Deferred
from shared.model.disk import Snapshot, Traits
from shared.model.errors import (
    ChainBroken,
    Invalid,
    SourceGone,
    Transient,
)
from shared.model.ids import DiskUrl
from shared.model.inventory import Scope, Tag
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.contract.managed.world import (
    GIBIBYTE,
    SUBSCRIPTION,
    ArmPeople,
    managed_world,
    read,
)
from tests.contract.pages import body, changed, erase, flat, put, shown, span
from tests.contract.test_disks import (
    test_a_disk_that_is_not_there_is_gone,
    test_a_grant_does_not_show_itself,
    test_a_snapshot_that_is_gone_is_gone,
    test_a_url_with_a_query_is_refused_and_not_repeated,
    test_leave_that_is_in_use_is_not_taken_back,
    test_no_diff_is_told_across_a_replacement,
    test_no_diff_is_told_backwards,
    test_snapshots_that_we_took_are_listed_oldest_first,
    test_three_sparse_tebibytes_are_listed_at_once,
    test_what_is_allocated_within_a_range,
)
from tests.contract.worlds import World
from tests.stack.azurite_fixtures import RunningStorage

__all__ = [
    "test_a_disk_that_is_not_there_is_gone",
    "test_a_grant_does_not_show_itself",
    "test_a_snapshot_that_is_gone_is_gone",
    "test_a_url_with_a_query_is_refused_and_not_repeated",
    "test_leave_that_is_in_use_is_not_taken_back",
    "test_no_diff_is_told_across_a_replacement",
    "test_no_diff_is_told_backwards",
    "test_snapshots_that_we_took_are_listed_oldest_first",
    "test_three_sparse_tebibytes_are_listed_at_once",
    "test_what_is_allocated_within_a_range",
]
pytestmark = pytest.mark.stack
JOB = "os-disk.backup-20261121t020000z"
READ = {"access": "Read", "durationInSeconds": 900}


def calls(origin: str) -> dict[str, int]:
    """Requests by operation since the counters were cleared."""
    counted: dict[str, int] = {}
    for row in read_counters(origin):
        counted[row.operation] = counted.get(row.operation, 0) + row.requests
    return counted


async def test_a_disk_is_described(world: World) -> None:
    disk = world.disk()
    state = await world.ports.disks.state(disk)
    assert (state.url, state.size_bytes, state.tag) == (disk, GIBIBYTE, "")
    shouted = DiskUrl(disk.upper())
    assert (await world.ports.disks.state(shouted)) == state


async def test_a_disk_elsewhere_is_not_touched(world: World) -> None:
    other = world.disk(None).replace(SUBSCRIPTION, "99999999-1111-2222-3333-444444444444")
    with pytest.raises(Invalid) as refusal:
        await world.ports.disks.state(DiskUrl(other))
    assert "VAULTLINE_SUBSCRIPTIONS" in refusal.value.action


async def test_a_snapshot_stays_as_it_was(world: World) -> None:
    disk = world.disk()
    put(world, disk, 1, "aa")
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    put(world, disk, 0, "bbbb")
    erase(world, disk, 2, 3)
    assert await read(world, snapshot) == ".aa............."
    state = await world.ports.disks.state(disk)
    assert (snapshot.disk, snapshot.tag, snapshot.chain) == (disk, JOB, state.chain)
    assert snapshot.size_bytes == GIBIBYTE
    with pytest.raises(Invalid):
        await world.ports.disks.read(snapshot, PageRange(GIBIBYTE, GIBIBYTE + PAGE_BYTES))


@pytest.mark.fault(16)
async def test_a_snapshot_is_taken_once_under_its_tag(world: World, people: ArmPeople) -> None:
    """What a repeat after a lost answer finds: the first one's bytes."""
    disk = world.disk()
    put(world, disk, 0, "a")
    first = await world.ports.disks.take_snapshot(disk, JOB)
    put(world, disk, 0, "b")
    assert await world.ports.disks.take_snapshot(disk, JOB) == first
    assert await world.ports.disks.snapshots(disk) == [first]
    assert (await read(world, first))[0] == "a"
    shown = people.show(first.id)
    assert shown["tags"] == {
        "vaultline-job": JOB,
        "vaultline-item": "os-disk",
        "vaultline-source-sku": "Premium_LRS",
    }
    assert shown["properties"]["incremental"] is True


async def test_the_footer_is_no_part_of_the_disk(world: World) -> None:
    disk = world.disk()
    put(world, disk, 3, "a")
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    assert await flat(world.ports.disks.allocated(snapshot)) == [span(3, 4)]


async def test_changes_are_what_was_written_or_cleared_since(world: World) -> None:
    disk = world.disk()
    put(world, disk, 0, "abcdefgh")
    base = await world.ports.disks.take_snapshot(disk, "base")
    put(world, disk, 1, "b")  # the same bytes, written again
    put(world, disk, 3, "x")
    erase(world, disk, 5, 7)
    put(world, disk, 12, "yy")
    snapshot = await world.ports.disks.take_snapshot(disk, "next")
    put(world, disk, 0, "z")
    assert await changed(world, snapshot, base) == ["+1-2", "+3-4", "-5-7", "+12-14"]
    assert await changed(world, snapshot, snapshot) == []


@pytest.mark.fault(48)
async def test_a_full_answer_is_asked_for_again_in_halves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service cuts an answer off without saying so."""
    disk = world.disk()
    base = await world.ports.disks.take_snapshot(disk, "base")
    for first in range(0, 64, 2):
        put(world, disk, first, "a")
    snapshot = await world.ports.disks.take_snapshot(disk, "next")
    monkeypatch.setattr(ranges, "FULL_ANSWER", 8)
    lists = [each async for each in world.ports.disks.changed(snapshot, base)]
    assert sum(1 for each in lists if each) > 4
    found = [change for each in lists for change in each]
    assert shown(found) == [f"+{first}-{first + 1}" for first in range(0, 64, 2)]


@pytest.mark.fault(7)
async def test_changes_follow_a_disk_that_grew(world: World) -> None:
    disk = world.disk()
    base = await world.ports.disks.take_snapshot(disk, "base")
    world.people.resize(disk, 2 * GIBIBYTE)
    last = 2 * GIBIBYTE - PAGE_BYTES
    world.people.put(disk, last, body("z"))
    larger = await world.ports.disks.take_snapshot(disk, "larger")
    assert larger.size_bytes == 2 * GIBIBYTE
    changes = await flat(world.ports.disks.changed(larger, base))
    assert changes[-1].range == PageRange(last, last + PAGE_BYTES)


@pytest.mark.fault(6)
async def test_no_diff_is_told_across_four_tebibytes(world: World) -> None:
    disk = world.disk(2 * 1024 * GIBIBYTE // PAGE_BYTES)
    base = await world.ports.disks.take_snapshot(disk, "base")
    world.people.resize(disk, 5 * 1024 * GIBIBYTE)
    larger = await world.ports.disks.take_snapshot(disk, "larger")
    with pytest.raises(ChainBroken, match="4 TiB"):
        await changed(world, larger, base)


async def test_no_diff_is_told_where_the_base_is_gone(world: World) -> None:
    disk = world.disk()
    base = await world.ports.disks.take_snapshot(disk, "base")
    snapshot = await world.ports.disks.take_snapshot(disk, "next")
    await world.ports.disks.delete_snapshot(base)
    with pytest.raises(ChainBroken):
        await changed(world, snapshot, base)


@pytest.mark.fault(46)
async def test_the_eighth_snapshot_in_five_minutes_waits(world: World, origin: str) -> None:
    disk = world.disk()
    for number in range(7):
        await world.ports.disks.take_snapshot(disk, f"job-{number}")
    clear_counters(origin)
    with pytest.raises(Deferred) as wait:
        await world.ports.disks.take_snapshot(disk, "job-7")
    assert 0 < (wait.value.retry_after or 0) <= timedelta(minutes=5).total_seconds()
    assert calls(origin) == {}, "the service was asked although it would refuse"


@pytest.mark.fault(46, 49)
async def test_a_refusal_for_the_rate_is_a_wait(world: World, origin: str) -> None:
    """What a process that has just started cannot know, the service says."""
    disk = world.disk()
    fault = Fault(
        operation="Snapshots_CreateOrUpdate", status=429, error_code="TooManyRequests",
        retry_after=90, times=1,
    )  # fmt: skip
    add_faults(origin, [fault])
    with pytest.raises(Transient) as wait:
        await world.ports.disks.take_snapshot(disk, JOB)
    assert wait.value.retry_after == 90
    assert [count.fired for count in clear_faults(origin)] == [1]
    assert (await world.ports.disks.take_snapshot(disk, JOB)).tag == JOB


async def test_a_backup_takes_six_calls(
    storage: RunningStorage, world: World, people: ArmPeople, origin: str
) -> None:
    """A full one four, an increment two more to read its base; a listing serves the whole group."""
    disk = world.disk()
    await world.ports.disks.state(disk)
    clear_counters(origin)
    base = await _backed_up(world, disk, "base")
    counted = calls(origin)
    assert counted.pop("Snapshots_ListByResourceGroup") == 1
    assert sum(counted.values()) == 4, counted
    async with managed_world(storage, origin, group=people.group) as (later, _):
        await later.ports.disks.state(disk)
        clear_counters(origin)
        snapshot = await _backed_up(later, disk, JOB)
        assert await changed(later, snapshot, base) == ["+0-1"]
    counted = calls(origin)
    counted.pop("Snapshots_ListByResourceGroup")
    assert sum(counted.values()) == 6, counted


async def _backed_up(world: World, disk: DiskUrl, job: str) -> Snapshot:
    put(world, disk, 0, "a")
    snapshot = await world.ports.disks.take_snapshot(disk, job)
    for _ in range(3):  # parts, one after another
        async with world.ports.disks.grant(snapshot):
            await flat(world.ports.disks.allocated(snapshot))
    await world.ports.disks.take_back(disk)
    return snapshot


async def test_disks_that_are_due_together_are_looked_at_together(
    storage: RunningStorage, world: World, people: ArmPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "GATHER_SECONDS", 2.0)  # however busy this machine is
    disks = [world.disk(name=f"disk-{number}") for number in range(6)]
    async with managed_world(storage, people.origin, group=people.group) as (fresh, _):
        clear_counters(people.origin)
        taken = await asyncio.gather(*(fresh.ports.disks.take_snapshot(d, JOB) for d in disks))
    assert [each.disk for each in taken] == disks
    counted = calls(people.origin)
    assert counted["Snapshots_CreateOrUpdate"] == 6
    assert counted["Disks_ListByResourceGroup"] == 1, "where they are was asked for each"
    # How often they have to be looked at is the machine's to say: each time, all of them at once.
    assert counted["Snapshots_ListByResourceGroup"] > 0
    assert counted.get("Snapshots_Get", 0) < 6, counted


async def test_a_snapshot_says_what_its_disk_was(world: World, people: ArmPeople) -> None:
    disk = world.disk(None, "zoned")
    fields = {"sku": {"name": "StandardSSD_LRS"}, "zones": ["2"]}
    people.make_like(disk, GIBIBYTE, fields, {"osType": "Linux"})
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    assert snapshot.traits == Traits(
        sku="StandardSSD_LRS", region="westeurope", zone="2", os_type="Linux"
    )
    assert (await world.ports.disks.state(disk)).region == "westeurope"
    assert await world.ports.disks.snapshots(disk) == [snapshot]


async def test_leave_is_shared_and_ends_by_itself(
    world: World, people: ArmPeople, origin: str
) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
    async with (
        world.ports.disks.grant(snapshot) as one,
        world.ports.disks.grant(snapshot) as other,
    ):
        assert one.url == other.url
    clear_counters(origin)
    await world.ports.disks.take_back(snapshot.disk)
    assert "Snapshots_RevokeAccess" not in calls(origin), "it was worth a call"
    await world.ports.disks.delete_snapshot(snapshot)
    assert people.is_gone(snapshot.id)


async def test_leave_that_was_too_short_is_longer_and_taken_back(
    storage: RunningStorage, people: ArmPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "SHORT", timedelta(seconds=1))
    monkeypatch.setattr(grants, "MARGIN", timedelta())
    async with managed_world(storage, people.origin, grant_linger_seconds=0.05) as (world, its):
        snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
        async with world.ports.disks.grant(snapshot) as short:
            await asyncio.sleep(1.1)
        async with world.ports.disks.grant(snapshot) as long:
            assert long.url != short.url
            await asyncio.sleep(1.1)
            assert await read(world, snapshot) == "." * 16
        for _ in range(100):
            await asyncio.sleep(0.02)
            if its.show(snapshot.id)["properties"]["diskState"] == "Unattached":
                return
    raise AssertionError("the SAS is still out")


@pytest.mark.fault(43)
async def test_what_dead_processes_left_is_swept(
    storage: RunningStorage, world: World, people: ArmPeople
) -> None:
    """What is more than a backup leaves, or older."""
    disk = world.disk()
    taken = [await world.ports.disks.take_snapshot(disk, f"job-{n}") for n in range(3)]
    async with managed_world(storage, people.origin) as (another, _):
        for each in taken:
            people.call("POST", f"{each.id}/beginGetAccess", READ)
        await another.ports.disks.take_back(disk)
    states = [people.show(each.id)["properties"]["diskState"] for each in taken]
    assert states == ["Unattached"] * 3


@pytest.mark.fault(43)
async def test_what_an_old_backup_left_is_swept(
    storage: RunningStorage, world: World, people: ArmPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
    people.call("POST", f"{snapshot.id}/beginGetAccess", READ)
    monkeypatch.setattr(snapshots, "SHORT", timedelta(days=-1))
    async with managed_world(storage, people.origin) as (another, _):
        await another.ports.disks.take_back(snapshot.disk)
    assert people.show(snapshot.id)["properties"]["diskState"] == "Unattached"


async def test_leave_in_use_is_not_swept(
    world: World, people: ArmPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
    monkeypatch.setattr(snapshots, "SHORT", timedelta(days=-1))
    async with world.ports.disks.grant(snapshot):
        await world.ports.disks.take_back(snapshot.disk)
        assert people.show(snapshot.id)["properties"]["diskState"] == "ActiveSAS"
    await world.ports.disks.take_back(snapshot.disk)
    assert people.show(snapshot.id)["properties"]["diskState"] == "Unattached"


@pytest.mark.fault(45)
async def test_leave_that_others_revoked_is_asked_for_again(
    world: World, people: ArmPeople
) -> None:
    disk = world.disk()
    put(world, disk, 0, "a")
    base = await world.ports.disks.take_snapshot(disk, "base")
    put(world, disk, 1, "b")
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    async with world.ports.disks.grant(snapshot) as first:
        pass
    people.revoke(snapshot.id)
    async with world.ports.disks.grant(snapshot) as second:
        assert second.url != first.url
    people.revoke(snapshot.id)
    assert (await read(world, snapshot))[:2] == "ab"
    people.revoke(snapshot.id)
    assert await flat(world.ports.disks.allocated(snapshot)) == [span(0, 2)]
    people.revoke(base.id)
    people.revoke(snapshot.id)
    assert await changed(world, snapshot, base) == ["+1-2"]


@pytest.mark.fault(44)
async def test_the_sixth_of_a_family_waits(world: World) -> None:
    """Five may be read at a time; one that nobody uses makes room."""
    disk = world.disk()
    taken = [await world.ports.disks.take_snapshot(disk, f"job-{n}") for n in range(6)]
    grants = [world.ports.disks.grant(each) for each in taken]
    for grant in grants[:5]:
        await grant.__aenter__()
    with pytest.raises(Deferred) as wait:
        await grants[5].__aenter__()
    assert wait.value.code == "SasLimit"
    await grants[0].__aexit__(None, None, None)
    async with world.ports.disks.grant(taken[5]):
        pass
    for grant in grants[1:5]:
        await grant.__aexit__(None, None, None)


@pytest.mark.fault(44)
async def test_others_take_up_the_family_s_room(
    storage: RunningStorage, world: World, people: ArmPeople
) -> None:
    disk = world.disk()
    taken = [await world.ports.disks.take_snapshot(disk, f"job-{n}") for n in range(6)]
    for each in taken[:5]:
        people.call("POST", f"{each.id}/beginGetAccess", READ)
    with pytest.raises(Deferred) as wait:
        async with world.ports.disks.grant(taken[5]):
            pass
    assert wait.value.code == "SasLimit"


async def test_a_snapshot_that_is_read_is_deleted_all_the_same(
    world: World, people: ArmPeople
) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
    people.call("POST", f"{snapshot.id}/beginGetAccess", READ)
    await world.ports.disks.delete_snapshot(snapshot)
    assert await world.ports.disks.snapshots(snapshot.disk) == []
    await world.ports.disks.delete_snapshot(snapshot)


@pytest.mark.fault(47)
async def test_a_premium_v2_snapshot_is_read_when_it_is_whole(
    world: World, people: ArmPeople, origin: str
) -> None:
    """Taken at once, filled later. Nobody asks for a SAS before."""
    disk = world.disk(None, "fast")
    people.make_disk(disk, GIBIBYTE, "PremiumV2_LRS")
    clear_counters(origin)
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    with pytest.raises(Deferred) as wait:
        async with world.ports.disks.grant(snapshot):
            pass
    assert wait.value.code == "SnapshotIncomplete"
    assert "Snapshots_GrantAccess" not in calls(origin)
    for _ in range(80):
        await asyncio.sleep(0.2)
        try:
            assert await read(world, snapshot) == "." * 16
            return
        except Deferred:
            continue
    raise AssertionError("it never came to be whole")


async def test_a_busy_resource_manager_is_asked_again(world: World, origin: str) -> None:
    disk = world.disk()
    busy = [
        Fault(operation=operation, status=503, error_code="ServerTimeout", times=1)
        for operation in ("Snapshots_CreateOrUpdate", "Snapshots_Get", "Snapshots_GrantAccess")
    ]
    add_faults(origin, busy)
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    assert await read(world, snapshot) == "." * 16
    assert [count.fired for count in clear_faults(origin)] == [1, 1, 1]


@pytest.mark.fault(16, 50)
async def test_a_lost_answer_is_no_second_snapshot(world: World, origin: str) -> None:
    disk = world.disk()
    add_faults(origin, [Fault(operation="Snapshots_CreateOrUpdate", drop="after", times=1)])
    snapshot = await world.ports.disks.take_snapshot(disk, JOB)
    assert await world.ports.disks.snapshots(disk) == [snapshot]


@pytest.mark.fault(50)
@pytest.mark.parametrize("fate", ["stuck", "vanished"])
async def test_the_snapshot_itself_is_the_truth(world: World, origin: str, fate: str) -> None:
    """Whatever became of the operation."""
    add_faults(origin, [Fault(operation="Snapshots_CreateOrUpdate", operation_fate=fate, times=1)])
    assert (await world.ports.disks.take_snapshot(world.disk(), JOB)).tag == JOB


@pytest.mark.fault(50)
async def test_a_snapshot_that_is_not_there_yet_is_asked_for_again(
    world: World, origin: str
) -> None:
    add_faults(origin, [Fault(operation="Snapshots_CreateOrUpdate", hidden_gets=2, times=1)])
    assert (await world.ports.disks.take_snapshot(world.disk(), JOB)).tag == JOB


@pytest.mark.fault(50)
async def test_leave_whose_operation_vanished_is_asked_for_again(world: World, origin: str) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), JOB)
    add_faults(
        origin, [Fault(operation="Snapshots_GrantAccess", operation_fate="vanished", times=1)]
    )
    with pytest.raises(Transient, match="nobody knows"):
        async with world.ports.disks.grant(snapshot):
            pass
    async with world.ports.disks.grant(snapshot) as grant:
        assert "sig=" in grant.url


@pytest.mark.fault(51)
async def test_a_locked_group_is_said_so(world: World, people: ArmPeople) -> None:
    disk = world.disk()
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{people.group}"
    lock = f"{group}/providers/Microsoft.Authorization/locks/held"
    people.call("PUT", lock, {"properties": {"level": "ReadOnly"}}, "2016-09-01")
    with pytest.raises(Invalid) as refusal:
        await world.ports.disks.take_snapshot(disk, JOB)
    assert refusal.value.code == "ScopeLocked"
    assert "lock" in refusal.value.action
    people.call("DELETE", lock, None, "2016-09-01")


async def test_disks_are_found_by_subscription_group_and_tag(
    world: World, people: ArmPeople
) -> None:
    plain, labelled = world.disk(name="plain"), world.disk(name="labelled")
    people.label(labelled, "backup", "yes")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{people.group}"
    found = await flat(world.ports.disks.search(Scope(url=group)))
    assert {(each.url, each.size_bytes) for each in found} == {
        (plain, GIBIBYTE),
        (labelled, GIBIBYTE),
    }
    tagged = Scope(url=group, tag=Tag(name="backup", value="yes"))
    assert [each.url for each in await flat(world.ports.disks.search(tagged))] == [labelled]
    everywhere = await flat(world.ports.disks.search(Scope(url=f"/subscriptions/{SUBSCRIPTION}")))
    assert {plain, labelled} <= {each.url for each in everywhere}
    with pytest.raises(SourceGone):
        await flat(world.ports.disks.search(Scope(url=f"{group}-not-there")))


def test_names_are_the_service_s(world: World) -> None:
    name = snapshot_name(disk_id(world.disk(None)), JOB)
    assert len(name) <= 80
    assert snapshot_id(f"{world.source_root.replace('disks', 'snapshots')}/{name}").name == name
