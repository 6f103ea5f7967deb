"""Which point a restore takes, and what it asks of the ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.decide.posting import expire_message
from shared.decide.restore_disks import machine_work
from shared.decide.swapping import disk_work
from shared.model.disk import Snapshot
from shared.model.errors import ErrorDetail, Invalid, NotFound
from shared.model.ids import DiskUrl, JobId, point_of
from shared.model.item import Item
from shared.model.job import Job, Operation, Status, SubTask
from shared.model.ledger import Insert, RowChange, Versioned, update
from shared.model.machine import Machine
from shared.model.messages import Outgoing, Restore
from shared.model.point import Kind, Point, Reason
from shared.model.restore import HAND_OVER, SUB_TASKS, RestoreWork

RESTORES_LIMIT = 20
"""Most restores of one item that are under way at once."""
SAFETY_DAYS = 30
"""How long the state that a restore overwrote is kept: as an on-demand point (Azure's default)."""


def choose_point(points: Sequence[Versioned[Point]], wanted: Restore) -> Versioned[Point]:
    """The point asked for; by time, one whose bytes can be trusted, where there is any. Raises
    `NotFound`, or `Invalid` where it is being removed."""
    restorable = [row for row in points if not row.record.expiring]
    if wanted.at is not None:
        restorable = [row for row in restorable if row.record.created_at <= wanted.at]
    if wanted.at is None and wanted.point != "latest":
        return _named(points, wanted.point)
    if not restorable:
        when = f" at or before {wanted.at.isoformat()}" if wanted.at else ""
        raise NotFound(
            f"item {wanted.item_id} has no recovery point{when}",
            action=f"`vaultline points {wanted.item_id}` shows what there is.",
        )
    sound = [row for row in restorable if row.record.sound]
    return max(sound or restorable, key=lambda row: row.record.created_at)


def _named(points: Sequence[Versioned[Point]], name: str) -> Versioned[Point]:
    for row in points:
        if row.record.id == name:
            if row.record.expiring:
                raise Invalid(f"point {name} is being removed: {row.record.expiring}")
            return row
    raise NotFound(
        f"there is no point {name}", action="`vaultline points ITEM` shows what there is."
    )


def work_of(
    item: Item, point: Point, job: JobId, command: Restore, machine: Machine | None = None
) -> RestoreWork:
    """What the restore will do. It reads the vault tier where the point has one to be trusted.
    `machine` is the one that is restored in place, or has the disk that is, as it stands."""
    source = point.readable
    if source is None:
        raise NotFound(f"point {point.id} has neither tier left")
    original = command.target.kind == "original"
    work = RestoreWork(
        point=point.id,
        source=source,
        target=item.source if original else DiskUrl(command.target.url),
        original=original,
        lease_id=str(uuid5(NAMESPACE_URL, job)),
    )
    if source.members:
        return machine_work(work, command.target, job, machine, item.seats)
    return disk_work(work, machine, job) if machine else work


def start_restore(item: Versioned[Item], point: Versioned[Point], job: Job) -> Decision[JobId]:
    """The job, its place among the item's work, and the pin that keeps retention away from the
    point, in one transaction. Raises `Invalid` where too many are under way already."""
    if len(item.record.restoring) >= RESTORES_LIMIT:
        raise Invalid(
            f"{len(item.record.restoring)} restores of item {item.record.id} are under way",
            code="TooManyRequests",
            action="Wait until they have ended, or cancel some.",
        )
    busy = replace(item.record, restoring=(*item.record.restoring, job.id))
    pinned = replace(point.record, pins=(*point.record.pins, job.id))
    return Decision(job.id, (Insert(job), update(item, busy), update(point, pinned)))


def restore_job(item: Item, job_id: JobId, now: datetime, trace_id: str, detail: str = "") -> Job:
    return Job(
        id=job_id,
        item_id=item.id,
        operation=Operation.RESTORE,
        status=Status.IN_PROGRESS,
        sub_tasks=tuple(SubTask(name=name) for name in SUB_TASKS),
        started_at=now,
        progressed_at=now,
        trace_id=trace_id,
        detail=detail,
    )


def safety_point(job: Job, snapshot: Snapshot) -> Point:
    """What the original held before it is overwritten: a point like any other."""
    until = snapshot.taken_at + timedelta(days=SAFETY_DAYS)
    return Point(
        id=point_of(job.id),
        item_id=job.item_id,
        job_id=job.id,
        created_at=snapshot.taken_at,
        kind=Kind.FULL,
        kind_reason="snapshot tier only: taken before a restore overwrote the disk",
        source=snapshot,
        replica=None,
        consistency=job.consistency,
        consistency_reason=job.consistency_reason,
        size_bytes=snapshot.size_bytes,
        retain_until=until,
        reasons=(Reason(rule="before a restore", until=until),),
        expires_at=until,
    )


def end_restore(
    item: Versioned[Item] | None,
    job: Versioned[Job],
    point: Versioned[Point] | None,
    error: ErrorDetail | None,
    now: datetime,
) -> Decision[None]:
    """The job's end, its place's and the pin's; what retention left for the restore's sake may
    be due."""
    if job.record.status.ended:
        return Decision(None)
    ended = job.record if error else job.record.with_task(HAND_OVER, Status.COMPLETED, now)
    doubt = None if error else _doubt(job.record, point)
    status = Status.COMPLETED_WITH_WARNINGS if doubt else _end_of(job.record, error)
    ended = ended.end(status, now, error or doubt)
    changes: list[RowChange] = [update(job, ended)]
    messages: tuple[Outgoing, ...] = ()
    if item is not None:
        freed = replace(item.record.without(ended.id), expiry_due=True)
        changes.append(update(item, freed))
        messages = (expire_message(freed.id, ended.id, now),)
    if point is not None:
        pins = tuple(pin for pin in point.record.pins if pin != ended.id)
        changes.append(update(point, replace(point.record, pins=pins)))
    return Decision(None, tuple(changes), messages)


def _doubt(job: Job, point: Versioned[Point] | None) -> ErrorDetail | None:
    """Why what was restored cannot be trusted: its point's copy in the vault was suspect, or was
    put right while it was read."""
    if point is None:
        return None
    its, read = point.record, from_json(RestoreWork, job.detail).source
    healed = read not in (its.source, its.replica) and its.healed
    why = its.suspect if read == its.replica else healed
    if not why:
        return None
    return ErrorDetail(
        code="PointSuspect",
        message=f"point {its.id} was restored, but may not be what was backed up: {why}",
        recommended_action="Restore another point, or this one again once it was put right.",
    )


def _end_of(job: Job, error: ErrorDetail | None) -> Status:
    """A restore that was ready before it saw that it was to end is ready."""
    if error is None:
        return Status.COMPLETED
    return Status.CANCELLED if job.status is Status.CANCELLING else Status.FAILED
