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
    that had not changed is older than the others. `id` is then the newest one's. See
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


@dataclass(frozen=True, kw_only=True)
class EpochFence:
    """Writes pass only while the image's sequence number is `epoch` (replicas)."""

    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class LeaseFence:
    """Writes pass only while the image is leased under `lease_id` (restore targets)."""

    lease_id: str


Fence = EpochFence | LeaseFence
