"""Jobs: one attempt at an outcome, with sub-tasks."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.model.errors import ErrorDetail
from shared.model.ids import ItemId, JobId
from shared.model.machine import Consistency


class Operation(StrEnum):
    CONFIGURE_PROTECTION = "ConfigureProtection"
    BACKUP = "Backup"
    RESTORE = "Restore"
    STOP_PROTECTION = "StopProtection"
    UNDELETE = "Undelete"
    DISCOVER = "Discover"
    REGISTER = "Register"
    EXPIRE = "Expire"
    CONSISTENCY_CHECK = "ConsistencyCheck"
    """Asked for by a person, or by the policy's calendar."""
    VERIFY = "Verify"
    """The check that follows a full copy."""

    @property
    def checks(self) -> bool:
        """Whether the job compares a replica with its source."""
        return self in (Operation.CONSISTENCY_CHECK, Operation.VERIFY)


class Status(StrEnum):
    """Of a job, and (all but warnings) of a sub-task."""

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    COMPLETED_WITH_WARNINGS = "CompletedWithWarnings"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    CANCELLING = "Cancelling"
    """Somebody wants it to end; what holds things lets them go first."""
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        return self not in (Status.NOT_STARTED, Status.IN_PROGRESS, Status.CANCELLING)


TAKE_SNAPSHOT = "Take Snapshot"
TRANSFER = "Transfer data to vault"
COMPARE = "Compare with source"
REPAIR = "Repair replica"


@dataclass(frozen=True, kw_only=True)
class SubTask:
    name: str
    status: Status = Status.NOT_STARTED


@dataclass(frozen=True, kw_only=True)
class Job:
    """`trace_id` (32 hex digits) leads to the job's spans. Byte counts are those of page data."""

    id: JobId
    item_id: ItemId
    operation: Operation
    status: Status
    sub_tasks: tuple[SubTask, ...] = ()
    planned_bytes: int = 0
    moved_bytes: int = 0
    started_at: datetime
    ended_at: datetime | None = None
    progressed_at: datetime
    attempts: int = 0
    """How often the reconciler has moved this job on."""
    request: str = ""
    """A digest of the command that started it: another one under its request id is refused."""
    retain_until: datetime | None = None
    slot: datetime | None = None
    consistency: Consistency | None = None
    """Of a machine's backup: what is asked of its restore point, then what that promises."""
    consistency_reason: str = ""
    """Why that is less than was wanted."""
    guest_failures: int = 0
    """How often the machine's guest failed in it."""
    error: ErrorDetail | None = None
    trace_id: str = ""
    mirrors: str = ""
    """The id of the job of a Recovery Services vault that it mirrors."""
    errand: str = ""
    """How far such a vault was asked for it, as JSON (`shared.model.mirroring`)."""
    look_at: datetime | None = None
    """When it is looked at again; until then nothing is to be expected of it."""
    detail: str = ""
    """What a restore works on, or what a discovery or a check found, as JSON; empty elsewhere."""

    def task(self, name: str) -> Status:
        return next((t.status for t in self.sub_tasks if t.name == name), Status.NOT_STARTED)

    def with_task(self, name: str, status: Status, at: datetime) -> "Job":
        """The job with one sub-task moved on; added where it was not listed."""
        if any(task.name == name for task in self.sub_tasks):
            tasks = tuple(
                SubTask(name=name, status=status) if task.name == name else task
                for task in self.sub_tasks
            )
        else:
            tasks = (*self.sub_tasks, SubTask(name=name, status=status))
        return replace(self, sub_tasks=tasks, progressed_at=at)

    def end(self, status: Status, at: datetime, error: ErrorDetail | None = None) -> "Job":
        """The job at its end, no earlier than its beginning by another host's clock; what was
        still under way ends with it."""
        tasks = tuple(replace(task, status=_last(task.status, status)) for task in self.sub_tasks)
        return replace(
            self,
            status=status,
            sub_tasks=tasks,
            ended_at=max(at, self.started_at),
            progressed_at=at,
            error=error,
        )


def _last(task: Status, job: Status) -> Status:
    """What a sub-task ends as where its job ends as `job`."""
    if job is Status.CANCELLED:
        return task if task.ended else Status.CANCELLED
    return Status.FAILED if job is Status.FAILED and task is Status.IN_PROGRESS else task
