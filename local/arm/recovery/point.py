"""Recovery points: what a backup leaves, in which tiers, and until when."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self


class Tier(StrEnum):
    """Whether a point is in a tier: `Deleted` once it has expired there, never removed."""

    VALID = "Valid"
    DELETED = "Deleted"


@dataclass(frozen=True)
class DiskCopy:
    """One disk of a point: its bytes are the hidden blob `vhd`. `lun` is None for the OS disk."""

    name: str
    lun: int | None
    size_bytes: int
    sku: str
    os_type: str | None
    vhd: str


@dataclass(frozen=True)
class Point:
    """A recovery point under `item` (its ARM id).

    `vault_tier` is None until the transfer has ended, and for ever where it failed. `compute_id`
    is the restore point that shows in Compute while the instant tier holds the point. A point that
    is not ready is of a snapshot still being taken: nobody sees it.
    """

    id: str
    item: str
    at: datetime
    consistency: str
    machine: str
    location: str
    size_name: str
    os_type: str
    policy_kind: str
    disks: tuple[DiskCopy, ...]
    compute_id: str
    instant_until: datetime
    expires_at: datetime
    on_demand: bool
    is_ready: bool = False
    instant_tier: Tier = Tier.VALID
    vault_tier: Tier | None = None

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def size_bytes(self) -> int:
        return sum(disk.size_bytes for disk in self.disks)

    @property
    def can_restore(self) -> bool:
        return Tier.VALID in (self.instant_tier, self.vault_tier)

    def ready(self) -> Self:
        return replace(self, is_ready=True)

    def in_vault(self) -> Self:
        return replace(self, vault_tier=Tier.VALID)

    def out_of_instant_tier(self) -> Self:
        return replace(self, instant_tier=Tier.DELETED)
