"""`Machines` over Resource Manager: restore points, and reading what is in them."""

from datetime import timedelta

import pytest

from local.arm.controls import Guest, add_faults, clear_faults
from local.arm.faults import Fault
from local.errors import StackError
from shared.model.deferral import Deferred
from shared.model.errors import ChainBroken, GuestFailed, Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.inventory import Scope, Tag
from shared.model.machine import OS_LUN, Consistency, Os, Power
from tests.contract.machines.world import Site, patiently
from tests.contract.managed.world import managed_world
from tests.contract.pages import flat, shown, span
from tests.stack.azurite_fixtures import RunningStorage

pytestmark = pytest.mark.stack
JOB = "vm1.backup-20261121t020000z"
NEXT = "vm1.backup-20261122t020000z"


async def test_a_machine_is_described(site: Site) -> None:
    machine = await site.machines.state(site.vm)
    assert (machine.url, machine.os, machine.power) == (site.vm, Os.LINUX, Power.RUNNING)
    assert (machine.region, machine.size) == ("westeurope", "Standard_D2s_v5")
    assert machine.agent.ready
    assert machine.agent.version
    assert [(each.lun, each.name) for each in machine.disks] == [
        (OS_LUN, "vm1-os"),
        (0, "vm1-data-0"),
    ]
    assert machine.disks[1].disk == site.id_of("disks", "vm1-data-0")
    state = await site.ports.disks.state(site.vm)
    assert (state.size_bytes, state.region) == (2 * 1024**3, "westeurope")
    assert state.chain == f"{site.vm}#{machine.vm_id}"


async def test_a_machine_that_is_off_or_silent(site: Site) -> None:
    site.guest(site.vm, Guest(agent_ready=False))
    silent = await site.machines.state(site.vm)
    assert (silent.agent.ready, silent.agent.version) == (False, "")
    assert silent.agent.message
    site.post(site.vm, "deallocate")
    assert (await site.machines.state(site.vm)).power is Power.DEALLOCATED


async def test_a_machine_that_is_not_there_is_gone(site: Site) -> None:
    with pytest.raises(SourceGone):
        await site.machines.state(site.id_of("virtualMachines", "nobody"))
    with pytest.raises(SourceGone):
        await site.machines.take_point(
            site.id_of("virtualMachines", "nobody"), JOB, Consistency.CRASH
        )


async def test_every_disk_is_read_as_it_was_at_one_moment(site: Site) -> None:
    os_disk, data = (site.id_of("disks", f"vm1-{part}") for part in ("os", "data-0"))
    site.put(os_disk, 0, "system")
    site.put(data, 1, "table")
    point = await site.take(site.vm, JOB)
    site.put(os_disk, 0, "later!")
    assert (point.machine, point.tag) == (site.vm, JOB)
    assert point.consistency is Consistency.FILE_SYSTEM
    system, table = (each.snapshot for each in point.disks)
    assert [each.lun for each in point.disks] == [OS_LUN, 0]
    assert (system.disk, table.disk) == (os_disk, data)
    assert (system.tag, system.size_bytes) == (JOB, 1024**3)
    assert system.chain == (await site.ports.disks.state(os_disk)).chain
    assert (system.traits.sku, system.traits.os_type) == ("Premium_LRS", "Linux")
    assert (system.traits.generation, system.traits.zone) == ("V2", "2")
    assert await site.read(system) == "system.."
    assert await site.read(table) == ".table.."
    assert await flat(site.ports.disks.allocated(table)) == [span(1, 6)]


async def test_changes_between_two_points(site: Site) -> None:
    data = site.id_of("disks", "vm1-data-0")
    site.put(data, 0, "abcd")
    before = (await site.take(site.vm, JOB)).disks[1].snapshot
    site.put(data, 2, "x")
    site.person.inside(data).clear([(0, 512)])
    after = (await site.take(site.vm, NEXT)).disks[1].snapshot
    assert shown(await flat(site.ports.disks.changed(after, before))) == ["-0-1", "+2-3"]
    assert await site.read(after) == ".bxd...."


async def test_a_point_is_taken_once_under_its_tag(site: Site) -> None:
    first = await site.take(site.vm, JOB)
    site.put(site.id_of("disks", "vm1-os"), 0, "later")
    assert await site.take(site.vm, JOB) == first
    assert await site.machines.points(site.vm) == [first]
    [listed] = await site.ports.disks.snapshots(site.vm)
    assert (listed.disk, listed.id, listed.tag) == (site.vm, first.id, JOB)


