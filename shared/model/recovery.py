"""What Azure's own vaults (Recovery Services) say of machines, jobs and points, in our words.

There Azure takes the snapshots and moves the bytes; our items, jobs and points mirror its. So each
of them names the other: `mirrors` is the id of Azure's.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.errors import ErrorDetail
from shared.model.ids import DiskUrl
from shared.model.job import Status, SubTask
from shared.model.machine import Consistency
from shared.model.point import Tier


@dataclass(frozen=True, kw_only=True)
class VaultOperation:
    """Work that the vault was asked for. `job` is the id of its job, once that is known: never to
    be derived from the operation's."""

    status: Status
    job: str = ""
    error: ErrorDetail | None = None


@dataclass(frozen=True, kw_only=True)
class VaultJob:
    """A job of the vault. Sub-tasks have our names and states; `started_at` is Azure's."""

    id: str
    operation: str
    """As Azure calls it: Backup, Restore, ConfigureBackup, DisableBackup, DeleteBackupData, …"""
    machine: DiskUrl
    """The machine's id, in lower case; empty where the vault does not tell."""
    status: Status
    sub_tasks: tuple[SubTask, ...] = ()
    started_at: datetime
    ended_at: datetime | None = None
    percent: float | None = None
    backup_bytes: int = 0
    error: ErrorDetail | None = None


@dataclass(frozen=True, kw_only=True)
class VaultPoint:
    """A recovery point in the vault, by its name there. Tiers that have expired are left out."""

    name: str
    taken_at: datetime
    consistency: Consistency
    tiers: tuple[Tier, ...]
    expires_at: datetime | None = None


class VaultItemState(StrEnum):
    INITIAL_BACKUP_PENDING = "IRPending"
    PROTECTED = "Protected"
    STOPPED = "ProtectionStopped"
    OTHER = "Other"


@dataclass(frozen=True, kw_only=True)
class VaultItem:
    """A protected machine. `deleted` where its data is softly deleted; `kept_seconds` is how long
    it can then be had back. `policy` is empty while its protection is stopped."""

    id: str
    machine: DiskUrl
    state: VaultItemState
    policy: str = ""
    healthy: bool = True
    health: str = ""
    deleted: bool = False
    kept_seconds: float | None = None
    last_backup_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class VaultRestore:
    """What to restore, and where to. `staging_account` is the id of the storage account that every
    restore needs; `group` the resource group of restored disks; the rest is a new machine's."""

    point: str
    kind: str
    """`disks`, `alternate` or `original`."""
    machine: DiskUrl
    staging_account: str
    group: str = ""
    new_machine: DiskUrl | None = None
    subnet: str = ""
