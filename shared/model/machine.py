"""Virtual machines: what they say of themselves, and the restore points that are taken of them.

A machine is one protected item, and its restore point one moment of all its disks. To the pipeline
that moment is one image: each disk has a *seat*, a stretch of the image that is its own as long as
the item lives. See `shared.model.extents`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl

OS_LUN = -1
"""Where the operating system's disk stands among the numbers of the data disks."""


class Consistency(StrEnum):
    """What a restore point promises of what it holds; the best first."""

    APPLICATION = "application"
    """Programs had written what they held (Windows, by its volume shadow copies)."""
    FILE_SYSTEM = "file-system"
    """The file systems had written what they held (Linux, by its agent)."""
    CRASH = "crash"
    """As after a power cut: all disks of one moment."""


class Power(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    """Off, its hardware kept."""
    DEALLOCATED = "deallocated"
    CHANGING = "changing"


class Os(StrEnum):
    LINUX = "Linux"
    WINDOWS = "Windows"


@dataclass(frozen=True, kw_only=True)
class Luns:
    """A choice of a machine's disks by LUN: these alone, or all but these."""

    numbers: frozenset[int]
    excluded: bool = False

    def has(self, lun: int) -> bool:
        return (lun in self.numbers) is not self.excluded


@dataclass(frozen=True, kw_only=True)
class Agent:
    """The guest agent as Azure sees it; `version` is empty where it is not known."""

    ready: bool
    version: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class MachineDisk:
    """A disk that is attached. `lun` is `OS_LUN` for the operating system's."""

    disk: DiskUrl
    lun: int
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual machine as it stands. `vm_id` changes when it is replaced under its name."""

    url: DiskUrl
    vm_id: str
    region: str
    os: Os
    power: Power
    agent: Agent
    disks: tuple[MachineDisk, ...]
    size: str = ""
    zone: str = ""


@dataclass(frozen=True, kw_only=True)
class PointDisk:
    """One disk of a restore point. `snapshot.disk` is the managed disk, `snapshot.id` the disk
    restore point, `snapshot.chain` the disk's id with its unique id, `snapshot.traits` what the
    disk is."""

    lun: int
    name: str
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class RestorePoint:
    """One moment of a machine. `id` is its resource id; `blueprint` a JSON object of what a new
    machine needs to be like the old one (size, system, region, network interfaces, caching)."""

    machine: DiskUrl
    vm_id: str
    id: str
    tag: str
    taken_at: datetime
    consistency: Consistency
    disks: tuple[PointDisk, ...]
    blueprint: str = ""


@dataclass(frozen=True, kw_only=True)
class NewMachine:
    """A machine to be made of restored disks: `disks` by LUN, like `blueprint`. `network` is the id
    of a subnet, in which it gets an interface of its own, or of a free interface; empty: as the
    blueprint's machine, where its interface is free."""

    url: DiskUrl
    blueprint: str
    disks: tuple[MachineDisk, ...]
    network: str = ""