@pytest.mark.parametrize(
    ("os_type", "asked", "got"),
    [
        ("Windows", Consistency.APPLICATION, Consistency.APPLICATION),
        ("Linux", Consistency.APPLICATION, Consistency.FILE_SYSTEM),
        ("Windows", Consistency.CRASH, Consistency.CRASH),
    ],
)
async def test_what_a_point_promises(
    site: Site, os_type: str, asked: Consistency, got: Consistency
) -> None:
    vm = site.make_machine("other", os_type, luns=())
    assert (await site.take(vm, JOB, asked)).consistency is got


async def test_disks_are_left_out(site: Site) -> None:
    vm = site.make_machine("vm2", luns=(0, 3))
    point = await site.take(vm, JOB, Consistency.CRASH, site.id_of("disks", "vm2-data-0"))
    assert [each.lun for each in point.disks] == [OS_LUN, 3]


async def test_a_silent_guest_fails_and_leaves_nothing_behind(site: Site) -> None:
    """The first attempts fail, whatever they find; the one that asks for less does not."""
    site.guest(site.vm, Guest(agent_ready=False))
    for _ in range(2):
        with pytest.raises(GuestFailed) as failure:
            await site.take(site.vm, JOB)
        assert failure.value.code == "VMAgentStatusCommunicationError"
        assert await site.machines.points(site.vm) == []
    point = await site.take(site.vm, JOB, Consistency.CRASH)
    assert point.consistency is Consistency.CRASH


async def test_a_guest_without_network_fails(site: Site) -> None:
    site.guest(site.vm, Guest(network=False))
    with pytest.raises(GuestFailed, match="network"):
        await site.take(site.vm, JOB)


async def test_a_machine_that_is_off_has_crash_consistent_points(site: Site) -> None:
    site.post(site.vm, "deallocate")
    with pytest.raises(GuestFailed):
        await site.take(site.vm, JOB)
    assert (await site.take(site.vm, JOB, Consistency.CRASH)).disks


async def test_points_come_one_at_a_time(site: Site) -> None:
    """While one is being taken, another waits: its own job's repeat as well as any other's."""
    fate = Fault(operation="RestorePoints_Create", operation_fate="vanished", times=1)
    add_faults(site.person.endpoint, [fate])
    waits = []
    for tag in (JOB, JOB, NEXT):
        with pytest.raises(Transient) as wait:
            await site.machines.take_point(site.vm, tag, Consistency.CRASH)
        waits.append(wait.value.code)
    assert waits == ["OperationGone", "RestorePointIncomplete", "RestorePointBusy"]
    assert (await site.take(site.vm, NEXT, Consistency.CRASH)).tag == NEXT
    assert (await site.take(site.vm, JOB, Consistency.CRASH)).tag == JOB


@pytest.mark.fault(46, 49)
async def test_the_fourth_in_an_hour_waits(site: Site) -> None:
    for hour in range(3):
        await site.take(site.vm, f"vm1.backup-{hour}", Consistency.CRASH)
    with pytest.raises(Deferred) as wait:
        await site.machines.take_point(site.vm, JOB, Consistency.CRASH)
    assert wait.value.code == "RestorePointRate"
    assert 0 < (wait.value.retry_after or 0) <= 18


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Changes were made to the Virtual Machine while the operation was in progress.",
         "MachineChanging"),
        ("The number of restore points for a VM cannot exceed 500.", "RestorePointLimit"),
    ],
)  # fmt: skip
async def test_what_passes_is_a_wait(site: Site, message: str, code: str) -> None:
    refusal = Fault(
        operation="RestorePoints_Create", status=409, error_code="OperationNotAllowed",
        message=message, times=1,
    )  # fmt: skip
    add_faults(site.person.endpoint, [refusal])
    with pytest.raises(Deferred) as wait:
        await site.machines.take_point(site.vm, JOB, Consistency.CRASH)
    assert wait.value.code == code
    assert [count.fired for count in clear_faults(site.person.endpoint)] == [1]


