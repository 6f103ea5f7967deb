"""What the requests of people have in common: the names of their operations, and their jobs."""

from datetime import datetime

from shared import telemetry
from shared.decide.check import CHECK
from shared.decide.requests import fingerprint
from shared.model.ids import ItemId, JobId
from shared.model.job import Job, Operation, Status
from shared.model.messages import (
    BackupNow,
    ConsistencyCheck,
    Discover,
    Protect,
    Restore,
    StopProtection,
    Undelete,
)

PROTECT, STOP, BACKUP, RESTORE = "protect", "stop", "backup", "restore"
UNDELETE, DISCOVER, REGISTER = "undelete", "discover", "register"
"""The operations in the ids of the jobs that requests start."""

Request = Protect | StopProtection | BackupNow | Restore | ConsistencyCheck | Undelete | Discover
"""The commands that start a job of their own."""

KINDS: dict[type[Request], tuple[str, Operation]] = {
    Protect: (PROTECT, Operation.CONFIGURE_PROTECTION),
    StopProtection: (STOP, Operation.STOP_PROTECTION),
    BackupNow: (BACKUP, Operation.BACKUP),
    Restore: (RESTORE, Operation.RESTORE),
    ConsistencyCheck: (CHECK, Operation.CONSISTENCY_CHECK),
    Undelete: (UNDELETE, Operation.UNDELETE),
    Discover: (DISCOVER, Operation.DISCOVER),
}


def new_job(item: ItemId, job: JobId, command: Request, now: datetime) -> Job:
    """A request's job at its beginning."""
    return Job(
        id=job,
        item_id=item,
        operation=KINDS[type(command)][1],
        request=fingerprint(command),
        status=Status.IN_PROGRESS,
        started_at=now,
        progressed_at=now,
        trace_id=telemetry.trace_id(),
    )


def done_job(item: ItemId, job: JobId, command: Request, now: datetime) -> Job:
    """The job of a request that is met at once."""
    return new_job(item, job, command, now).end(Status.COMPLETED, now)
