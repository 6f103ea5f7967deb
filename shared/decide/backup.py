"""How a backup job comes to its snapshot, and from there to its transfer (DESIGN §3, §5)."""

from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from shared.decide.decision import Decision
from shared.decide.job_table import advance
from shared.decide.posting import (
    expire_message,
    snapshot_message,
    transfer_message,
    turn_message,
)
from shared.decide.retention import expires_at
from shared.model.disk import Snapshot
from shared.model.errors import Cancelled, ErrorDetail, Invalid
from shared.model.ids import NO_EPOCH, point_of
from shared.model.item import Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask
from shared.model.ledger import Insert, RowChange, Versioned, update
from shared.model.messages import TakeSnapshot
from shared.model.point import Kind, Point, Reason
from shared.model.transfer import Transfer

QUEUE_LIMIT = 20
"""Most backups of one item that wait for their snapshot: they make a point each, a moment apart."""


class Claim(Enum):
    """What a `snapshot` message finds."""

    TAKE = auto()
    """The item's one place for a snapshot is this job's: take it."""
    RESUME = auto()
    """It was this job's already: the snapshot may have been taken before a death."""
    WAIT = auto()
    """Another job takes a snapshot of this item (invariant 5)."""
    FOLLOW = auto()
    """Its vault takes the snapshot: the job is followed from here on."""
    NOTHING = auto()
    """The work is done, or nobody wants it any more."""


def new_backup(request: TakeSnapshot, now: datetime, trace_id: str) -> Job:
    """A backup that has not begun."""
    return Job(
        id=request.job_id,
        item_id=request.item_id,
        operation=Operation.BACKUP,
        status=Status.NOT_STARTED,
        sub_tasks=(SubTask(name=TAKE_SNAPSHOT), SubTask(name=TRANSFER)),
        started_at=now,
        progressed_at=now,
        retain_until=request.retain_until,
        slot=request.slot,
        trace_id=trace_id,
    )


def enqueue_backup(item: Versioned[Item], job: Job) -> Decision[None]:
    """The job and its message in one transaction (invariant 7): a request cannot be lost. Raises
    `Invalid` where too many wait already."""
    if len(item.record.queued) >= QUEUE_LIMIT:
        raise Invalid(
            f"{len(item.record.queued)} backups of item {item.record.id} wait already",
            code="TooManyRequests",
            action="Wait until they have ended, or cancel some.",
        )
    request = TakeSnapshot(item_id=job.item_id, job_id=job.id, retain_until=job.retain_until)
    return Decision(None, _waiting(item, job), (snapshot_message(request),))


def claim_snapshot(
    item: Versioned[Item], row: Versioned[Job] | None, new: Job, now: datetime
) -> Decision[Claim]:
    """Claim before work: the job starts in the same transaction that takes the item's place.

    `row` is the job as it stands; `new` what it is where there is none: a slot's. Where the place
    is taken the job waits in the item's queue, and gets its turn when the place is free.
    """
    job = row.record if row else new
    if item.record.snapshotting == job.id:
        return Decision(Claim.RESUME)
    if job.status is not Status.NOT_STARTED:
        return Decision(Claim.NOTHING)
    if item.record.state is ProtectionState.PROTECTION_STOPPED:
        return _drop(item, row, now) if row else Decision(Claim.NOTHING)
    if item.record.snapshotting is not None:
        return Decision(Claim.WAIT, () if row else _waiting(item, job))
    started = advance(job, TAKE_SNAPSHOT, Status.IN_PROGRESS, now)
    started = replace(started, attempts=0)
    claimed = replace(item.record.without(job.id), snapshotting=job.id)
    return Decision(
        Claim.TAKE, (update(item, claimed), update(row, started) if row else Insert(started))
    )


def _waiting(item: Versioned[Item], job: Job) -> tuple[RowChange, ...]:
    queued = replace(item.record, queued=(*item.record.queued, job.id))
    return update(item, queued), Insert(job)


def _drop(item: Versioned[Item], job: Versioned[Job], now: datetime) -> Decision[Claim]:
    """Protection was stopped while the backup waited."""
    error = Cancelled(
        f"protection of item {item.record.id} was stopped before the backup began",
        action="Protect it again, then back it up.",
    )
    ended = job.record.end(Status.CANCELLED, now, error.detail())
    left = replace(item.record.without(ended.id), expiry_due=True)
    messages = (expire_message(left.id, ended.id, now), *turn_message(left, ended.id))
    return Decision(Claim.NOTHING, (update(item, left), update(job, ended)), messages)


def record_snapshot(
    item: Versioned[Item],
    job: Versioned[Job],
    snapshot: Snapshot,
    reasons: tuple[Reason, ...],
    now: datetime,
) -> Decision[Status]:
    """The snapshot is there. Its transfer starts, or is skipped where one runs (invariant 5).

    The result is the transfer's status. `reasons` are why a point of that snapshot is kept.
    """
    if item.record.snapshotting != job.record.id:
        return Decision(job.record.task(TRANSFER))
    taken = advance(job.record, TAKE_SNAPSHOT, Status.COMPLETED, now)
    if item.record.transferring is None:
        return _start_transfer(item, job, taken, snapshot, now)
    point = snapshot_point(taken, snapshot, reasons, "a transfer of this item was under way")
    skipped = advance(taken, TRANSFER, Status.SKIPPED, now)
    freed = replace(item.record, snapshotting=None, last_point_at=point.created_at)
    changes = (update(item, freed), update(job, skipped), Insert(point))
    return Decision(Status.SKIPPED, changes, turn_message(freed, taken.id))


def _start_transfer(
    item: Versioned[Item], job: Versioned[Job], taken: Job, snapshot: Snapshot, now: datetime
) -> Decision[Status]:
    transfer = Transfer(
        job_id=taken.id, epoch=NO_EPOCH, snapshot=snapshot, started_at=now, progressed_at=now
    )
    moving = advance(taken, TRANSFER, Status.IN_PROGRESS, now)
    busy = replace(item.record, snapshotting=None, transferring=taken.id)
    return Decision(
        Status.IN_PROGRESS,
        (update(item, busy), update(job, moving), Insert(transfer)),
        (transfer_message(item.record.id, transfer, "plan"), *turn_message(busy, taken.id)),
    )


def snapshot_point(job: Job, snapshot: Snapshot, reasons: tuple[Reason, ...], why: str) -> Point:
    """A point in the snapshot tier alone: its transfer was skipped or failed."""
    return Point(
        id=point_of(job.id),
        item_id=job.item_id,
        job_id=job.id,
        created_at=snapshot.taken_at,
        kind=Kind.FULL,
        kind_reason=f"snapshot tier only: {why}",
        source=snapshot,
        replica=None,
        consistency=job.consistency,
        consistency_reason=job.consistency_reason,
        size_bytes=snapshot.size_bytes,
        retain_until=job.retain_until,
        reasons=reasons,
        expires_at=expires_at(reasons),
    )


def fail_snapshot(
    item: Versioned[Item], job: Versioned[Job], error: ErrorDetail, now: datetime
) -> Decision[None]:
    """No snapshot, no backup: the job fails, the next one may try."""
    if job.record.id not in (item.record.snapshotting, *item.record.queued):
        return Decision(None)
    failed = advance(job.record, TAKE_SNAPSHOT, Status.FAILED, now, error)
    # A deletion that waited for this job to end goes on.
    due = item.record.expiry_due or item.record.delete_data
    freed = replace(item.record.without(failed.id), expiry_due=due)
    changes = (update(item, freed), update(job, failed))
    return Decision(None, changes, turn_message(freed, failed.id))
