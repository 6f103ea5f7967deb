"""The protected item: the row that every decision about one disk starts from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.expiry import Expiry
from shared.model.ids import NO_EPOCH, DiskUrl, Epoch, ItemId, JobId, PointId, PolicyName, VaultName


class ProtectionState(StrEnum):
    INITIAL_BACKUP_PENDING = "InitialBackupPending"
    PROTECTED = "Protected"
    PROTECTION_STOPPED = "ProtectionStopped"


@dataclass(frozen=True, kw_only=True)
class Base:
    """What an increment is computed against: a committed point and the two snapshots behind it.

    `source` is the source's state at that point, `replica` the replica's: equal byte for byte.
    """

    point: PointId
    source: Snapshot
    replica: Snapshot


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
    """One protected disk. `snapshotting` and `transferring` name the jobs that hold the item's
    single place for each (invariant 5); `epoch` is the highest one ever taken (invariant 3)."""

    id: ItemId
    source: DiskUrl
    policy: PolicyName
    vault: VaultName
    replica: DiskUrl
    state: ProtectionState
    protected_at: datetime
    first_slot: datetime
    delete_data: bool = False
    epoch: Epoch = NO_EPOCH
    snapshotting: JobId | None = None
    transferring: JobId | None = None
    base: Base | None = None
    seed: Seed | None = None
    last_point_at: datetime | None = None
    expiry_due: bool = False
    """A retention run has been asked for and has not ended yet."""
    expiry: Expiry = Expiry()
