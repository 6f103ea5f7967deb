"""A restored disk in the place of the original, where that cannot be overwritten: a managed disk's
bytes are written once, so a new one is filled and its machine has that from then on."""

from collections.abc import Iterable
from dataclasses import replace

from shared.decide.decision import Decision
from shared.decide.restore_disks import NAME_CHARACTERS
from shared.model.arm_ids import disk_id
from shared.model.disk import Snapshot
from shared.model.errors import Invalid, TargetBusy
from shared.model.ids import DiskUrl, JobId, digest
from shared.model.item import Item, Seed
from shared.model.ledger import Versioned, update
from shared.model.machine import Machine, MachineDisk, Power
from shared.model.point import Point
from shared.model.restore import RestoreDisk, RestoreWork


def disk_work(work: RestoreWork, machine: Machine, job: JobId) -> RestoreWork:
    """The work, of a managed disk's point to the original, with the disk that comes in its place
    on the machine that has it. Raises `Invalid` where the machine has it no more."""
    place = place_of(machine, work.target)
    url = _beside(work.target, job)
    disk = RestoreDisk(
        url=url,
        seat=0,
        size_bytes=work.source.size_bytes,
        lun=place.lun,
        name=disk_id(url).name,
        traits=work.source.traits,
        replaces=work.target,
    )
    start = machine.power in (Power.RUNNING, Power.CHANGING)
    return replace(work, disks=(disk,), machine=machine.url, start=start)


def _beside(disk: DiskUrl, job: JobId) -> DiskUrl:
    """A name for the new disk, which tells what made it; the same however often it is asked."""
    old, mark = disk_id(disk), digest(job)
    stem = old.name[: NAME_CHARACTERS - len(mark) - 1]
    return replace(old, name=f"{stem}-{mark}").url


def place_of(machine: Machine, disk: DiskUrl) -> MachineDisk:
    """Where the machine has the disk. Raises `Invalid`."""
    for each in machine.disks:
        if each.disk == disk:
            return each
    raise unattached(disk)


def unattached(disk: DiskUrl) -> Invalid:
    """Why a disk that no machine has is not restored in place."""
    return Invalid(
        f"{disk} is attached to no virtual machine, and a managed disk cannot be overwritten",
        code="TargetInUse",
        action="Restore to a new disk: `--to` its id. Use that instead of the old one.",
    )


def check_alone(machine: DiskUrl, others: Iterable[RestoreWork]) -> None:
    """Raises `TargetBusy` where another restore is to give the machine other disks: it would find
    it switched off, or on again."""
    if any(each.original and each.machine == machine for each in others):
        raise TargetBusy(
            f"another restore in place is under way: {machine} is to get its disks",
            action="Wait until that has ended, or cancel it.",
        )


def is_in_place(machine: Machine, disks: tuple[MachineDisk, ...]) -> bool:
    """Whether the machine has all of the disks where they are to be."""
    has = {each.lun: each.disk for each in machine.disks}
    return all(has.get(each.lun) == each.disk for each in disks)


def go_on(row: Versioned[Item], point: Point | None, restored: Snapshot) -> Decision[None]:
    """The item protects the restored disk from now on, which held exactly the point when that
    snapshot was taken of it: the next backup is an increment from there (invariant 18)."""
    item = row.record
    if item.source == restored.disk:
        return Decision(None)
    moved = replace(item, source=restored.disk, former=(*item.former, item.source), streams="")
    return Decision(None, (update(row, _based(moved, point, restored)),))


def _based(item: Item, point: Point | None, restored: Snapshot) -> Item:
    """Where the replica still is as the point, nothing at all is to be copied; where it has gone
    on, it becomes the point again inside the vault. Without a copy there, the next is in full."""
    if point is None or point.replica is None:
        return replace(item, seed=None)
    if item.base and item.base.point == point.id:
        base = replace(item.base, source=restored)
        return replace(item, base=base, seed=None)
    return replace(item, seed=Seed(point=point.id, source=restored, vault_copy=point.replica))
