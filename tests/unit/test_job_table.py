"""The job table of DESIGN §5, crossed out in full; and that the decisions go by it."""

from datetime import UTC, datetime
from itertools import product

import pytest

from shared.decide.job_table import advance, job_status
from shared.model.errors import ErrorDetail
from shared.model.ids import ItemId, JobId
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TABLE = {
    ("NotStarted", "NotStarted"): "NotStarted",
    ("InProgress", "NotStarted"): "InProgress",
    ("Completed", "NotStarted"): "InProgress",
    ("Completed", "InProgress"): "InProgress",
    ("Completed", "Skipped"): "Completed",
    ("Completed", "Completed"): "Completed",
    ("Completed", "Failed"): "CompletedWithWarnings",
    ("Failed", "NotStarted"): "Failed",
    ("Failed", "Failed"): "Failed",
    ("Cancelled", "Cancelled"): "Cancelled",
    ("Completed", "Cancelled"): "Cancelled",
}
OF_SUB_TASKS = [
    status for status in Status if status not in (Status.COMPLETED_WITH_WARNINGS, Status.CANCELLING)
]


@pytest.mark.parametrize(("tasks", "job"), TABLE.items())
def test_the_table(tasks: tuple[str, str], job: str) -> None:
    snapshot, transfer = tasks
    assert job_status(Status(snapshot), Status(transfer)) == job


@pytest.mark.parametrize("transfer", OF_SUB_TASKS)
def test_no_snapshot_no_backup(transfer: Status) -> None:
    wanted = Status.CANCELLED if transfer is Status.CANCELLED else Status.FAILED
    assert job_status(Status.FAILED, transfer) is wanted


def test_a_job_has_ended_exactly_when_its_last_sub_task_has() -> None:
    """A failed or cancelled snapshot is the last one, for no transfer follows it."""
    for snapshot, transfer in product(OF_SUB_TASKS, OF_SUB_TASKS):
        if snapshot is Status.SKIPPED:
            continue
        last = transfer if snapshot is Status.COMPLETED else snapshot
        ended = last.ended or transfer is Status.CANCELLED
        assert job_status(snapshot, transfer).ended is ended, (snapshot, transfer)


def a_job(snapshot: Status, transfer: Status) -> Job:
    return Job(
        id=JobId("disk.backup-1"),
        item_id=ItemId("disk"),
        operation=Operation.BACKUP,
        status=job_status(snapshot, transfer),
        sub_tasks=(
            SubTask(name=TAKE_SNAPSHOT, status=snapshot),
            SubTask(name=TRANSFER, status=transfer),
        ),
        started_at=NOW,
        progressed_at=NOW,
    )


@pytest.mark.parametrize(
    ("task", "status", "job"),
    [
        (TRANSFER, Status.IN_PROGRESS, Status.IN_PROGRESS),
        (TRANSFER, Status.SKIPPED, Status.COMPLETED),
        (TRANSFER, Status.FAILED, Status.COMPLETED_WITH_WARNINGS),
        (TAKE_SNAPSHOT, Status.FAILED, Status.FAILED),
    ],
)
def test_a_job_moves_by_the_table(task: str, status: Status, job: Status) -> None:
    error = ErrorDetail(code="X", message="x", recommended_action="x")
    moved = advance(a_job(Status.COMPLETED, Status.NOT_STARTED), task, status, NOW, error)
    assert (moved.task(task), moved.status) == (status, job)
    assert (moved.ended_at == NOW) is job.ended
    assert (moved.error == error) is job.ended


def test_no_job_ends_before_it_began() -> None:
    """By the clock of a host that is behind."""
    late = a_job(Status.COMPLETED, Status.IN_PROGRESS)
    earlier = NOW.replace(hour=11)
    assert late.end(Status.COMPLETED, earlier).ended_at == NOW
