"""The protected item: the row that every decision about one disk starts from."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.expiry import Expiry
from shared.model.extents import NO_LAYOUT, Image, Layout, replica_image
from shared.model.ids import NO_EPOCH, DiskUrl, Epoch, ItemId, JobId, PointId, PolicyName, VaultName
from shared.model.image_size import LARGEST_IMAGE_BYTES
from shared.model.machine import Luns
from shared.model.ranges import Span


class ProtectionState(StrEnum):
    REGISTERED = "Registered"
    """Known, but under no policy yet: of disks alone, never of an item."""
    INITIAL_BACKUP_PENDING = "InitialBackupPending"
    PROTECTED = "Protected"
    PROTECTION_STOPPED = "ProtectionStopped"


RETIRED = ""
"""In the place of a disk's chain: what was kept of it is gone. Should it come back, it gets another
seat."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What an increment is computed against: a committed point and the two snapshots behind it.

    `source` is the source's state at that point, `replica` the replica's: equal byte for byte.
    `epoch` is the one that it was sealed in: who wrote to the replica since had a later one.
    """

    point: PointId
    source: Snapshot
    replica: Snapshot
    epoch: Epoch = NO_EPOCH


@dataclass(frozen=True, kw_only=True)
class Seed:
    """Where a restored disk's protection goes on from, instead of from a full copy.

    The disk held exactly `vault_copy` (a point in the vault) when `source` was taken of it.
    """

    point: PointId
    source: Snapshot
    vault_copy: Snapshot


@dataclass(frozen=True, kw_only=True)
class Item:
    """One protected disk, or one machine with all its disks. `snapshotting` and `transferring` name
    the jobs that hold the item's single place for each (invariant 5); `queued` are the backups that
    wait for the first of the two, oldest first; `restoring` and `checks` are its restores and
    checks under way; `epoch` is the highest one ever taken (invariant 3)."""

    id: ItemId
    source: DiskUrl
    policy: PolicyName
    vault: VaultName
    replica: DiskUrl
    extent_bytes: int = LARGEST_IMAGE_BYTES
    """How much of the disk each page blob of the replica holds."""
    replica_layout: Layout = NO_LAYOUT
    """The largest that the replica was ever brought to, or is about to be."""
    seats: tuple[str, ...] = ()
    """Of a machine: the chain of the disk that each seat is for, by its number. None is ever given
    away again; one that was cleared is `RETIRED`."""
    luns: Luns | None = None
    """Of a machine: which of its disks are backed up; all where nothing is said."""
    state: ProtectionState
    protected_at: datetime
    first_slot: datetime
    delete_data: bool = False
    """Its points and its replica are being deleted."""
    delete_after: datetime | None = None
    """Soft-deleted: until then it can be had back, from then on `delete_data` is due."""
    epoch: Epoch = NO_EPOCH
    snapshotting: JobId | None = None
    transferring: JobId | None = None
    queued: tuple[JobId, ...] = ()
    restoring: tuple[JobId, ...] = ()
    checks: tuple[JobId, ...] = ()
    checked_at: datetime | None = None
    """When a check last came to its end."""
    suspect: tuple[Span, ...] = ()
    """Where the replica may be wrong although no listing says so. The next commit compares it
    with its source there first (invariant 31)."""
    mirrors: str = ""
    """The id of Azure's protected item that it mirrors, where its vault is a Recovery Services
    vault: then `replica`, `base` and the place for a transfer mean nothing."""
    following: tuple[JobId, ...] = ()
    """Of a mirrored item: the changes of its protection that the vault has not ended."""
    mirrored_at: datetime | None = None
    """When what the vault says of it was last taken over."""
    seen_until: datetime | None = None
    """We know of all backups of it that the vault began until then, by the vault's clock."""
    health: str = ""
    """What the vault finds wrong with it; empty where nothing is."""
    base: Base | None = None
    seed: Seed | None = None
    former: tuple[DiskUrl, ...] = ()
    """The disks that it protected before a restored one came in their place: points may still have
    snapshots of them."""
    streams: str = ""
    """The chain of the source that the storage service would not read itself: its bytes go
    through the workers, until it is replaced."""
    last_point_at: datetime | None = None
    expiry_due: bool = False
    """A retention run has been asked for and has not ended yet."""
    expiry: Expiry = field(default_factory=Expiry)

    @property
    def at_work(self) -> bool:
        """Whether some backup, restore or check of it has not ended."""
        return bool(self.jobs_at_work)

    @property
    def jobs_at_work(self) -> set[JobId]:
        """Its backups, restores and checks that have not ended."""
        places = {self.snapshotting, self.transferring}
        every = places.union(self.queued, self.restoring, self.checks, self.following)
        return {job for job in every if job is not None}

    @property
    def largest_replica(self) -> Image:
        """Every page blob that the replica may consist of."""
        return self.replica_of(self.replica_layout)

    def replica_of(self, layout: Layout) -> Image:
        """The page blobs of the replica while the disks have those sizes."""
        return replica_image(self.replica, self.extent_bytes, layout)

    def without(self, job: JobId) -> "Item":
        """The item with every place that the job holds given up."""
        return replace(
            self,
            snapshotting=None if self.snapshotting == job else self.snapshotting,
            transferring=None if self.transferring == job else self.transferring,
            queued=tuple(each for each in self.queued if each != job),
            restoring=tuple(each for each in self.restoring if each != job),
            checks=tuple(each for each in self.checks if each != job),
            following=tuple(each for each in self.following if each != job),
        )
