"""How a job goes that a Recovery Services vault carries out: asked for, looked at, ended.

Its errand travels in the job's row. Each look writes the next one's message in its own transaction
(invariant 7), under the number of that look: so a message that comes twice, or late, finds that it
was served.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.codec import from_json, to_json
from shared.decide.backup import Claim, claim_snapshot
from shared.decide.decision import Decision
from shared.decide.posting import turn_message
from shared.decide.protection import check_same
from shared.model.errors import CANCELLED, ErrorDetail, Invalid, Transient, VaultlineError
from shared.model.item import Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status
from shared.model.ledger import Insert, Replace, RowChange, Versioned, update
from shared.model.messages import VAULTS, FollowVault, Outgoing
from shared.model.mirroring import Errand
from shared.model.pace import Pace
from shared.model.recovery import VaultJob

PATIENCE = timedelta(days=1)
"""A vault that cannot be reached for so long has lost the job, as far as we can tell."""
SLOT_PATIENCE = timedelta(hours=3)
"""So long after a slot the vault may begin the slot's backup: after that it has left it out. No two
slots of a vault's schedule are nearer than four hours."""
SKEW = timedelta(minutes=1)
"""The vault's own times of one thing may be so far apart."""
CLOCKS = timedelta(minutes=15)
"""The vault's clock, and ours, may be so far apart."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a look at the vault found. `status` is the job's; `said` is what the vault says of its
    own job, where it said something; `wait_seconds` when to look again, where that is known. No
    `errand`: it is as it stands."""

    errand: Errand | None = None
    status: Status = Status.IN_PROGRESS
    mirrors: str = ""
    said: VaultJob | None = None
    error: ErrorDetail | None = None
    wait_seconds: float | None = None


def errand_of(job: Job) -> Errand:
    """How far the asking has come."""
    return from_json(Errand, job.errand) if job.errand else Errand()


def with_errand(job: Job, errand: Errand) -> Job:
    return replace(job, errand=to_json(errand))


def follow_message(job: Job, not_before: datetime | None = None) -> Outgoing:
    """The next look at the job."""
    look = errand_of(job).looks
    request = FollowVault(item_id=job.item_id, job_id=job.id, look=look)
    return Outgoing(
        queue=VAULTS,
        message_id=f"{job.id}.look.{look}",
        body=to_json(request),
        not_before=not_before,
    )


def claim_backup(
    item: Versioned[Item], row: Versioned[Job] | None, new: Job, now: datetime
) -> Decision[Claim]:
    """The item's one place for a backup, as with a snapshot of ours (invariant 5), and the first
    look in the same transaction. While its protection changes, backups wait."""
    if item.record.following and (row.record if row else new).status is Status.NOT_STARTED:
        queued = replace(item.record, queued=(*item.record.queued, new.id))
        return Decision(Claim.WAIT, () if row else (update(item, queued), Insert(new)))
    claimed = claim_snapshot(item, row, new, now)
    if claimed.result is Claim.RESUME:
        return Decision(Claim.FOLLOW)
    if claimed.result is not Claim.TAKE:
        return claimed
    changes = tuple(_begun(change, now) for change in claimed.changes)
    started = next(each.record for each in changes if isinstance(each.record, Job))
    return Decision(Claim.FOLLOW, changes, (*claimed.messages, follow_message(started)))


def _begun(change: RowChange, now: datetime) -> RowChange:
    """The change, of a job that the vault is about to carry out."""
    if not (isinstance(change, Insert | Replace) and isinstance(change.record, Job)):
        return change
    job = replace(change.record, look_at=now)
    return replace(change, record=with_errand(job, errand_of(job)))


