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


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An immutable state of a disk image.

    `chain` is the identity of the image it was taken of: two snapshots can be diffed only where
    it is the same. `tag` names the job that took it, so that a repeat finds it again.
    """

    disk: DiskUrl
    id: str
    taken_at: datetime
    size_bytes: int
    chain: str
    tag: str = ""


@dataclass(frozen=True, kw_only=True)
class EpochFence:
    """Writes pass only while the image's sequence number is `epoch` (replicas)."""

    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class LeaseFence:
    """Writes pass only while the image is leased under `lease_id` (restore targets)."""

    lease_id: str


Fence = EpochFence | LeaseFence
