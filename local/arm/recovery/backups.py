"""A backup's course: snapshot, a gap, transfer, end. Pure; each step is as of `job.moment`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from local.arm.recovery.failures import CANCELLED, VM_NOT_FOUND, Failure
from local.arm.recovery.formats import american
from local.arm.recovery.item import Item, LastBackup
from local.arm.recovery.job import (
    TAKE_SNAPSHOT,
    TO_VAULT,
    Job,
    Operation,
    Status,
    Step,
    Task,
)
from local.arm.recovery.timing import Durations

_TASK_DELAY = timedelta(seconds=1)
_TRANSFER_DELAY = timedelta(seconds=0.2)
_NOTHING_MOVED: Mapping[str, str | None] = {"Backup Size": "0 MB"}


def new_backup(
    item: Item,
    started_at: datetime,
    durations: Durations,
    *,
    on_demand: bool,
    keep_until: datetime | None = None,
) -> Job:
    """A backup that begins then; `keep_until` is what an on-demand request says, if it does."""
    facts: dict[str, str | None] = {"VM Name": item.machine.name}
    if keep_until is not None:
        facts["Recovery Point Expiry Time in UTC"] = american(keep_until)
    job = Job(
        id=str(uuid4()),
        vault=item.vault,
        item=item.id,
        machine=item.machine,
        operation=Operation.BACKUP,
        started_at=started_at,
        activity=str(uuid4()),
        tasks=(
            Task(TAKE_SNAPSHOT, Status.IN_PROGRESS, started_at + _TASK_DELAY),
            Task(TO_VAULT),
        ),
        facts=facts,
        inner={"IsInstantRpJob": "True"},
        keep_until=keep_until,
        on_demand=on_demand,
    )
    return job.then(Step.FREEZE, durations.freeze)


def frozen(job: Job, point: str, durations: Durations) -> Job:
    """The machine's disks are copied into the point; the snapshot takes its time yet."""
    job = replace(job, subject=point)
    return job.then(Step.END_SNAPSHOT, durations.snapshot - durations.freeze)


def not_frozen(job: Job, failure: Failure) -> Job:
    """There is no snapshot: the transfer never starts."""
    failed = job.with_task(TAKE_SNAPSHOT, Status.FAILED, ended_at=job.moment)
    return failed.knowing(_NOTHING_MOVED).ended(Status.FAILED, job.moment, failure)


def machine_vanished(job: Job) -> Job:
    """Deleted while its snapshot was taken: the task still says InProgress (recorded)."""
    return job.knowing(_NOTHING_MOVED).ended(Status.FAILED, job.moment, VM_NOT_FOUND)


def snapshot_ended(job: Job, *, another_transfers: bool, durations: Durations) -> Job:
    """The transfer has begun, and says NotStarted for a while; or another's makes it needless."""
    taken = job.with_task(TAKE_SNAPSHOT, Status.COMPLETED, ended_at=job.moment)
    if another_transfers:
        return taken.with_task(TO_VAULT, Status.SKIPPED).then(Step.FINISH, durations.finish)
    return taken.then(Step.SHOW_TRANSFER, durations.transfer_unseen)


def transfer_shown(job: Job, durations: Durations) -> Job:
    began = job.task(TAKE_SNAPSHOT).ended_at
    assert began is not None
    shown = job.with_task(TO_VAULT, Status.IN_PROGRESS, started_at=began + _TRANSFER_DELAY)
    return shown.then(Step.END_TRANSFER, durations.transfer - durations.transfer_unseen)


def transferred(job: Job, size_bytes: int, durations: Durations) -> Job:
    done = job.with_task(TO_VAULT, Status.COMPLETED, ended_at=job.moment)
    sized = replace(done, size_bytes=size_bytes)
    return sized.then(Step.FINISH, durations.finish)


def not_transferred(job: Job, failure: Failure) -> Job:
    """The point stays in the instant tier: a warning."""
    failed = job.with_task(TO_VAULT, Status.FAILED, ended_at=job.moment)
    return failed.knowing(_NOTHING_MOVED).ended(Status.WARNED, job.moment, failure)


def finished(job: Job) -> Job:
    megabytes = -(-job.size_bytes // (1 << 20))
    return job.knowing({"Backup Size": f"{megabytes} MB"}).ended(Status.COMPLETED, job.moment)


def cancelled(job: Job, *, has_point: bool) -> Job:
    """Stopped. Where the snapshot was complete by then, its point stays, and it is a warning."""
    status = Status.WARNED if has_point else Status.CANCELLED
    return job.knowing(_NOTHING_MOVED).cancelled(job.moment, status)


def can_cancel(job: Job) -> bool:
    """Only until the transfer shows."""
    return job.step in (Step.FREEZE, Step.END_SNAPSHOT, Step.SHOW_TRANSFER)


def takes_snapshot(job: Job) -> bool:
    return job.step in (Step.FREEZE, Step.END_SNAPSHOT)


def transfers(job: Job) -> bool:
    return job.step in (Step.SHOW_TRANSFER, Step.END_TRANSFER)


def last_backup_of(job: Job) -> LastBackup:
    """What the item says of a backup that has ended.

    A cancelled transfer is a Failed one to the item, a failed transfer is not (both recorded).
    """
    told = Status.FAILED if job.status is Status.WARNED and job.error == CANCELLED else job.status
    return LastBackup(told.value, job.started_at, job.error)
