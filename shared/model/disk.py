"""Disk images as the pipeline sees them: sources, their snapshots, replicas, and fences."""

from dataclasses import dataclass
from datetime import datetime

from shared.model.ids import DiskUrl, Epoch


@dataclass(frozen=True, kw_only=True)
class DiskState:
    """A disk image as it stands: `chain` changes when the image is replaced under its name."""

    url: DiskUrl
    size_bytes: int
    chain: str
    etag: str
    tag: str = ""
    """Who made the image, where we did: a replica's item, or the restore job of a new disk."""
    region: str = ""
    """Where it lies, as Azure writes it; empty where nobody tells."""
    attached_to: DiskUrl | None = None
    """The machine that has it, where one has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a managed disk is besides its bytes, as a new one in its place has to be told."""

    sku: str = ""
    region: str = ""
    zone: str = ""
    """Means something in its region only."""
    os_type: str = ""
    """`Linux` or `Windows` of a disk that a machine starts from."""
    generation: str = ""
    """`V1` or `V2`, of the same."""


NO_TRAITS = Traits()


@dataclass(frozen=True, slots=True)
class ExtentSnapshot:
    """The snapshot of one extent of a replica."""

    id: str
    chain: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An immutable state of a disk image.

    `chain` is the identity of the image it was taken of: two snapshots can be diffed only where
    it is the same. `tag` names the job that took it, so that a repeat finds it again.

    Of a replica in several page blobs, `extents` are the snapshots of each, in disk order; one
    that had not changed is older than the others. `id` is then the newest one's. Of a machine,
    `members` are its disks' snapshots, and `size_bytes` is that of all together. See
    `shared.model.extents`.
    """

    disk: DiskUrl
    id: str
    taken_at: datetime
    size_bytes: int
    chain: str
    tag: str = ""
    extents: tuple[ExtentSnapshot, ...] = ()
    extent_bytes: int = 0
    traits: Traits = NO_TRAITS
    members: "tuple[Member, ...]" = ()
    blueprint: str = ""
    """Of a machine: what a new one needs to be like it, as JSON (`shared.model.machine`)."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One disk of a machine's snapshot. `seat` says which stretch of the image it is, `lun` where
    the machine has it (`OS_LUN`: the operating system's)."""

    seat: int
    lun: int
    name: str
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class EpochFence:
    """Writes pass only while the image's sequence number is `epoch` (replicas)."""

    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class LeaseFence:
    """Writes pass only while the image is leased under `lease_id` (restore targets)."""

    lease_id: str


Fence = EpochFence | LeaseFence
