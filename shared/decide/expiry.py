"""How a retention run is asked for, what it writes into points, and how it ends."""

from dataclasses import replace
from datetime import UTC, datetime

from shared.decide.decision import Decision
from shared.decide.posting import expire_message
from shared.decide.retention import Mark, RetentionDecision, RetentionPlan, expires_at
from shared.model.errors import ErrorDetail, Invalid
from shared.model.expiry import Expiry
from shared.model.ids import JobId
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.point import Point


def ask_for_run(
    item: Versioned[Item], plan: RetentionPlan, job_id: JobId, now: datetime, trace_id: str
) -> Decision[None]:
    """A run with a job of its own, which carries `plan` out even where it was held. Raises
    `Invalid` while another one is under way: it would end without having seen this request."""
    past, id_ = item.record.expiry, item.record.id
    if past.job:
        raise Invalid(
            f"a clean-up of item {id_} is under way: {past.job}",
            action=f"Wait for its end: `vaultline show {past.job}`.",
        )
    job = Job(
        id=job_id,
        item_id=id_,
        operation=Operation.EXPIRE,
        status=Status.IN_PROGRESS,
        started_at=now,
        progressed_at=now,
        trace_id=trace_id,
    )
    confirmed = plan.signature if plan.held else ""
    asked = replace(
        item.record, expiry_due=True, expiry=replace(past, job=job_id, confirmed=confirmed)
    )
    return Decision(None, (update(item, asked), Insert(job)), (expire_message(id_, job_id, now),))


def begin_removal(
    item: Versioned[Item], point: Versioned[Point] | None, why: str, now: datetime
) -> Decision[bool]:
    """Records in the point that it goes, and counts it, in one transaction; from here on nobody
    restores it. A point that was pinned or held meanwhile stays."""
    if point is None or point.record.expiring or point.record.pins or point.record.hold:
        return Decision(False)
    counted = item.record.expiry.counting(now.astimezone(UTC).date())
    return Decision(
        True,
        (
            update(point, replace(point.record, expiring=why)),
            update(item, replace(item.record, expiry=counted)),
        ),
    )


def as_decided(decision: RetentionDecision) -> Point:
    """A point that stays, with its reasons by the policy as it is now, and without its source
    snapshot where that is released."""
    point = decision.point
    as_is = decision.reasons == point.reasons and not decision.release
    if as_is or decision.mark is Mark.EXPIRE:
        return point
    kept = replace(point, reasons=decision.reasons, expires_at=expires_at(decision.reasons))
    return replace(kept, source=None) if decision.release else kept


def end_run(
    item: Versioned[Item], job: Versioned[Job] | None, begun_for: JobId | None, now: datetime
) -> Decision[None]:
    """Nothing is due any more, unless a run was asked for since this one began for `begun_for`."""
    past = item.record.expiry
    if past.job != begun_for:
        return Decision(None)
    rested = replace(item.record, expiry_due=False, expiry=replace(past, job=None, confirmed=""))
    return Decision(None, (update(item, rested), *_ended(job, past, now)))


def end_deletion(
    item: Versioned[Item], job: Versioned[Job] | None, now: datetime
) -> Decision[None]:
    """The item goes; a run that somebody asked for meanwhile has nothing left to do."""
    ended = (update(job, job.record.end(Status.COMPLETED, now)),) if job else ()
    return Decision(None, (Delete(item.record, item.etag), *ended))


def _ended(job: Versioned[Job] | None, past: Expiry, now: datetime) -> tuple[RowChange, ...]:
    if job is None or job.record.status.ended:
        return ()
    if not past.held:
        return (update(job, job.record.end(Status.COMPLETED, now)),)
    error = ErrorDetail(
        code="ExpiryHeld",
        message=f"nothing was removed: {past.held}",
        recommended_action=(
            f"See `vaultline expire {job.record.item_id} --dry-run`; add --confirm to allow it."
        ),
    )
    return (update(job, job.record.end(Status.COMPLETED_WITH_WARNINGS, now, error)),)
