"""How a backup job comes to its snapshot, and from there to its transfer (DESIGN §3, §5)."""

from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from shared.decide.decision import Decision
from shared.decide.posting import transfer_message
from shared.decide.retention import expires_at
from shared.model.disk import Snapshot
from shared.model.errors import ErrorDetail
from shared.model.ids import NO_EPOCH, point_of
from shared.model.item import Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask
from shared.model.ledger import Insert, Versioned, update
from shared.model.messages import TakeSnapshot
from shared.model.point import Kind, Point, Reason
from shared.model.transfer import Transfer


class Claim(Enum):
    """What a `snapshot` message finds."""

    TAKE = auto()
    """The item's one place for a snapshot is this job's: take it."""
    RESUME = auto()
    """It was this job's already: the snapshot may have been taken before a death."""
    WAIT = auto()
    """Another job takes a snapshot of this item (invariant 5)."""
    NOTHING = auto()
    """The work is done, or nobody wants it any more."""


def claim_snapshot(
    item: Versioned[Item],
    job: Versioned[Job] | None,
    request: TakeSnapshot,
    now: datetime,
    trace_id: str,
) -> Decision[Claim]:
    """Claim before work: the job appears in the same transaction that takes the item's place."""
    if item.record.snapshotting == request.job_id:
        return Decision(Claim.RESUME)
    if job is not None or item.record.state is ProtectionState.PROTECTION_STOPPED:
        return Decision(Claim.NOTHING)
    if item.record.snapshotting is not None:
        return Decision(Claim.WAIT)
    claimed = replace(item.record, snapshotting=request.job_id)
    return Decision(Claim.TAKE, (update(item, claimed), Insert(_new_job(request, now, trace_id))))


def _new_job(request: TakeSnapshot, now: datetime, trace_id: str) -> Job:
    return Job(
        id=request.job_id,
        item_id=request.item_id,
        operation=Operation.BACKUP,
        status=Status.IN_PROGRESS,
        sub_tasks=(
            SubTask(name=TAKE_SNAPSHOT, status=Status.IN_PROGRESS),
            SubTask(name=TRANSFER),
        ),
        started_at=now,
        progressed_at=now,
        retain_until=request.retain_until,
        slot=request.slot,
        trace_id=trace_id,
    )


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
    taken = job.record.with_task(TAKE_SNAPSHOT, Status.COMPLETED, now)
    if item.record.transferring is None:
        return _start_transfer(item, job, taken, snapshot, now)
    point = snapshot_point(taken, snapshot, reasons, "a transfer of this item was under way")
    skipped = taken.with_task(TRANSFER, Status.SKIPPED, now).end(Status.COMPLETED, now)
    freed = replace(item.record, snapshotting=None, last_point_at=point.created_at)
    return Decision(Status.SKIPPED, (update(item, freed), update(job, skipped), Insert(point)))


def _start_transfer(
    item: Versioned[Item], job: Versioned[Job], taken: Job, snapshot: Snapshot, now: datetime
) -> Decision[Status]:
    transfer = Transfer(
        job_id=taken.id, epoch=NO_EPOCH, snapshot=snapshot, started_at=now, progressed_at=now
    )
    moving = taken.with_task(TRANSFER, Status.IN_PROGRESS, now)
    busy = replace(item.record, snapshotting=None, transferring=taken.id)
    return Decision(
        Status.IN_PROGRESS,
        (update(item, busy), update(job, moving), Insert(transfer)),
        (transfer_message(item.record.id, transfer, "plan"),),
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
        size_bytes=snapshot.size_bytes,
        retain_until=job.retain_until,
        reasons=reasons,
        expires_at=expires_at(reasons),
    )


def fail_snapshot(
    item: Versioned[Item], job: Versioned[Job], error: ErrorDetail, now: datetime
) -> Decision[None]:
    """No snapshot, no backup: the job fails, the next one may try."""
    if item.record.snapshotting != job.record.id:
        return Decision(None)
    failed = job.record.with_task(TAKE_SNAPSHOT, Status.FAILED, now).end(Status.FAILED, now, error)
    freed = replace(item.record, snapshotting=None)
    return Decision(None, (update(item, freed), update(job, failed)))