@pytest.mark.fault(47)
async def test_a_disk_that_no_point_can_have_is_refused(site: Site) -> None:
    fast = site.person.make_disk(site.group, "fast", sku="PremiumV2_LRS")
    interface = site.person.make_interface(site.group, "nic3", site.subnet)
    os_disk = site.person.make_disk(site.group, "vm3-os", os_type="Linux")
    vm = site.id_of("virtualMachines", "vm3")
    site.person.make_machine(site.group, "vm3", os_disk, {0: fast}, interface)
    with pytest.raises(Invalid, match="fast"):
        await site.machines.take_point(vm, JOB, Consistency.CRASH)
    with pytest.raises(Deferred):  # its bytes come after the point
        await site.machines.take_point(vm, JOB, Consistency.FILE_SYSTEM)
    assert [each.disks for each in await site.machines.points(vm)] == [()]
    assert len((await site.take(vm, JOB)).disks) == 2


@pytest.mark.parametrize("fate", ["stuck", "vanished"])
@pytest.mark.fault(50)
async def test_the_point_itself_is_the_truth(
    site: Site, fate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever became of the operation that took it."""
    monkeypatch.setattr("shared.azure.arm.OPERATION_SECONDS", 0.2)
    add_faults(
        site.person.endpoint,
        [Fault(operation="RestorePoints_Create", operation_fate=fate, times=1)],
    )
    with pytest.raises(Transient):
        await site.machines.take_point(site.vm, JOB, Consistency.CRASH)
    assert (await site.take(site.vm, JOB, Consistency.CRASH)).tag == JOB
    assert len(await site.machines.points(site.vm)) == 1


@pytest.mark.fault(50)
async def test_a_lost_answer_is_no_second_point(site: Site) -> None:
    lost = Fault(operation="RestorePoints_Create", drop="after", times=1)
    add_faults(site.person.endpoint, [lost])
    point = await site.take(site.vm, JOB, Consistency.CRASH)
    assert [count.fired for count in clear_faults(site.person.endpoint)] == [1]
    assert [each.id for each in await site.machines.points(site.vm)] == [point.id]


async def test_a_point_outlives_its_machine(site: Site) -> None:
    """Deleted while its point is on the way to the vault, or before anybody heard of it."""
    site.put(site.id_of("disks", "vm1-os"), 0, "system")
    taken = await site.take(site.vm, JOB)
    site.person.call("DELETE", site.vm)
    for part in ("os", "data-0"):
        site.person.call("DELETE", site.id_of("disks", f"vm1-{part}"), version="2024-03-02")
    again = await site.machines.take_point(site.vm, JOB, Consistency.FILE_SYSTEM)
    assert [each.snapshot.id for each in again.disks] == [each.snapshot.id for each in taken.disks]
    assert again.disks[0].snapshot.size_bytes == 1024**3
    assert await site.read(taken.disks[0].snapshot) == "system.."
    assert [each.id for each in await site.ports.disks.snapshots(site.vm)] == [taken.id]
    with pytest.raises(SourceGone):
        await site.machines.take_point(site.vm, NEXT, Consistency.CRASH)
    await patiently(lambda: site.machines.delete_point(taken.id))
    assert await site.ports.disks.snapshots(site.vm) == []


async def test_a_point_that_is_being_taken_outlives_its_machine(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.azure.arm.OPERATION_SECONDS", 0.0)
    for _ in range(2):
        with pytest.raises(Deferred):
            await site.machines.take_point(site.vm, JOB, Consistency.CRASH)
        site.person.call("DELETE", site.vm)
    assert len((await site.take(site.vm, JOB, Consistency.CRASH)).disks) == 2


async def test_a_machine_that_is_made_again_has_points_of_its_own(site: Site) -> None:
    before = await site.take(site.vm, JOB)
    site.person.call("DELETE", site.vm)
    machine = site.person.make_machine(
        site.group, "vm1", before.disks[0].snapshot.disk, {}, f"{site.subnet}-unused"
    )
    assert machine.lower() == site.vm
    after = await site.take(site.vm, NEXT)
    assert after.vm_id != before.vm_id
    assert [each.tag for each in await site.ports.disks.snapshots(site.vm)] == [JOB, NEXT]
    with pytest.raises(ChainBroken):
        await flat(site.ports.disks.changed(after.disks[0].snapshot, before.disks[0].snapshot))


async def test_a_point_that_is_read_is_deleted_when_nobody_reads_it(site: Site) -> None:
    point = await site.take(site.vm, JOB)
    snapshot = point.disks[0].snapshot
    async with site.ports.disks.grant(snapshot):
        with pytest.raises(Deferred):
            await site.machines.delete_point(point.id)
    await patiently(lambda: site.machines.delete_point(point.id))
    assert await site.machines.points(site.vm) == []
    await site.machines.delete_point(point.id)
    with pytest.raises(SourceGone):
        await site.read(snapshot)


@pytest.mark.fault(45)
async def test_leave_that_others_revoked_is_asked_for_again(site: Site) -> None:
    data = site.id_of("disks", "vm1-data-0")
    site.put(data, 0, "a")
    before = (await site.take(site.vm, JOB, Consistency.CRASH)).disks[1].snapshot
    site.put(data, 1, "b")
    after = (await site.take(site.vm, NEXT, Consistency.CRASH)).disks[1].snapshot
    assert await site.read(after) == "ab......"
    for _ in range(2):
        for each in (before, after):
            site.post(DiskUrl(each.id), "endGetAccess")
        assert shown(await flat(site.ports.disks.changed(after, before))) == ["+1-2"]
    site.post(DiskUrl(after.id), "endGetAccess")
    async with site.ports.disks.grant(after) as grant:
        assert "sig=" in grant.url
    assert await site.read(after) == "ab......"


@pytest.mark.fault(44)
async def test_the_sixth_of_a_family_waits(site: Site) -> None:
    """Others, of whom we know nothing, have taken up the room: the service says so."""
    refusal = Fault(
        operation="DiskRestorePoint_GrantAccess", status=409, error_code="OperationNotAllowed",
        message="Shared access signatures are outstanding for 5 snapshots.", times=1,
    )  # fmt: skip
    snapshot = (await site.take(site.vm, JOB, Consistency.CRASH)).disks[0].snapshot
    add_faults(site.person.endpoint, [refusal])
    with pytest.raises(Deferred) as wait:
        await site.read(snapshot)
    assert wait.value.code == "SasLimit"
    assert await site.read(snapshot) == "." * 8


async def test_leave_that_is_not_used_any_more_is_taken_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not right after a backup, whose leave ends by itself."""
    point = await site.take(site.vm, JOB)
    one, other = (each.snapshot for each in point.disks)
    async with site.ports.disks.grant(one), site.ports.disks.grant(other):
        await site.ports.disks.take_back(site.vm)
        assert await site.read(one) == "." * 8
    await site.ports.disks.take_back(site.vm)
    with pytest.raises(StackError, match="DiskRestorePointUsedByCustomer"):
        site.person.call("DELETE", point.id)
    monkeypatch.setattr("shared.azure.machines.points.SHORT", timedelta(days=-1000))
    await site.ports.disks.take_back(site.vm)
    site.person.call("DELETE", point.id)


async def test_machines_are_found_by_group_subscription_and_tag(site: Site) -> None:
    other = site.make_machine("tagged", luns=())
    site.person.call("PATCH", other, {"tags": {"backup": "gold"}})
    group = f"{site.person.group_id(site.group)}/virtualMachines".lower()
    found = await flat(site.ports.disks.search(Scope(url=group)))
    assert {each.url: each.size_bytes for each in found} == {
        site.vm: 2 * 1024**3,
        other: 1024**3,
    }
    tagged = Scope(url=group, tag=Tag(name="backup", value="gold"))
    assert [each.url for each in await flat(site.ports.disks.search(tagged))] == [other]
    everywhere = Scope(url=f"/subscriptions/{site.person.subscription}/virtualmachines")
    assert site.vm in {each.url for each in await flat(site.ports.disks.search(everywhere))}
    disks = await flat(site.ports.disks.search(Scope(url=site.person.group_id(site.group).lower())))
    assert all("/disks/" in each.url for each in disks)


async def test_points_are_kept_in_a_group_of_their_own(storage: RunningStorage, site: Site) -> None:
    site.person.make_group(kept := f"{site.group}-points")
    endpoint = site.person.endpoint
    async with managed_world(storage, endpoint, snapshot_group=kept, group=site.group) as (
        world,
        _,
    ):
        ports = world.ports
        point = await patiently(lambda: ports.machines.take_point(site.vm, JOB, Consistency.CRASH))
        assert f"/resourcegroups/{kept}/" in point.id
        assert [each.id for each in await ports.disks.snapshots(site.vm)] == [point.id]
        await ports.machines.delete_point(point.id)


async def test_a_machine_is_not_read_whole(site: Site) -> None:
    with pytest.raises(Invalid, match="disk by disk"):
        await site.ports.disks.take_snapshot(site.vm, JOB)
    with pytest.raises(Invalid, match="disk by disk"):
        await flat(site.ports.disks.allocated(site.vm))
