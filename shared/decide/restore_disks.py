"""Which disks a restore makes of a machine's point, and what they are called."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from shared.decide.machine import at_luns, disk_of_chain
from shared.model.arm_ids import ArmId, ArmScope, disk_id, is_machine_id, machine_id
from shared.model.disk import Member, Traits
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl, JobId, digest
from shared.model.machine import OS_LUN, Machine, Power
from shared.model.messages import RestoreTarget
from shared.model.restore import RestoreDisk, RestoreWork

NAME_CHARACTERS = 80
"""Of a managed disk's name, at most."""
MACHINE_CHARACTERS = 64
"""Of a machine's."""


def check_target(target: RestoreTarget, source: DiskUrl) -> None:
    """Raises `Invalid` for a target that such a source cannot be restored to."""
    machine = is_machine_id(source)
    if machine and target.kind == "alternate" and not is_machine_id(target.url):
        raise Invalid(
            f"{source} is a virtual machine; {target.url} is none",
            action="Restore to a new machine's id, or its disks alone: `--to disks`.",
        )
    if machine and target.kind == "alternate":
        _check_name(machine_id(target.url).name)
    if not machine and (target.kind == "disks" or is_machine_id(target.url)):
        raise Invalid(
            f"{source} is a disk: it is restored to a disk",
            action="Give the new disk's URL or id.",
        )


def _check_name(machine: str) -> None:
    """Else Azure refuses it, once everything is copied."""
    if len(machine) > MACHINE_CHARACTERS:
        raise Invalid(
            f"a machine's name has at most {MACHINE_CHARACTERS} characters: {machine}",
            action="Give it a shorter one.",
        )


def machine_work(
    work: RestoreWork,
    target: RestoreTarget,
    job: JobId,
    machine: Machine | None,
    seats: Sequence[str] = (),
) -> RestoreWork:
    """The work, of a machine's point, with what it makes. `machine` is the original as it
    stands, where it is restored in place, `seats` the item's. Raises `Invalid`."""
    members = _chosen(work.source.members, target)
    match target.kind:
        case "disks":
            disks = _made(members, target.group, f"{target.prefix}-", "")
            return replace(work, disks=disks, target=DiskUrl(target.group))
        case "alternate":
            _check_starts(members)
            new = machine_id(target.url)
            disks = _made(members, _group_of(new), f"{new.name}-", "")
            return replace(work, disks=disks, machine=new.url, network=target.network)
        case "original":
            assert machine is not None
            return _in_place(work, members, job, machine, seats)


def _in_place(
    work: RestoreWork, members: Sequence[Member], job: JobId, machine: Machine, seats: Sequence[str]
) -> RestoreWork:
    """New disks beside the old ones, of which the names tell what made them."""
    now, places = at_luns(machine.disks), _places(members, machine, seats)
    made = _made(members, _group_of(machine_id(machine.url)), "", f"-{digest(job)}")
    disks = tuple(
        replace(
            disk,
            lun=places[disk.seat],
            replaces=now.get(places[disk.seat]),
            traits=_beside(machine, disk.traits),
        )
        for disk in made
    )
    start = machine.power in (Power.RUNNING, Power.CHANGING)
    return replace(work, disks=disks, machine=machine.url, start=start)


def _beside(machine: Machine, traits: Traits) -> Traits:
    """Where the machine can have the disk, wherever the one lay that it is a copy of: in its
    region, and in its zone, unless it is in several."""
    zone = "" if traits.sku.upper().endswith("_ZRS") else machine.zone
    return replace(traits, region=machine.region, zone=zone)


def _places(members: Sequence[Member], machine: Machine, seats: Sequence[str]) -> dict[int, int]:
    """The LUN that each disk is to have, by its seat: a data disk comes where the machine has what
    it is a copy of, so that it never has both; one that it has no more, where it was, or, where
    another comes there, at a LUN of its own."""
    data = {each.disk: each.lun for each in machine.disks if each.lun != OS_LUN}
    of = dict(enumerate(map(disk_of_chain, seats)))
    places = {
        each.seat: data[of[each.seat]]
        for each in members
        if each.lun != OS_LUN and of.get(each.seat) in data
    }
    for each in members:
        if each.seat not in places:
            taken = {*places.values(), *data.values()}
            free = next(lun for lun in count() if lun not in taken)
            places[each.seat] = free if each.lun in places.values() else each.lun
    return places


def _check_starts(members: Sequence[Member]) -> None:
    """Raises `Invalid` where there is no disk that a machine could start from."""
    if not any(member.lun == OS_LUN for member in members):
        raise Invalid(
            "the point was taken without the system's disk: no machine can be made of it",
            action="Restore its disks alone: `--to disks`.",
        )


def _group_of(id_: ArmId) -> str:
    return str(ArmScope(id_.subscription, id_.group))


def _chosen(members: Sequence[Member], target: RestoreTarget) -> list[Member]:
    luns = target.disks
    chosen = [each for each in members if luns is None or luns.has(each.lun)]
    if not chosen:
        raise Invalid(
            "the point has none of these disks",
            action="`vaultline show POINT` shows which it has.",
        )
    return chosen


def _made(
    members: Sequence[Member], group: str, before: str, behind: str
) -> tuple[RestoreDisk, ...]:
    """One for each, named as it was, as far as there is room; where two would be named the same,
    each with its seat."""
    names = {each.seat: _named(each, before, behind) for each in members}
    if len(set(names.values())) < len(names):
        names = {each.seat: _named(each, before, f"-{each.seat}{behind}") for each in members}
    return tuple(
        RestoreDisk(
            url=disk_id(f"{group}/providers/microsoft.compute/disks/{names[member.seat]}").url,
            seat=member.seat,
            size_bytes=member.snapshot.size_bytes,
            lun=member.lun,
            name=names[member.seat],
            traits=member.snapshot.traits,
        )
        for member in members
    )


def _named(member: Member, before: str, behind: str) -> str:
    """No name ends in what no name may end in."""
    room = NAME_CHARACTERS - len(before) - len(behind)
    return f"{before}{member.name.lower()[:room].rstrip('-.')}{behind}"
