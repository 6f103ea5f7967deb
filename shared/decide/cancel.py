"""How a job ends before its time, at whatever moment (invariant 4 puts the replica right)."""

from dataclasses import replace
from datetime import datetime

from shared.decide.decision import Decision
from shared.decide.posting import expire_message, turn_message, turn_of_checks
from shared.model.errors import CANCELLED, Invalid
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Delete, RowChange, Versioned, update
from shared.model.transfer import Transfer


def check_cancellable(job: Job) -> None:
    """Raises `Invalid` where there is nothing left to cancel, or never was."""
    if job.operation not in (Operation.BACKUP, Operation.RESTORE) and not job.operation.checks:
        raise Invalid(
            f"job {job.id} is a {job.operation}; "
            "backups, restores and checks alone can be cancelled",
            code="NotCancellable",
            action="Let it end.",
        )
    if job.status.ended and job.status is not Status.CANCELLED:
        raise Invalid(
            f"job {job.id} has ended already: {job.status}",
            code="JobEnded",
            action="Nothing: an ended job cannot be cancelled.",
        )


def cancel_backup(
    item: Versioned[Item],
    job: Versioned[Job],
    transfer: Versioned[Transfer] | None,
    now: datetime,
) -> Decision[None]:
    """The job leaves whatever place it holds, in one transaction. What its steps still do finds
    nothing to report to: their snapshot is swept by the retention run asked for here, and what
    they wrote into the replica the next transfer puts right."""
    if job.record.status.ended:
        return Decision(None)
    ended = job.record.end(Status.CANCELLED, now, CANCELLED)
    left = replace(item.record.without(ended.id), expiry_due=True)
    rows: list[RowChange] = []
    if transfer is not None:
        done = transfer.record
        ended = replace(ended, planned_bytes=done.planned_bytes, moved_bytes=done.copied_bytes)
        rows.append(Delete(done, transfer.etag))
    rows += [update(item, left), update(job, ended)]
    turns = (*turn_message(left, ended.id), *turn_of_checks(left, ended.id))
    return Decision(None, tuple(rows), (expire_message(left.id, ended.id, now), *turns))


def cancel_restore(job: Versioned[Job], now: datetime) -> Decision[None]:
    """Its activities see that it is to end; then lease and pin go, and the job ends."""
    if job.record.status is not Status.IN_PROGRESS:
        return Decision(None)
    stopping = replace(job.record, status=Status.CANCELLING, progressed_at=now, attempts=0)
    return Decision(None, (update(job, stopping),))
