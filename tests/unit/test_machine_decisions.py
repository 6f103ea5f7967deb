"""What a machine's restore point may promise, and the seats of its disks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.machine import FAILURES, choose_consistency, left_out, older, seat
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, PolicyName, VaultName, item_id
from shared.model.item import Item, ProtectionState
from shared.model.machine import (
    OS_LUN,
    Agent,
    Consistency,
    Luns,
    Machine,
    MachineDisk,
    Os,
    PointDisk,
    Power,
    RestorePoint,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
VM = DiskUrl("/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/web")
APPLICATION, FILE_SYSTEM, CRASH = Consistency
WINDOWS = Machine(
    url=VM,
    vm_id="1",
    region="westeurope",
    os=Os.WINDOWS,
    power=Power.RUNNING,
    agent=Agent(ready=True, version="2.6.1198.718"),
    disks=tuple(MachineDisk(disk=DiskUrl(f"disk{lun}"), lun=lun) for lun in (OS_LUN, 0, 1)),
)
LINUX = replace(WINDOWS, os=Os.LINUX, agent=Agent(ready=True, version="2.9.1.1"))


@pytest.mark.parametrize(
    ("wanted", "machine", "failures", "gets", "because"),
    [
        (APPLICATION, WINDOWS, 0, APPLICATION, ""),
        (FILE_SYSTEM, WINDOWS, 0, APPLICATION, ""),
        (CRASH, WINDOWS, 0, CRASH, ""),
        (APPLICATION, LINUX, 0, FILE_SYSTEM, "on Linux its file systems take part"),
        (FILE_SYSTEM, LINUX, 0, FILE_SYSTEM, ""),
        (APPLICATION, replace(LINUX, power=Power.STOPPED), 0, CRASH, "the machine was off"),
        (APPLICATION, replace(LINUX, power=Power.DEALLOCATED), 0, CRASH, "the machine was off"),
        (APPLICATION, replace(LINUX, power=Power.CHANGING), 0, CRASH, "being switched on or off"),
        (CRASH, replace(LINUX, power=Power.STOPPED), 0, CRASH, ""),
        (APPLICATION, replace(LINUX, agent=Agent(ready=False)), 0, CRASH, "did not answer"),
        (
            APPLICATION,
            replace(WINDOWS, agent=Agent(ready=True, version="2.6.1198.717")),
            0,
            CRASH,
            "2.6.1198.717 is too old: 2.6.1198.718 or later",
        ),
        (APPLICATION, replace(WINDOWS, agent=Agent(ready=True)), 0, APPLICATION, ""),
        (APPLICATION, WINDOWS, FAILURES - 1, APPLICATION, ""),
        (APPLICATION, WINDOWS, FAILURES, CRASH, "failed 3 times"),
    ],
)
def test_the_best_that_a_machine_can_give(
    wanted: Consistency, machine: Machine, failures: int, gets: Consistency, because: str
) -> None:
    choice = choose_consistency(wanted, machine, failures)
    assert choice.consistency is gets
    assert because in choice.reason
    assert bool(choice.reason) is bool(because)


@given(st.sampled_from(Consistency), st.sampled_from(Os), st.sampled_from(Power), st.booleans())
def test_less_than_wanted_always_has_a_reason(
    wanted: Consistency, os: Os, power: Power, ready: bool
) -> None:
    machine = replace(LINUX, os=os, power=power, agent=Agent(ready=ready, version="9.9"))
    choice, order = choose_consistency(wanted, machine, 0), list(Consistency)
    less = order.index(choice.consistency) > order.index(wanted)
    assert bool(choice.reason) is less


@pytest.mark.parametrize(
    ("version", "is_older"),
    [
        ("2.6.1198.717", True),
        ("2.6.1198.718", False),
        ("2.6.999.999", True),
        ("2.7.1", False),
        ("10.0", False),
        ("", False),
        ("2.6.x", False),
    ],
)
def test_versions_are_compared_by_number(version: str, is_older: bool) -> None:
    assert older(version, (2, 6, 1198, 718)) is is_older


def test_disks_are_left_out_by_lun() -> None:
    def without(luns: Luns | None) -> list[DiskUrl]:
        return left_out(LINUX, luns)

    assert without(None) == []
    assert without(Luns(numbers=frozenset({OS_LUN, 1}))) == ["disk0"]
    assert without(Luns(numbers=frozenset({OS_LUN, 1}), excluded=True)) == ["disk-1", "disk1"]


def taken(chains: dict[int, str], number: int = 1) -> RestorePoint:
    """A restore point of disks with those chains, by LUN, listed in whatever order."""
    disks = tuple(
        PointDisk(
            lun=lun,
            name=chain,
            snapshot=Snapshot(
                disk=DiskUrl(chain),
                id=f"{chain}-{number}",
                taken_at=NOW,
                size_bytes=512,
                chain=chain,
            ),
        )
        for lun, chain in chains.items()
    )
    return RestorePoint(
        machine=VM,
        vm_id="1",
        id=f"point-{number}",
        tag=f"job-{number}",
        taken_at=NOW,
        consistency=CRASH,
        disks=disks,
        blueprint="{}",
    )


ITEM = Item(
    id=item_id("web"),
    source=VM,
    policy=PolicyName("gold"),
    vault=VaultName("vault"),
    replica=DiskUrl("https://vault/web/1"),
    state=ProtectionState.PROTECTED,
    protected_at=NOW,
    first_slot=NOW,
)


def test_the_systems_disk_gets_the_first_seat() -> None:
    item, snapshot = seat(ITEM, taken({3: "logs", 0: "db", OS_LUN: "os"}))
    assert item.seats == ("os", "db", "logs")
    assert [(member.seat, member.lun) for member in snapshot.members] == [
        (0, OS_LUN),
        (1, 0),
        (2, 3),
    ]
    assert (snapshot.disk, snapshot.id, snapshot.size_bytes) == (VM, "point-1", 3 * 512)
    assert snapshot.blueprint == "{}"


@given(
    st.lists(
        st.dictionaries(
            st.integers(OS_LUN, 5), st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1
        ),
        max_size=8,
    )
)
def test_a_seat_is_its_disks_for_ever(history: list[dict[int, str]]) -> None:
    item = ITEM
    for number, chains in enumerate(history):
        once = {chain: lun for lun, chain in chains.items()}
        chains = {lun: chain for chain, lun in once.items()}
        before = item.seats
        item, snapshot = seat(item, taken(chains, number))
        assert item.seats[: len(before)] == before
        assert len(set(item.seats)) == len(item.seats)
        assert [item.seats[each.seat] for each in snapshot.members] == [
            each.snapshot.chain for each in snapshot.members
        ]
        seats = [member.seat for member in snapshot.members]
        assert seats == sorted(set(seats))
        assert len(seats) == len(chains)