def begin_change(row: Versioned[Item], job: Job) -> Decision[None]:
    """The job, its place and its first look in one transaction (invariant 21). One change at a
    time: the vault would refuse the second. Raises `Invalid`."""
    if row.record.following:
        raise Invalid(
            f"the protection of item {row.record.id} is being changed: {row.record.following[0]}",
            code="ProtectionChanges",
            action=f"Wait for its end: `vaultline show {row.record.following[0]}`.",
        )
    begun = replace(job, look_at=job.started_at)
    busy = replace(row.record, following=(job.id,))
    return Decision(None, (update(row, busy), Insert(begun)), (follow_message(begun),))


def enter_mirrored(
    row: Versioned[Item] | None, item: Item, job: Job, errand: Errand
) -> Decision[None]:
    """A new item, or one whose protection is taken up again; nothing is to be done where it is
    under the policy already. Raises `AlreadyExists`, `Invalid` as `enter` does."""
    if row is None:
        begun = with_errand(replace(job, look_at=job.started_at), replace(errand, new=True))
        first = replace(item, following=(job.id,))
        return Decision(None, (Insert(first), Insert(begun)), (follow_message(begun),))
    check_same(row.record, item)
    if row.record.state is not ProtectionState.PROTECTION_STOPPED and not row.record.following:
        return Decision(None, (Insert(job.end(Status.COMPLETED, job.started_at)),))
    resumed = replace(row.record, policy=item.policy, first_slot=item.first_slot)
    return begin_change(replace(row, record=resumed), with_errand(job, errand))


def begin_restore(row: Versioned[Item], job: Job) -> Decision[None]:
    """The job among the item's restores, and its first look."""
    begun = replace(job, look_at=job.started_at)
    busy = replace(row.record, restoring=(*row.record.restoring, job.id))
    return Decision(None, (update(row, busy), Insert(begun)), (follow_message(begun),))


def look_again(row: Versioned[Job], sight: Sight, now: datetime, pace: Pace) -> Decision[None]:
    """The job as the vault tells it, and the message for the next look."""
    job = told(row.record, sight.said, now)
    before = sight.errand or errand_of(job)
    heard = before.heard_at if sight.error else now
    errand = replace(before, looks=before.looks + 1, heard_at=heard)
    wait = sight.wait_seconds or wait_seconds(errand.looks, pace)
    at = now + timedelta(seconds=wait)
    seen = replace(
        with_errand(job, errand),
        mirrors=sight.mirrors or job.mirrors,
        look_at=at,
        progressed_at=now,
        attempts=0,
    )
    return Decision(None, (update(row, seen),), (follow_message(seen, at),))


def gives_way(item: Item, job: Job, sight: Sight) -> bool:
    """Whether somebody waits for the place of a slot's job that has nothing to do yet but to wait
    for the vault's own backup."""
    waits = job.slot is not None and not sight.mirrors and job.status is Status.IN_PROGRESS
    return waits and item.snapshotting == job.id and bool(item.queued)


def give_way(item: Versioned[Item], row: Versioned[Job], now: datetime) -> Decision[None]:
    """The slot's job goes to the end of the queue, and looks on when its turn comes: what the
    vault did meanwhile is found then as well."""
    job = row.record
    errand = replace(errand_of(job), looks=errand_of(job).looks + 1)
    tasks = tuple(replace(task, status=Status.NOT_STARTED) for task in job.sub_tasks)
    waiting = replace(
        with_errand(job, errand),
        status=Status.NOT_STARTED,
        sub_tasks=tasks,
        look_at=None,
        progressed_at=now,
    )
    left = item.record.without(job.id)
    left = replace(left, queued=(*left.queued, job.id))
    return Decision(None, (update(item, left), update(row, waiting)), next_turn(left, job))


def troubled(job: Job, error: VaultlineError, now: datetime) -> Sight:
    """What a vault that did not answer as it should means for the job."""
    heard = errand_of(job).heard_at or job.started_at
    if not error.transient or now - heard > PATIENCE:
        return Sight(status=Status.FAILED, error=error.detail())
    wait = error.retry_after if isinstance(error, Transient) else None
    return Sight(error=error.detail(), wait_seconds=wait)


