"""What a backup job's two sub-tasks make of the job (DESIGN §5)."""

from dataclasses import replace
from datetime import datetime

from shared.model.errors import ErrorDetail
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status


def job_status(snapshot: Status, transfer: Status) -> Status:
    """The job's status, from its sub-tasks' statuses."""
    match snapshot, transfer:
        case (Status.CANCELLED, _) | (_, Status.CANCELLED):
            return Status.CANCELLED
        case (Status.FAILED, _):
            return Status.FAILED
        case (Status.COMPLETED, Status.COMPLETED | Status.SKIPPED):
            return Status.COMPLETED
        case (Status.COMPLETED, Status.FAILED):
            return Status.COMPLETED_WITH_WARNINGS
        case (Status.NOT_STARTED, Status.NOT_STARTED):
            return Status.NOT_STARTED
    return Status.IN_PROGRESS


def advance(
    job: Job, task: str, status: Status, now: datetime, error: ErrorDetail | None = None
) -> Job:
    """The backup job with one sub-task moved on, and what the table makes of it."""
    moved = job.with_task(task, status, now)
    whole = job_status(moved.task(TAKE_SNAPSHOT), moved.task(TRANSFER))
    return moved.end(whole, now, error) if whole.ended else replace(moved, status=whole)
