"""How a check compares a replica with its source, and what follows from what it finds.

A check first reads the two snapshots behind the base and writes nothing (invariant 30). Where they
differ, or where the replica has been written to since, it takes the item's place for a transfer,
as a backup does, puts the replica right, and names its new snapshot in the point.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.codec import from_json, to_json
from shared.decide.comparing import coarse
from shared.decide.decision import Decision
from shared.decide.posting import expire_message, transfer_message, turn_of_checks
from shared.decide.protection import check_not_deleted, check_ours
from shared.decide.rounds import another_round
from shared.decide.suspicion import REPLICA_DAMAGED, SUSPECT_POINTS
from shared.model.check import Findings
from shared.model.disk import Snapshot
from shared.model.errors import CANCELLED, ErrorDetail, Invalid
from shared.model.ids import NO_EPOCH, Epoch, ItemId, JobId, PointId, following_job
from shared.model.item import Base, Item
from shared.model.job import COMPARE, REPAIR, Job, Operation, Status, SubTask
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.messages import Outgoing
from shared.model.point import Kind, Point
from shared.model.policy import Checks
from shared.model.ranges import Span
from shared.model.transfer import Phase, Round, Transfer

CHECK, VERIFY = "check", "verify"
"""The operations in the ids of checks' jobs."""
CHECKS_LIMIT = 4
"""Most checks of one item at a time: each reads all of it."""


def new_check(
    item: ItemId, job: JobId, operation: Operation, now: datetime, trace_id: str = ""
) -> Job:
    """A check that begins."""
    return Job(
        id=job,
        item_id=item,
        operation=operation,
        status=Status.IN_PROGRESS,
        sub_tasks=(SubTask(name=COMPARE, status=Status.IN_PROGRESS), SubTask(name=REPAIR)),
        started_at=now,
        progressed_at=now,
        trace_id=trace_id,
    )


def following_check(
    checks: Checks, item: Item, backup: JobId, kind: Kind, now: datetime
) -> Job | None:
    """The check that the policy wants after a backup has come into the vault; None: no check."""
    if checks.initial and kind is Kind.FULL:
        return new_check(item.id, following_job(backup, VERIFY), Operation.VERIFY, now)
    last = item.checked_at or item.protected_at
    if not checks.every_days or item.checks or now - last < timedelta(days=checks.every_days):
        return None
    return new_check(item.id, following_job(backup, CHECK), Operation.CONSISTENCY_CHECK, now)


@dataclass(frozen=True)
class Started:
    """A check in the item it belongs to, the rows that it adds, and its first message."""

    item: Item
    rows: tuple[RowChange, ...]
    messages: tuple[Outgoing, ...]


def start_check(item: Item, base: Base, job: Job) -> Started:
    """The check of that base, beside whatever else the item does."""
    transfer = Transfer(
        job_id=job.id,
        epoch=NO_EPOCH,
        snapshot=base.source,
        base=base,
        round=Round.CHECK,
        for_check=True,
        started_at=job.started_at,
        progressed_at=job.started_at,
    )
    return Started(
        replace(item, checks=(*item.checks, job.id)),
        (Insert(job), Insert(transfer)),
        (transfer_message(item.id, transfer, "plan"),),
    )


def check_checkable(item: Item) -> Base:
    """The base to be compared. Raises `Invalid` where the item has none, or is deleted, or is
    being checked often enough."""
    check_not_deleted(item)
    check_ours(item, "checked")
    if item.base is None:
        raise Invalid(
            f"item {item.id} has no point in the vault yet",
            code="NothingToCheck",
            action="Back it up first.",
        )
    if len(item.checks) >= CHECKS_LIMIT:
        raise Invalid(
            f"{len(item.checks)} checks of item {item.id} are under way",
            code="TooManyRequests",
            action="Wait until they have ended, or cancel some.",
        )
    return item.base


def request_check(row: Versioned[Item], job: Job) -> Decision[None]:
    """The check that somebody asked for. Raises `Invalid`."""
    started = start_check(row.record, check_checkable(row.record), job)
    return Decision(None, (update(row, started.item), *started.rows), started.messages)