def ask_to_go_on(row: Versioned[Job]) -> Decision[Job]:
    """It was too late to cancel it."""
    on = replace(row.record, status=Status.IN_PROGRESS)
    if row.record.status is not Status.CANCELLING:
        return Decision(row.record)
    return Decision(on, (update(row, on),))


def push_errand(row: Versioned[Job], now: datetime) -> Decision[None]:
    """A look whose message was lost."""
    job = row.record
    errand = errand_of(job)
    pushed = replace(
        with_errand(job, replace(errand, looks=errand.looks + 1)),
        attempts=job.attempts + 1,
        progressed_at=now,
        look_at=now,
    )
    return Decision(None, (update(row, pushed),), (follow_message(pushed),))


def wait_seconds(looks: int, pace: Pace) -> float:
    """Longer from look to look: a backup takes an hour, and the vault answers but 150 times in
    one."""
    return min(pace.vault_look_seconds * 2.0 ** min(looks - 1, 16), pace.vault_wait_seconds)


def told(job: Job, said: VaultJob | None, now: datetime) -> Job:
    """The job with its sub-tasks as the vault tells them."""
    if said is None:
        return job
    for task in said.sub_tasks:
        job = job.with_task(task.name, task.status, now)
    if job.operation is Operation.BACKUP:
        job = _without_gap(job, said, now)
    return replace(job, mirrors=said.id, moved_bytes=said.backup_bytes or job.moved_bytes)


def _without_gap(job: Job, said: VaultJob, now: datetime) -> Job:
    """The vault says for minutes that a transfer has not started that is under way; and a listing
    tells no sub-tasks, only that all is done."""
    if said.status is Status.COMPLETED and not said.sub_tasks:
        done = job.with_task(TAKE_SNAPSHOT, Status.COMPLETED, now)
        return done.with_task(TRANSFER, Status.COMPLETED, now)
    taken = job.task(TAKE_SNAPSHOT) is Status.COMPLETED
    if taken and job.task(TRANSFER) is Status.NOT_STARTED and not said.status.ended:
        return job.with_task(TRANSFER, Status.IN_PROGRESS, now)
    return job


def end_errand(
    item: Versioned[Item] | None, row: Versioned[Job], sight: Sight, now: datetime
) -> Decision[None]:
    """The job ends in the transaction that gives up its place (invariant 22)."""
    job = told(row.record, sight.said, now)
    status, error = ended_as(job, sight)
    ended = replace(job.end(status, now, error), look_at=None, attempts=0)
    changes: list[RowChange] = [update(row, ended)]
    if item is None:
        return Decision(None, tuple(changes))
    left = item.record.without(ended.id)
    changes.append(update(item, left))
    return Decision(None, tuple(changes), next_turn(left, ended))


def next_turn(item: Item, ended: Job) -> tuple[Outgoing, ...]:
    """To the backup that waited for this job's end."""
    return () if item.following else turn_message(item, ended.id)


def ended_as(job: Job, sight: Sight) -> tuple[Status, ErrorDetail | None]:
    """How our job ends where the vault's ended so. One that somebody cancelled in time is
    cancelled, although the vault calls it a warning where its snapshot is there."""
    cancelled = job.status is Status.CANCELLING and sight.status in (
        Status.CANCELLED,
        Status.COMPLETED_WITH_WARNINGS,
    )
    if cancelled or sight.status is Status.CANCELLED:
        return Status.CANCELLED, CANCELLED
    return sight.status, sight.error


def ask_to_end(row: Versioned[Job], now: datetime) -> Decision[None]:
    """The vault is asked to end it; only it knows whether that is still possible."""
    if row.record.status is not Status.IN_PROGRESS:
        return Decision(None)
    errand = errand_of(row.record)
    stopping = replace(
        with_errand(row.record, replace(errand, looks=errand.looks + 1)),
        status=Status.CANCELLING,
        progressed_at=now,
        look_at=now,
        attempts=0,
    )
    return Decision(None, (update(row, stopping),), (follow_message(stopping),))
