"""Which disks a restore of a machine's point makes, and what they are called."""

from dataclasses import replace

import pytest

from shared.decide.machine import seat
from shared.decide.restore_disks import NAME_CHARACTERS, check_target, machine_work
from shared.model.disk import Snapshot, Traits
from shared.model.errors import Invalid
from shared.model.extents import SEAT_BYTES
from shared.model.ids import DiskUrl, JobId, PointId, digest
from shared.model.machine import OS_LUN, Luns, Machine, MachineDisk, Os, Power
from shared.model.messages import RestoreTarget
from shared.model.restore import RestoreWork
from tests.unit.test_machine_decisions import ITEM, LINUX, taken

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/prod"
COMPUTE = f"{GROUP}/providers/microsoft.compute"
VM = DiskUrl(f"{COMPUTE}/virtualmachines/web")
JOB = JobId("web.restore-1")


def work_for(target: RestoreTarget, chains: dict[int, str], machine: Machine | None = None):  # type: ignore[no-untyped-def]
    _, snapshot = seat(ITEM, taken(chains))
    work = RestoreWork(
        point=PointId("web.point-1"),
        source=snapshot,
        target=VM,
        original=target.kind == "original",
        lease_id="",
    )
    return machine_work(work, target, JOB, machine)


def names(work: RestoreWork) -> list[str]:
    return [disk.url.removeprefix(f"{COMPUTE}/disks/") for disk in work.disks]


def test_disks_are_named_as_they_were() -> None:
    target = RestoreTarget(kind="disks", group=GROUP, prefix="r1")
    work = work_for(target, {OS_LUN: "Web_OS", 0: "data"})
    assert names(work) == ["r1-web_os", "r1-data"]
    assert [extent.start for extent in work.image] == [0, SEAT_BYTES]
    assert work.machine is None


def test_disks_of_one_name_are_told_apart_by_their_seats() -> None:
    target = RestoreTarget(kind="disks", group=GROUP, prefix="r1")
    work = work_for(target, {OS_LUN: "d", 0: "D", 1: "e"})
    assert names(work) == ["r1-d-0", "r1-d-1", "r1-e-2"]


def test_a_name_told_apart_is_not_another_ones() -> None:
    target = RestoreTarget(kind="disks", group=GROUP, prefix="r1")
    made = names(work_for(target, {OS_LUN: "d", 0: "D", 1: "d-1"}))
    assert len(set(made)) == len(made)


def test_long_names_that_are_cut_are_told_apart() -> None:
    """Else two disks would be written into one."""
    target = RestoreTarget(kind="alternate", url=f"{COMPUTE}/virtualmachines/{'m' * 64}")
    made = names(
        work_for(target, {OS_LUN: "server1_os", 0: "server1_datadisk_0", 1: "server1_datadisk_1"})
    )
    assert len(set(made)) == len(made)
    assert max(map(len, made)) <= NAME_CHARACTERS


def test_a_name_is_not_cut_where_none_may_end() -> None:
    target = RestoreTarget(kind="alternate", url=f"{COMPUTE}/virtualmachines/{'m' * 64}")
    (name,) = names(work_for(target, {OS_LUN: "web-production-os"}))
    assert name == f"{'m' * 64}-web-production"


def test_long_names_are_cut_where_they_would_be_too_long() -> None:
    target = RestoreTarget(kind="disks", group=GROUP, prefix="r1")
    (name,) = names(work_for(target, {0: "x" * 80}))
    assert (len(name), name[:4]) == (NAME_CHARACTERS, "r1-x")


def test_some_disks_alone() -> None:
    """What is read of the point is theirs alone, too."""
    luns = Luns(numbers=frozenset({OS_LUN}), excluded=True)
    target = RestoreTarget(kind="disks", group=GROUP, prefix="r1", disks=luns)
    work = work_for(target, {OS_LUN: "os", 0: "data"})
    assert names(work) == ["r1-data"]
    assert [extent.start for extent in work.wanted] == [SEAT_BYTES]


def test_in_place_names_what_it_replaces() -> None:
    machine = machine_with({OS_LUN: DiskUrl("old-os")})
    work = work_for(RestoreTarget(kind="original"), {OS_LUN: "os", 0: "data"}, machine)
    assert names(work) == [f"os-{digest(JOB)}", f"data-{digest(JOB)}"]
    assert [disk.replaces for disk in work.disks] == ["old-os", None]
    assert (work.replaced, work.start, work.machine) == (("old-os",), True, VM)


