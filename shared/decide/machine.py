"""How a machine is backed up: what its restore point may promise, and where its disks lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

from shared.decide.decision import Decision
from shared.decide.vm_sizes import TORN, may_be_torn
from shared.model.disk import Member, Snapshot
from shared.model.ids import DiskUrl
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Versioned, update
from shared.model.machine import (
    Consistency,
    Luns,
    Machine,
    MachineDisk,
    Os,
    PointDisk,
    Power,
    RestorePoint,
)

FAILURES = 3
"""After so many attempts that the guest failed, its backup goes without it."""
OLDEST_WINDOWS_AGENT = (2, 6, 1198, 718)
"""Older ones cannot take part in a consistent restore point (Azure's prerequisites)."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is asked of a machine's restore point; `reason` says why that is less than wanted, and
    is empty where it is not."""

    consistency: Consistency
    reason: str = ""


def choose_consistency(wanted: Consistency, machine: Machine, failures: int) -> Choice:
    """The best that the machine can give, of what is wanted, after so many failures of its guest
    in this backup. Who wants less than the guest gives by itself gets what the guest gives."""
    if wanted is Consistency.CRASH:
        return crash(machine)
    if obstacle := _obstacle(machine, failures):
        return crash(machine, obstacle)
    if machine.os is Os.WINDOWS:
        return Choice(consistency=Consistency.APPLICATION)
    reason = (
        "on Linux its file systems take part, not its programs"
        if wanted is Consistency.APPLICATION
        else ""
    )
    return Choice(consistency=Consistency.FILE_SYSTEM, reason=reason)


def crash(machine: Machine, why: str = "") -> Choice:
    """What is taken without the guest, because of `why`; it says where that is not even one
    moment."""
    torn = TORN if may_be_torn(machine) else ""
    return Choice(consistency=Consistency.CRASH, reason="; ".join(filter(None, (why, torn))))


def _obstacle(machine: Machine, failures: int) -> str:
    """Why the guest takes no part; empty where it can."""
    agent = machine.agent
    if machine.power is Power.CHANGING:
        return "the machine was just being switched on or off"
    if machine.power is not Power.RUNNING:
        return "the machine was off"
    if failures >= FAILURES:
        return f"its guest had failed {failures} times in this backup"
    if not agent.ready:
        return f"its guest agent did not answer{f': {agent.message}' if agent.message else ''}"
    if machine.os is Os.WINDOWS and older(agent.version, OLDEST_WINDOWS_AGENT):
        least = ".".join(map(str, OLDEST_WINDOWS_AGENT))
        return f"its guest agent {agent.version} is too old: {least} or later can take part"
    return ""


def older(version: str, least: tuple[int, ...]) -> bool:
    """By number, not by letter; a version that is not told is not taken for an old one."""
    parts = version.strip().split(".")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        return False
    return tuple(map(int, parts)) < least


def promised(job: Job, taken: RestorePoint) -> Job:
    """The job with what its point promises. Where the service took another one than was asked
    for, that is what it is."""
    if taken.consistency is job.consistency:
        return job
    reason = f"the service took it so, asked for {job.consistency or 'the best'}"
    return replace(job, consistency=taken.consistency, consistency_reason=reason)


def ask(job: Versioned[Job], choice: Choice, now: datetime) -> Decision[None]:
    """What is to be asked for is noted before it is: whoever repeats asks for the same."""
    asked = replace(_asking(job.record, choice), progressed_at=now)
    return Decision(None, (update(job, asked),))


def _asking(job: Job, choice: Choice) -> Job:
    return replace(job, consistency=choice.consistency, consistency_reason=choice.reason)


def guest_failed(job: Versioned[Job], now: datetime) -> Decision[None]:
    """Another attempt has failed; the next chooses anew."""
    failed = replace(
        job.record,
        consistency=None,
        consistency_reason="",
        guest_failures=job.record.guest_failures + 1,
        progressed_at=now,
    )
    return Decision(None, (update(job, failed),))


def left_out(machine: Machine, luns: Luns | None) -> list[DiskUrl]:
    """The disks that are not backed up."""
    return [each.disk for each in machine.disks if luns is not None and not luns.has(each.lun)]


def seated(
    item: Versioned[Item], job: Versioned[Job], taken: RestorePoint, choice: Choice | None = None
) -> tuple[Versioned[Item], Versioned[Job], Snapshot]:
    """The rows as they are to be written with the snapshot, and that snapshot. `choice` is what
    was asked for, where the job has not noted it."""
    its, snapshot = seat(item.record, taken)
    kept = promised(_asking(job.record, choice) if choice else job.record, taken)
    return replace(item, record=its), replace(job, record=kept), snapshot


def seat(item: Item, taken: RestorePoint) -> tuple[Item, Snapshot]:
    """The restore point as one image, and the item with a seat for each of its disks: the one
    that the disk has had before, or the next, the system's disk first. A seat is its disk's as
    long as the item lives: what is attached again lies where it lay."""
    seated = _with_seats(item, taken.disks)
    members = [_member(seated.seats, disk) for disk in taken.disks]
    return seated, Snapshot(
        disk=taken.machine,
        id=taken.id,
        taken_at=taken.taken_at,
        size_bytes=sum(disk.snapshot.size_bytes for disk in taken.disks),
        chain=f"{taken.machine}#{taken.vm_id}",
        tag=taken.tag,
        members=tuple(sorted(members, key=attrgetter("seat"))),
        blueprint=taken.blueprint,
    )


def _with_seats(item: Item, disks: Iterable[PointDisk]) -> Item:
    seats = list(item.seats)
    for disk in sorted(disks, key=attrgetter("lun")):
        if disk.snapshot.chain not in seats:
            seats.append(disk.snapshot.chain)
    return replace(item, seats=tuple(seats))


def _member(seats: Sequence[str], disk: PointDisk) -> Member:
    return Member(
        seat=seats.index(disk.snapshot.chain),
        lun=disk.lun,
        name=disk.name,
        snapshot=disk.snapshot,
    )


def disk_of_chain(chain: str) -> DiskUrl:
    """The disk that a seat is for, by its id; nothing of one that was retired."""
    return DiskUrl(chain.rpartition("#")[0])


def at_luns(disks: Iterable[MachineDisk]) -> dict[int, DiskUrl]:
    """The attached disks by LUN."""
    return {each.lun: each.disk for each in disks}