def begin_check_round(
    item: Versioned[Item], row: Versioned[Transfer], now: datetime
) -> Decision[Transfer | None]:
    """A new epoch for the check's next round; None where nothing waits for a plan, or where the
    round is to write and another transfer has the place to (invariant 5)."""
    before, its = row.record, item.record
    if before.phase is not Phase.PLANNING or waits(its, before):
        return Decision(None)
    epoch = Epoch(its.epoch + 1)
    begun = replace(before, epoch=epoch, epochs=before.epochs + 1, progressed_at=now)
    raised = replace(its, epoch=epoch)
    if before.round is not Round.CHECK:
        begun, raised = _aimed(its, begun), replace(raised, transferring=before.job_id)
    return Decision(begun, (update(item, raised), update(row, begun)))


def waits(item: Item, check: Transfer) -> bool:
    """Whether the check has something to repair and another transfer is under way."""
    return (
        check.for_check
        and check.phase is Phase.PLANNING
        and check.round is not Round.CHECK
        and item.transferring not in (None, check.job_id)
    )


def _aimed(item: Item, begun: Transfer) -> Transfer:
    """The base may have moved while the check waited: it is the newest point that is healed."""
    if begun.round is not Round.COMPARE or item.base is None:
        return begun
    return replace(
        begun,
        base=item.base,
        snapshot=item.base.source,
        suspected=item.suspect,
        touched=(),
        stream=item.streams == item.base.source.chain,
    )


def suspect(item: Versioned[Item], row: Versioned[Transfer]) -> Decision[None]:
    """From here on no commit passes over what the comparison found."""
    noted = coarse([*item.record.suspect, *row.record.found])
    if noted == item.record.suspect:
        return Decision(None)
    return Decision(None, (update(item, replace(item.record, suspect=noted)),))


def ask_for_repair(
    item: Versioned[Item],
    job: Versioned[Job],
    row: Versioned[Transfer],
    dirty: tuple[Span, ...],
    suspects: tuple[PointId, ...],
    now: datetime,
) -> Decision[bool]:
    """What was found is told, and its repair asked for; the result says whether there was
    anything. `dirty` is where the replica was written to since its base."""
    found = row.record.found
    if not found and not dirty:
        return Decision(False)
    findings = replace(_findings(row.record), suspects=suspects)
    if not found:
        findings = replace(findings, dirty=True, ranges=dirty)
    noted = job.record.with_task(COMPARE, Status.COMPLETED, now)
    noted = noted.with_task(REPAIR, Status.IN_PROGRESS, now)
    noted = replace(noted, detail=to_json(findings), attempts=0)
    again = another_round(item.record.id, row, replace(row.record, round=Round.COMPARE), now)
    rows = (update(item, item.record), update(job, noted), *again.changes)
    return Decision(True, rows, again.messages)


def _findings(check: Transfer) -> Findings:
    assert check.base is not None
    return Findings(
        point=check.base.point,
        compared_bytes=check.compared_bytes,
        differing_bytes=check.differing_bytes,
        ranges=check.found,
    )


def end_check(
    item: Versioned[Item], job: Versioned[Job], row: Versioned[Transfer], now: datetime
) -> Decision[None]:
    """Nothing differed."""
    ended = job.record.with_task(COMPARE, Status.COMPLETED, now)
    ended = ended.with_task(REPAIR, Status.SKIPPED, now).end(Status.COMPLETED, now)
    ended = _with_bytes(replace(ended, detail=to_json(_findings(row.record))), row.record)
    left = replace(item.record.without(ended.id), checked_at=now)
    rows = (update(item, left), update(job, ended), Delete(row.record, row.etag))
    return Decision(None, rows)


def heal(
    item: Versioned[Item],
    job: Versioned[Job],
    row: Versioned[Transfer],
    point: Versioned[Point] | None,
    sealed: Snapshot,
    now: datetime,
) -> Decision[None]:
    """The replica equals the base's source: `sealed` becomes the base's copy, and its point's, in
    one transaction with the check's end (invariant 33). `point` is None where it is gone."""
    its, check = item.record, row.record
    if its.base is None or its.base != check.base or its.suspect != check.suspected:
        again = another_round(its.id, row, replace(check, round=Round.COMPARE), now)
        return Decision(None, (update(item, its), *again.changes), again.messages)
    findings = _repaired(job.record, check)
    ended = _healed_job(job.record, check, findings, now)
    healed = replace(
        its.without(ended.id),
        base=replace(its.base, replica=sealed, epoch=check.epoch),
        suspect=(),
        checked_at=now,
        expiry_due=True,
    )
    rows: list[RowChange] = [
        update(item, healed),
        update(job, ended),
        Delete(check, row.etag),
    ]
    if point is not None:
        rows.append(update(point, _healed_point(point.record, check, sealed, now)))
    turn = turn_of_checks(healed, ended.id)
    return Decision(None, tuple(rows), (expire_message(its.id, ended.id, now), *turn))


