"""What the reconciler makes of work that stands still, and of work that moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.decide.parts import Copied, finish_part
from shared.decide.reconcile import (
    RESTORE_PATIENCE,
    Finding,
    Need,
    UnderWay,
    examine,
    push_transfer,
)
from shared.decide.transfer import Planned, accept_plan, audit_again
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, Epoch, JobId
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Replace, Versioned
from shared.model.pace import Pace
from shared.model.plan import PlanRef
from shared.model.transfer import Phase, Round, Transfer
from tests.unit.cli_world import ITEM, SOURCE, backup_job, item

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PACE = Pace(stall_seconds=60, max_attempts=3)
STALL = timedelta(seconds=60)
JOB = JobId(f"{ITEM}.backup-1")
PLAN = PlanRef(url="https://vault/plan", ops=3, parts=3, copy_bytes=1536, clear_bytes=0)


def transfer(**fields: Any) -> Transfer:
    snapshot = Snapshot(disk=DiskUrl(SOURCE), id="1", taken_at=NOW, size_bytes=4096, chain="c")
    given: dict[str, Any] = {
        "job_id": JOB,
        "epoch": Epoch(1),
        "snapshot": snapshot,
        "phase": Phase.COPYING,
        "plan": PLAN,
        "pushes": PACE.max_attempts - 1,
        "started_at": NOW,
        "progressed_at": NOW - STALL,
    }
    return Transfer(**{**given, **fields})


def job(status: Status = Status.IN_PROGRESS, still: timedelta = STALL, **fields: Any) -> Job:
    made = backup_job(NOW, status, id=JOB, progressed_at=NOW - still)
    return replace(made, **fields)


def look(**work: Any) -> Finding:
    several = {"restores", "checks"}
    rows: dict[str, Any] = {
        name: tuple(Versioned(row, "1") for row in given)
        if name in several
        else Versioned(given, "1")
        for name, given in work.items()
    }
    return examine(UnderWay(**rows), NOW, PACE)


BUSY = item(transferring=JOB)
RESTORING = item(restoring=(JOB,))
RESTORE: dict[str, Any] = {"operation": Operation.RESTORE}


def test_nothing_under_way_is_rest_or_a_retention_run_that_is_due() -> None:
    assert look(item=item()).need is Need.REST
    assert look(item=item(expiry_due=True)).need is Need.EXPIRY


@pytest.mark.parametrize("still", [0, 59])
def test_work_that_moves_is_left_alone(still: int) -> None:
    moved = NOW - timedelta(seconds=still)
    assert look(item=BUSY, transfer=transfer(progressed_at=moved)).need is Need.WAIT
    since = timedelta(seconds=still)
    queued = item(queued=(JOB,), expiry_due=True)
    assert look(item=queued, snapshot=job(Status.NOT_STARTED, since)).need is Need.WAIT


def test_a_restore_is_given_more_time() -> None:
    almost = RESTORE_PATIENCE * STALL - timedelta(seconds=1)
    assert look(item=RESTORING, restores=[job(still=almost, **RESTORE)]).need is Need.WAIT
    found = look(item=RESTORING, restores=[job(still=RESTORE_PATIENCE * STALL, **RESTORE)])
    assert (found.need, found.give_up) == (Need.RESTORE, False)
    assert found.job is not None


def test_a_restore_that_hangs_is_seen_beside_a_transfer_that_moves() -> None:
    found = look(
        item=replace(BUSY, restoring=(JOB,)),
        transfer=transfer(progressed_at=NOW),
        restores=[job(still=timedelta(0), **RESTORE), job(still=10 * STALL, **RESTORE)],
    )
    assert found.need is Need.RESTORE


def test_what_stands_still_is_moved_on_so_often_and_then_given_up() -> None:
    most = PACE.max_attempts
    row = transfer()
    found = look(item=BUSY, transfer=row)
    assert (found.need, found.transfer and found.transfer.record) == (Need.TRANSFER, row)
    assert look(item=BUSY, transfer=transfer(pushes=most)).give_up
    taking = item(snapshotting=JOB)
    assert not look(item=taking, snapshot=job(attempts=most - 1)).give_up
    assert look(item=taking, snapshot=job(attempts=most)).give_up
    hanging = job(still=10 * STALL, attempts=most, **RESTORE)
    assert look(item=RESTORING, restores=[hanging]).give_up


def test_a_check_is_moved_on_unless_it_waits_for_its_turn() -> None:
    """Whatever else is under way; a check that has to wait is not given up for it."""
    comparing = transfer(for_check=True, round=Round.CHECK, pushes=0)
    checked = replace(BUSY, checks=(JobId(f"{ITEM}.check-1"),))
    moving = transfer(progressed_at=NOW)
    found = look(item=checked, transfer=moving, checks=[comparing])
    assert (found.need, found.transfer and found.transfer.record) == (Need.TRANSFER, comparing)
    waiting = transfer(
        job_id=checked.checks[0], for_check=True, round=Round.COMPARE, phase=Phase.PLANNING
    )
    assert look(item=checked, transfer=moving, checks=[waiting]).need is Need.WAIT
    free = replace(checked, transferring=None)
    assert look(item=free, checks=[waiting]).need is Need.TRANSFER


def test_every_progress_starts_the_count_again() -> None:
    """A watchdog that is too eager (its clock is ahead) never ends work that moves."""
    row = Versioned(transfer(), "1")
    planning = Versioned(transfer(phase=Phase.PLANNING, plan=None), "1")
    planned = Planned(plan=PLAN, changed_bytes=1536, requests=1)
    for progress in (
        finish_part(ITEM, row, 0, Copied(copied_bytes=512), NOW),
        accept_plan(ITEM, planning, planned, NOW),
        audit_again(ITEM, row, NOW),
    ):
        (change,) = progress.changes
        assert isinstance(change, Replace)
        assert isinstance(change.record, Transfer)
        assert change.record.pushes == 0


def test_a_push_is_another_message_every_time() -> None:
    """Also after progress: the ids go on where they were."""
    row = Versioned(transfer(pushes=0), "1")
    seen = set()
    for _ in range(3):
        pushed = push_transfer(BUSY, row, NOW)
        (change,), (message,) = pushed.changes, pushed.messages
        assert isinstance(change, Replace)
        assert isinstance(change.record, Transfer)
        seen.add(message.message_id)
        row = Versioned(replace(change.record, pushes=0), "1")
    assert len(seen) == 3
