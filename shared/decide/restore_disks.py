"""Which disks a restore makes of a machine's point, and what they are called."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from shared.decide.machine import at_luns
from shared.model.arm_ids import ArmId, ArmScope, disk_id, is_machine_id, machine_id
from shared.model.disk import Member
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl, JobId, digest
from shared.model.machine import OS_LUN, Machine, Power
from shared.model.messages import RestoreTarget
from shared.model.restore import RestoreDisk, RestoreWork

NAME_CHARACTERS = 80
"""Of a managed disk's name, at most."""


def check_target(target: RestoreTarget, source: DiskUrl) -> None:
    """Raises `Invalid` for a target that such a source cannot be restored to."""
    machine = is_machine_id(source)
    if machine and target.kind == "alternate" and not is_machine_id(target.url):
        raise Invalid(
            f"{source} is a virtual machine; {target.url} is none",
            action="Restore to a new machine's id, or its disks alone: `--to disks`.",
        )
    if not machine and (target.kind == "disks" or is_machine_id(target.url)):
        raise Invalid(
            f"{source} is a disk: it is restored to a disk",
            action="Give the new disk's URL or id.",
        )


def machine_work(
    work: RestoreWork, target: RestoreTarget, job: JobId, machine: Machine | None
) -> RestoreWork:
    """The work, of a machine's point, with what it makes. `machine` is the original as it
    stands, where it is restored in place. Raises `Invalid`."""
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
            return _in_place(work, members, job, machine)


def _in_place(
    work: RestoreWork, members: Sequence[Member], job: JobId, machine: Machine
) -> RestoreWork:
    """New disks beside the old ones, in the machine's region, of which the names tell what made
    them."""
    now = at_luns(machine.disks)
    made = _made(members, _group_of(machine_id(machine.url)), "", f"-{digest(job)}")
    disks = tuple(
        replace(
            disk,
            replaces=now.get(disk.lun),
            traits=replace(disk.traits, region=machine.region),
        )
        for disk in made
    )
    start = machine.power in (Power.RUNNING, Power.CHANGING)
    return replace(work, disks=disks, machine=machine.url, start=start)


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
    """One for each, named as it was; where two were named the same, with their seats."""
    often = Counter(member.name.lower() for member in members)

    def name(member: Member) -> str:
        end = f"-{member.seat}{behind}" if often[member.name.lower()] > 1 else behind
        room = NAME_CHARACTERS - len(before) - len(end)
        return f"{before}{member.name.lower()[:room]}{end}"

    return tuple(
        RestoreDisk(
            url=disk_id(f"{group}/providers/microsoft.compute/disks/{name(member)}").url,
            seat=member.seat,
            size_bytes=member.snapshot.size_bytes,
            lun=member.lun,
            name=name(member),
            traits=member.snapshot.traits,
        )
        for member in members
    )
