"""Recovery points: restorable states. A point exists exactly when its record does (invariant 1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.ids import ItemId, JobId, PointId
from shared.model.machine import Consistency


class Kind(StrEnum):
    FULL = "full"
    INCREMENTAL = "incremental"


class Tier(StrEnum):
    SNAPSHOT = "snapshot"
    VAULT = "vault"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a point is kept, and until when; `until` None means as long as the reason stands."""

    rule: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Somebody wants the point kept, whatever its policy says, until they release it."""

    since: datetime
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The commit record of one backup.

    `source` is the snapshot tier (None once released), `replica` the vault tier (None where the
    transfer was skipped or failed). `expiring` says why a planned removal is under way: from
    then on the point cannot be restored. `pins` are the restore jobs that read it now.
    """

    id: PointId
    item_id: ItemId
    job_id: JobId
    created_at: datetime
    kind: Kind
    kind_reason: str = ""
    source: Snapshot | None
    replica: Snapshot | None
    mirrors: str = ""
    """The name of Azure's recovery point that it mirrors; it has neither snapshot then."""
    mirrored_tiers: tuple[Tier, ...] = ()
    consistency: Consistency | None = None
    """What a machine's point promises; None for a disk's, which is one moment of it."""
    consistency_reason: str = ""
    """Why it promises less than was wanted."""
    manifest: str = ""
    """What the URLs of its manifest begin with: the checksums of what was written into the
    replica for it (`shared.model.manifest`)."""
    size_bytes: int
    changed_bytes: int = 0
    copied_bytes: int = 0
    cleared_bytes: int = 0
    worker_bytes: int = 0
    repaired_bytes: int = 0
    suspect: str = ""
    """Why its copy in the vault is not to be trusted; empty where nothing speaks against it."""
    healed: str = ""
    """What a check put right in its copy in the vault, and when."""
    requests: int = 0
    seconds: float = 0.0
    retain_until: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    expires_at: datetime | None = None
    pins: tuple[JobId, ...] = ()
    hold: Hold | None = None
    expiring: str = ""

    @property
    def tiers(self) -> tuple[Tier, ...]:
        held = ((Tier.SNAPSHOT, self.source), (Tier.VAULT, self.replica))
        ours = tuple(tier for tier, snapshot in held if snapshot is not None)
        return ours or self.mirrored_tiers

    @property
    def readable(self) -> Snapshot | None:
        """What to read it from: its copy in the vault, unless that is suspect and not the only
        one."""
        if self.suspect and self.source is not None:
            return self.source
        return self.replica or self.source

    @property
    def sound(self) -> bool:
        """Whether what is read of it can be trusted."""
        return not self.suspect or self.source is not None
