"""A transfer: one source snapshot on its way into the replica, in fenced rounds."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.ids import Epoch, JobId
from shared.model.item import Base
from shared.model.plan import PlanRef
from shared.model.point import Kind


class Phase(StrEnum):
    """What the transfer waits for."""

    PLANNING = "planning"
    COPYING = "copying"
    COMMITTING = "committing"


class Round(StrEnum):
    """What a round of copying is for. Each has its own plan and its own epoch."""

    SEED = "seed"
    """The vault's own copy of a restored point becomes the new replica's start."""
    COPY = "copy"
    """The changes (or everything) come from the source snapshot."""
    AUDIT = "audit"
    """What the audit before commit found different is put right."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """`done_hex` is the set of finished parts, bit n of the hexadecimal number for part n: a set,
    not a counter, so that a part reported twice counts once (fault 10)."""

    job_id: JobId
    epoch: Epoch
    snapshot: Snapshot
    phase: Phase = Phase.PLANNING
    round: Round = Round.COPY
    rounds: int = 0
    base: Base | None = None
    kind: Kind = Kind.FULL
    kind_reason: str = ""
    refused_bases: tuple[str, ...] = ()
    plan: PlanRef | None = None
    done_hex: str = "0"
    attempt: int = 0
    """How often the parts were sent out; part of their MessageIds, so that a repeat is not taken
    for a duplicate."""
    pushes: int = 0
    """How often the reconciler has moved it on since it last moved by itself."""
    changed_bytes: int = 0
    planned_bytes: int = 0
    copied_bytes: int = 0
    cleared_bytes: int = 0
    seeded_bytes: int = 0
    repaired_bytes: int = 0
    worker_bytes: int = 0
    requests: int = 0
    stream: bool = False
    """The service refused to read the source itself: workers carry the bytes."""
    started_at: datetime
    progressed_at: datetime

    @property
    def complete(self) -> bool:
        """Every part of the current plan is done."""
        return self.plan is not None and int(self.done_hex, 16) == (1 << self.plan.parts) - 1

    def is_done(self, part: int) -> bool:
        return bool(int(self.done_hex, 16) >> part & 1)

    def with_done(self, part: int) -> "Transfer":
        """The transfer with one more part in the set."""
        return replace(self, done_hex=f"{int(self.done_hex, 16) | 1 << part:x}")
