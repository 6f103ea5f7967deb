"""A transfer: one source snapshot on its way into the replica, in fenced rounds."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.model.disk import Snapshot
from shared.model.errors import ErrorDetail
from shared.model.ids import Epoch, JobId
from shared.model.item import Base
from shared.model.plan import PlanRef
from shared.model.point import Kind
from shared.model.ranges import Span


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
    COMPARE = "compare"
    """Source and replica are read, and what differs is copied."""
    CHECK = "check"
    """The base's two snapshots are read and compared; nothing is written (invariant 30)."""

    @property
    def reads(self) -> bool:
        """Whether its parts read both sides, whatever they write."""
        return self in (Round.COMPARE, Round.CHECK)


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
    epochs: int = 0
    """How many epochs it took."""
    touched: tuple[int, ...] = ()
    """Where the replica's extents begin that any of its rounds writes to."""
    done_hex: str = "0"
    reached: tuple[tuple[int, int], ...] = ()
    """Of parts under way, `(part, operation)`: all of the part's operations before that one are
    done (invariant 27)."""
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
    for_check: bool = False
    """It makes no point: its job compares the base with its source."""
    suspected: tuple[Span, ...] = ()
    """What a COMPARE round goes over: the item's suspicion when it began."""
    found: tuple[Span, ...] = ()
    """Where the rounds that read both sides found them different; coarse where that is many
    places."""
    comparing_bytes: int = 0
    compared_bytes: int = 0
    differing_bytes: int = 0
    warning: ErrorDetail | None = None
    """What its job is to end with, although it succeeds."""
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
        under_way = tuple(each for each in self.reached if each[0] != part)
        return replace(self, done_hex=f"{int(self.done_hex, 16) | 1 << part:x}", reached=under_way)

    def resumes(self, part: int, first: int) -> int:
        """The operation that the part goes on with, which begins with `first`."""
        return max(first, dict(self.reached).get(part, first))

    def with_reached(self, part: int, operation: int) -> "Transfer":
        """The transfer with the part come so far, or farther where it had."""
        reached = dict(self.reached) | {part: self.resumes(part, operation)}
        return replace(self, reached=tuple(sorted(reached.items())))
