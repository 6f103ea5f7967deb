"""The demo's virtual machines: disks with real file systems, in the laptop's Azure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.demo.checks import examine
from cli.demo.filesystem import FileSystems
from cli.demo.image import survey
from cli.demo.proof import Seen
from cli.demo.source import SourceDisk, build, first_state, next_state
from local.arm.people import Inside, Person, Span
from shared.model.machine import OS_LUN
from shared.model.ranges import Change, ChangedRange

GIB = 1024**3
GROUP = "production"

Disks = Mapping[int, SourceDisk]
"""What a machine's disks hold, by LUN; `OS_LUN` is the operating system's."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine in Azure, and what its disks hold."""

    id: str
    name: str
    disks: Disks


def build_disks(folder: Path, tools: FileSystems, sizes_mib: Sequence[int]) -> Disks:
    """The images of a machine's disks: each a GiB, with a file system of so many MiB in its
    beginning. The first is the operating system's. Raises `ToolFailed`."""
    return {
        number + OS_LUN: _roomy(build(folder / str(number), tools, size))
        for number, size in enumerate(sizes_mib)
    }


def _roomy(disk: SourceDisk) -> SourceDisk:
    """Azure has no disk below a GiB."""
    with disk.image.open("r+b") as file:
        file.truncate(GIB)
    return replace(disk, state=survey(disk.image))


def make_machine(person: Person, name: str, disks: Disks, subnet: str) -> Machine:
    """Makes the disks, writes what they hold, and the machine that has them."""
    ids = {lun: _make_disk(person, name, lun) for lun in disks}
    written = {}
    for lun, disk in disks.items():
        written[lun], changes = first_state(disk)
        _write(person.inside(ids[lun]), disk.image, changes)
    interface = person.make_interface(GROUP, f"{name}-nic", subnet)
    data = {lun: id_ for lun, id_ in ids.items() if lun != OS_LUN}
    id_ = person.make_machine(GROUP, name, ids[OS_LUN], data, interface)
    return Machine(id=id_, name=name, disks=written)


def change_machine(person: Person, machine: Machine) -> Machine:
    """The next round of edits on every disk of the machine."""
    changed, ids = {}, disk_ids(person, machine.id)
    for lun, disk in machine.disks.items():
        changed[lun], changes = next_state(disk)
        _write(person.inside(ids[lun]), disk.image, changes)
    return replace(machine, disks=changed)


def disk_ids(person: Person, machine: str) -> dict[int, str]:
    """The ids of the disks that a machine has, by LUN."""
    return {OS_LUN if lun is None else lun: disk for lun, disk in person.disks_of(machine).items()}


def look_into(
    person: Person, disk: str, tools: FileSystems, image: Path, expected: SourceDisk
) -> Seen:
    """What a disk in Azure holds, compared with what was expected of it."""
    person.inside(disk).save(image)
    return examine(tools, image, expected.contents)


def _make_disk(person: Person, machine: str, lun: int) -> str:
    if lun == OS_LUN:
        return person.make_disk(GROUP, f"{machine}-os", os_type="Linux")
    return person.make_disk(GROUP, f"{machine}-data-{lun}")


def _write(inside: Inside, image: Path, changes: Sequence[ChangedRange]) -> None:
    inside.write(image, _spans(changes, Change.WRITTEN))
    inside.clear(_spans(changes, Change.CLEARED))


def _spans(changes: Sequence[ChangedRange], change: Change) -> Iterator[Span]:
    return ((each.range.start, each.range.end) for each in changes if each.change is change)