@pytest.mark.parametrize(
    ("then", "now", "places"),
    [
        ({0: "a", 1: "b"}, {0: "a", 1: "b"}, {0: "a", 1: "b"}),
        ({0: "a", 1: "b"}, {0: "b", 1: "a"}, {0: "b", 1: "a"}),
        ({0: "a"}, {5: "a"}, {5: "a"}),
        ({0: "a"}, {5: "a", 0: "c"}, {5: "a"}),
        ({0: "a"}, {0: "c"}, {0: "a"}),
        ({0: "a", 1: "b"}, {1: "a"}, {1: "a", 0: "b"}),
        ({0: "a", 2: "b"}, {2: "a", 0: "c"}, {2: "a", 1: "b"}),
        ({OS_LUN: "a", 0: "b"}, {OS_LUN: "b", 0: "a"}, {OS_LUN: "a", 0: "b"}),
    ],
)
def test_in_place_each_disk_comes_where_the_machine_has_it(
    then: dict[int, str], now: dict[int, str], places: dict[int, str]
) -> None:
    """What it has no more, where it was; no two at one place, the system's disk always first."""
    item, snapshot = seat(ITEM, taken(then))
    work = RestoreWork(point=PointId("p"), source=snapshot, target=VM, original=True, lease_id="")
    machine = machine_with({lun: disk_url(name) for lun, name in now.items()})
    seats = [f"{disk_url(chain)}#1" for chain in item.seats]
    done = machine_work(work, RestoreTarget(kind="original"), JOB, machine, seats)
    of = {member.seat: member.name for member in snapshot.members}
    assert {disk.lun: of[disk.seat] for disk in done.disks} == places


@pytest.mark.parametrize(("sku", "zone"), [("Premium_LRS", "2"), ("StandardSSD_ZRS", "")])
def test_in_place_disks_are_made_where_the_machine_is(sku: str, zone: str) -> None:
    """It may have been made anew elsewhere since, and takes no disk of another zone."""
    item, snapshot = seat(ITEM, taken({OS_LUN: "os"}))
    [member] = snapshot.members
    traits = Traits(sku=sku, region="northeurope", zone="1", os_type="Linux")
    member = replace(member, snapshot=replace(member.snapshot, traits=traits))
    source = replace(snapshot, members=(member,))
    work = RestoreWork(point=PointId("p"), source=source, target=VM, original=True, lease_id="")
    machine = replace(machine_with({}), region="westeurope", zone="2")
    [disk] = machine_work(work, RestoreTarget(kind="original"), JOB, machine, item.seats).disks
    assert disk.traits == replace(traits, region="westeurope", zone=zone)


def machine_with(disks: dict[int, DiskUrl]) -> Machine:
    return Machine(
        url=VM,
        vm_id="1",
        region="",
        os=Os.LINUX,
        power=Power.RUNNING,
        agent=LINUX.agent,
        disks=tuple(MachineDisk(disk=disk, lun=lun) for lun, disk in disks.items()),
    )


def disk_url(name: str) -> DiskUrl:
    return DiskUrl(f"{COMPUTE}/disks/{name}")


def test_another_machine_has_disks_named_for_it() -> None:
    target = RestoreTarget(kind="alternate", url=f"{COMPUTE}/virtualmachines/new", network="net")
    work = work_for(target, {OS_LUN: "os"})
    assert names(work) == ["new-os"]
    assert (work.machine, work.network) == (target.url, "net")


def test_no_machine_is_made_without_the_disk_that_it_starts_from() -> None:
    target = RestoreTarget(kind="alternate", url=f"{COMPUTE}/virtualmachines/new")
    with pytest.raises(Invalid, match="without the system's disk"):
        work_for(target, {0: "data"})


def test_a_point_that_has_none_of_the_disks_asked_for() -> None:
    luns = Luns(numbers=frozenset({7}))
    with pytest.raises(Invalid, match="none of these disks"):
        work_for(RestoreTarget(kind="disks", group=GROUP, prefix="r", disks=luns), {0: "data"})


@pytest.mark.parametrize(
    ("target", "source", "words"),
    [
        (RestoreTarget(kind="alternate", url="https://a/b/c"), VM, "is none"),
        (RestoreTarget(kind="alternate", url=f"{VM}{'x' * 62}"), VM, "at most 64 characters"),
        (RestoreTarget(kind="alternate", url=VM), DiskUrl("https://a/b/c"), "restored to a disk"),
        (RestoreTarget(kind="disks"), DiskUrl("https://a/b/c"), "restored to a disk"),
    ],
)
def test_targets_that_do_not_fit_their_source(
    target: RestoreTarget, source: DiskUrl, words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        check_target(target, source)


def test_the_work_of_a_single_disk_is_that_disk() -> None:
    """As it always was: one image, all of it wanted."""
    _, snapshot = seat(ITEM, taken({0: "data"}))
    alone: Snapshot = snapshot.members[0].snapshot
    work = RestoreWork(
        point=PointId("p"), source=alone, target=DiskUrl("t"), original=True, lease_id=""
    )
    assert work.overwrites
    assert [(each.url, each.start, each.size_bytes) for each in work.image] == [("t", 0, 512)]
    assert [each.size_bytes for each in work.wanted] == [512]
