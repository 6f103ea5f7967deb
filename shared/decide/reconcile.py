"""What an item that is not at rest needs, when nothing has moved for too long."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from shared.decide.check import waits
from shared.decide.decision import Decision
from shared.decide.posting import expire_message, snapshot_message, transfer_message
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Versioned, update
from shared.model.messages import Step, TakeSnapshot
from shared.model.pace import Pace
from shared.model.transfer import Phase, Transfer

RESTORE_PATIENCE = 3
"""A restore may stand still for so many times longer than a transfer: its activities repeat what
failed for minutes before they report anything."""


class Need(Enum):
    """What to do about one item."""

    REST = auto()
    """Nothing is under way: its watch may end."""
    WAIT = auto()
    """Work is under way and moves."""
    SNAPSHOT = auto()
    """The job that holds the place for a snapshot, or is the next to get it, has stopped moving."""
    TRANSFER = auto()
    """The transfer, or a check, has stopped moving."""
    VAULT = auto()
    """Nobody looks at a job any more that a Recovery Services vault carries out."""
    RESTORE = auto()
    """The orchestration of a restore hangs, or is not there."""
    EXPIRY = auto()
    """A retention run was asked for and has not ended."""


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """An item, and its work that has not ended."""

    item: Versioned[Item]
    transfer: Versioned[Transfer] | None = None
    snapshot: Versioned[Job] | None = None
    """The backup that takes its snapshot; where none does, the one whose turn it is."""
    restores: tuple[Versioned[Job], ...] = ()
    checks: tuple[Versioned[Transfer], ...] = ()
    mirrored: tuple[Versioned[Job], ...] = ()
    """Of a mirrored item: the jobs that its vault carries out."""

    @property
    def transfers(self) -> tuple[Versioned[Transfer], ...]:
        """The transfer and the checks that could move: one that waits for its turn cannot."""
        checks = (row for row in self.checks if not waits(self.item.record, row.record))
        return (*((self.transfer,) if self.transfer else ()), *checks)


@dataclass(frozen=True)
class Finding:
    """The most urgent need of an item. `job`, or `transfer`, is the one that needs it; with
    `give_up` it was moved on often enough in vain: it fails with the reason."""

    need: Need
    job: Versioned[Job] | None = None
    give_up: bool = False
    transfer: Versioned[Transfer] | None = None


def examine(work: UnderWay, now: datetime, pace: Pace) -> Finding:
    """What the item needs. Too long without progress is `pace.stall_seconds`."""
    stall = timedelta(seconds=pace.stall_seconds)
    snapshot, most = work.snapshot, pace.max_attempts
    for row in work.transfers:
        if row.record.progressed_at <= now - stall:
            return Finding(Need.TRANSFER, give_up=row.record.pushes >= most, transfer=row)
    if snapshot is not None and snapshot.record.progressed_at <= now - stall:
        return Finding(Need.SNAPSHOT, snapshot, snapshot.record.attempts >= most)
    for job in work.mirrored:
        if (job.record.look_at or job.record.progressed_at) <= now - stall:
            return Finding(Need.VAULT, job, job.record.attempts >= most)
    for restore in work.restores:
        if restore.record.progressed_at <= now - RESTORE_PATIENCE * stall:
            return Finding(Need.RESTORE, restore, restore.record.attempts >= most)
    if work.item.record.at_work:
        return Finding(Need.WAIT)
    return Finding(Need.EXPIRY if work.item.record.expiry_due else Need.REST)


_STEP_OF: dict[Phase, Step] = {
    Phase.PLANNING: "plan",
    Phase.COPYING: "fan-out",
    Phase.COMMITTING: "commit",
}


def push_transfer(item: Item, row: Versioned[Transfer], now: datetime) -> Decision[None]:
    """The message that moves the transfer on from where it stands, under a new MessageId."""
    before = row.record
    pushed = replace(
        before, attempt=before.attempt + 1, pushes=before.pushes + 1, progressed_at=now
    )
    message = transfer_message(item.id, pushed, _STEP_OF[pushed.phase])
    return Decision(None, (update(row, pushed),), (message,))


def push_snapshot(row: Versioned[Job], now: datetime) -> Decision[None]:
    """The job's `snapshot` message once more, under a new MessageId."""
    pushed = _pushed(row.record, now)
    request = TakeSnapshot(
        item_id=pushed.item_id,
        job_id=pushed.id,
        slot=pushed.slot,
        retain_until=pushed.retain_until,
    )
    message = snapshot_message(request, f"{pushed.status}.{pushed.attempts}")
    return Decision(None, (update(row, pushed),), (message,))


def push_restore(row: Versioned[Job], now: datetime) -> Decision[None]:
    """Counts that the restore's orchestration is started again, by whoever can."""
    return Decision(None, (update(row, _pushed(row.record, now)),))


def _pushed(job: Job, now: datetime) -> Job:
    return replace(job, attempts=job.attempts + 1, progressed_at=now)


def push_expiry(item: Versioned[Item], now: datetime) -> Decision[None]:
    """Another retention run."""
    return Decision(
        None,
        (update(item, item.record),),
        (expire_message(item.record.id, "again", now),),
    )