def _repaired(job: Job, check: Transfer) -> Findings:
    findings = from_json(Findings, job.detail)
    if findings.dirty:
        findings = replace(findings, differing_bytes=check.repaired_bytes)
    assert check.base is not None
    suspects = tuple(point for point in findings.suspects if point != check.base.point)
    return replace(findings, suspects=suspects, healed=True)


def _healed_point(point: Point, check: Transfer, sealed: Snapshot, now: datetime) -> Point:
    if not point.suspect:
        return replace(point, replica=sealed)
    told = f"{check.repaired_bytes} bytes were put right by {check.job_id} on {now:%Y-%m-%d}"
    repaired = point.repaired_bytes + check.repaired_bytes
    return replace(point, replica=sealed, suspect="", healed=told, repaired_bytes=repaired)


def _healed_job(job: Job, check: Transfer, findings: Findings, now: datetime) -> Job:
    done = job.with_task(REPAIR, Status.COMPLETED, now)
    done = _with_bytes(replace(done, detail=to_json(findings)), check)
    if not findings.differing_bytes:
        return done.end(Status.COMPLETED, now)
    return done.end(Status.COMPLETED_WITH_WARNINGS, now, _warning(findings))


def _warning(findings: Findings) -> ErrorDetail:
    many, point = findings.differing_bytes, findings.point
    if findings.dirty:
        return ErrorDetail(
            code="ReplicaWrittenTo",
            message=f"{many} bytes of the replica had been changed since point {point} was sealed, "
            "by a transfer that was given up or by somebody else; they were put right, and no "
            "point was harmed",
            recommended_action="See who else may write to the vault's storage account.",
        )
    also = f"; {len(findings.suspects)} more hold the damaged pages" if findings.suspects else ""
    return ErrorDetail(
        code=REPLICA_DAMAGED,
        message=f"{many} of {findings.compared_bytes} bytes that were compared of point {point} "
        f"differed from its source; the replica was put right{also}",
        recommended_action=f"Look into the vault's storage account; {SUSPECT_POINTS}",
    )


def fail_check(
    item: Versioned[Item],
    job: Versioned[Job],
    row: Versioned[Transfer],
    error: ErrorDetail,
    now: datetime,
) -> Decision[None]:
    """The check ends without an answer; what it has written down of damage stays."""
    return _leave(item, job, row, Status.FAILED, error, now)


def cancel_check(
    item: Versioned[Item],
    job: Versioned[Job],
    row: Versioned[Transfer] | None,
    now: datetime,
) -> Decision[None]:
    """The same, because somebody wanted it to end."""
    if job.record.status.ended:
        return Decision(None)
    return _leave(item, job, row, Status.CANCELLED, CANCELLED, now)


def _leave(
    item: Versioned[Item],
    job: Versioned[Job],
    row: Versioned[Transfer] | None,
    status: Status,
    error: ErrorDetail,
    now: datetime,
) -> Decision[None]:
    ended = job.record.end(status, now, error)
    left = replace(item.record.without(ended.id), expiry_due=True)
    rows: list[RowChange] = [update(item, left)]
    if row is not None:
        ended = _with_bytes(ended, row.record)
        rows.append(Delete(row.record, row.etag))
    rows.append(update(job, ended))
    turn = turn_of_checks(left, ended.id)
    return Decision(None, tuple(rows), (expire_message(left.id, ended.id, now), *turn))


def _with_bytes(job: Job, check: Transfer) -> Job:
    """What was compared counts as planned, what was repaired as moved."""
    return replace(job, planned_bytes=check.comparing_bytes, moved_bytes=check.copied_bytes)
