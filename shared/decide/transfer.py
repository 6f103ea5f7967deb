"""How one source snapshot gets into the replica: base, rounds, parts, commit (DESIGN §3–§4).

A transfer goes through rounds: plan, copy in parts, look at the result. Most have one. Every
planning takes a new epoch, so that whoever planned or copied before is refused by the storage
service from then on (invariant 3).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.decide.backup import snapshot_point
from shared.decide.decision import Decision
from shared.decide.job_table import advance
from shared.decide.posting import expire_message, transfer_message
from shared.decide.retention import expires_at
from shared.model.disk import Snapshot
from shared.model.errors import ErrorDetail
from shared.model.ids import Epoch, ItemId, point_of
from shared.model.item import Base, Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.plan import PlanRef
from shared.model.point import Kind, Point, Reason
from shared.model.transfer import Phase, Round, Transfer

ROUNDS_LIMIT = 6
"""A transfer whose result still differs after so many rounds will not end: its job fails."""


@dataclass(frozen=True)
class Choice:
    """The base of a transfer, or why there is none."""

    base: Base | None
    reason: str = ""

    @property
    def kind(self) -> Kind:
        return Kind.INCREMENTAL if self.base else Kind.FULL


def choose_base(item: Item, transfer: Transfer) -> Choice:
    """The last committed point (fault 3), unless it cannot tell what has changed since."""
    if transfer.refused_bases:
        return Choice(None, transfer.refused_bases[-1])
    if item.base is None:
        return Choice(None, "first backup")
    if item.base.source.chain != transfer.snapshot.chain:
        return Choice(None, "the source disk was replaced since the last backup")
    return Choice(item.base)


def begin_round(
    item: Versioned[Item], transfer: Versioned[Transfer], now: datetime
) -> Decision[Transfer | None]:
    """A new epoch for what is to be planned now; None where nothing waits for a plan."""
    if transfer.record.phase is not Phase.PLANNING:
        return Decision(None)
    epoch = Epoch(item.record.epoch + 1)
    begun = replace(_aimed(item.record, transfer.record), epoch=epoch, progressed_at=now)
    raised = replace(item.record, epoch=epoch)
    return Decision(begun, (update(item, raised), update(transfer, begun)))


def _aimed(item: Item, transfer: Transfer) -> Transfer:
    """The transfer with what its next round is for; an audit keeps the base it audits."""
    if transfer.round is Round.AUDIT:
        return transfer
    if item.seed and not item.base and item.seed.source.chain == transfer.snapshot.chain:
        return replace(transfer, round=Round.SEED, base=None, kind=Kind.INCREMENTAL)
    choice = choose_base(item, transfer)
    return replace(
        transfer,
        round=Round.COPY,
        base=choice.base,
        kind=choice.kind,
        kind_reason=choice.reason,
    )


def refuse_base(
    item: ItemId, transfer: Versioned[Transfer], why: str, now: datetime
) -> Decision[None]:
    """The service cannot tell what changed since the base: plan again, without it."""
    refused = replace(transfer.record, refused_bases=(*transfer.record.refused_bases, why))
    return _plan_again(item, transfer, replace(refused, round=Round.COPY), now)


def refuse_seed(
    item: Versioned[Item], transfer: Versioned[Transfer], now: datetime
) -> Decision[None]:
    """The vault's copy of the restored point is gone: a full copy instead."""
    again = _plan_again(item.record.id, transfer, replace(transfer.record, round=Round.COPY), now)
    unseeded = replace(item.record, seed=None)
    return Decision(None, (update(item, unseeded), *again.changes), again.messages)


def plan_lost(item: ItemId, transfer: Versioned[Transfer], now: datetime) -> Decision[None]:
    """The plan that its parts are to be carried out by is not there any more."""
    return _plan_again(item, transfer, transfer.record, now)


def audit_again(item: ItemId, transfer: Versioned[Transfer], now: datetime) -> Decision[None]:
    """What is allocated in the replica is not what is allocated in the source: put it right."""
    return _plan_again(item, transfer, replace(transfer.record, round=Round.AUDIT), now)


def _plan_again(
    item: ItemId, row: Versioned[Transfer], changed: Transfer, now: datetime
) -> Decision[None]:
    waiting = replace(
        changed,
        phase=Phase.PLANNING,
        rounds=row.record.rounds + 1,
        plan=None,
        done_hex="0",
        attempt=0,
        pushes=0,
        progressed_at=now,
    )
    return Decision(None, (update(row, waiting),), (transfer_message(item, waiting, "plan"),))


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What planning found out: the written plan, and what the source's diff amounted to."""

    plan: PlanRef
    changed_bytes: int
    requests: int


def accept_plan(
    item: ItemId, transfer: Versioned[Transfer], planned: Planned, now: datetime
) -> Decision[None]:
    """The plan is written: its parts go out, or, where there is nothing to do, the commit."""
    before, plan = transfer.record, planned.plan
    repair = before.round is Round.AUDIT
    accepted = replace(
        before,
        phase=Phase.COPYING if plan.parts else Phase.COMMITTING,
        plan=plan,
        done_hex="0",
        pushes=0,
        changed_bytes=before.changed_bytes if repair else planned.changed_bytes,
        planned_bytes=before.planned_bytes + plan.copy_bytes,
        repaired_bytes=before.repaired_bytes
        + (plan.copy_bytes + plan.clear_bytes if repair else 0),
        requests=before.requests + planned.requests,
        progressed_at=now,
    )
    step = transfer_message(item, accepted, "fan-out" if plan.parts else "commit")
    return Decision(None, (update(transfer, accepted),), (step,))


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What one part amounted to. `worker_bytes` passed through us; the others did not."""

    copied_bytes: int = 0
    cleared_bytes: int = 0
    worker_bytes: int = 0
    requests: int = 0
    stream: bool = False


def finish_part(
    item: ItemId, transfer: Versioned[Transfer], part: int, copied: Copied, now: datetime
) -> Decision[bool]:
    """One more part in the set; the last one asks for the commit. The result says whether the
    part counted: one reported twice does not (fault 10)."""
    before = transfer.record
    if before.is_done(part):
        return Decision(False)
    seeding = before.round is Round.SEED
    after = replace(
        before.with_done(part),
        pushes=0,
        copied_bytes=before.copied_bytes + (0 if seeding else copied.copied_bytes),
        seeded_bytes=before.seeded_bytes + (copied.copied_bytes if seeding else 0),
        cleared_bytes=before.cleared_bytes + copied.cleared_bytes,
        worker_bytes=before.worker_bytes + copied.worker_bytes,
        requests=before.requests + copied.requests,
        stream=before.stream or copied.stream,
        progressed_at=now,
    )
    if not after.complete:
        return Decision(True, (update(transfer, after),))
    after = replace(after, phase=Phase.COMMITTING)
    return Decision(True, (update(transfer, after),), (transfer_message(item, after, "commit"),))


def plant_seed(
    item: Versioned[Item], transfer: Versioned[Transfer], replica: Snapshot, now: datetime
) -> Decision[None]:
    """The replica holds the restored point: from here the disk's backups are increments."""
    seed = item.record.seed
    if seed is None:
        return Decision(None)
    base = Base(point=seed.point, source=seed.source, replica=replica)
    again = _plan_again(item.record.id, transfer, replace(transfer.record, round=Round.COPY), now)
    based = replace(item.record, base=base)
    return Decision(None, (update(item, based), *again.changes), again.messages)


def commit_point(
    item: Versioned[Item],
    job: Versioned[Job],
    transfer: Versioned[Transfer],
    replica: Snapshot,
    reasons: tuple[Reason, ...],
    now: datetime,
) -> Decision[Point | None]:
    """The recovery point, the moved base, the ended job: one conditional write (invariant 1).

    None where the base is not the one that the transfer was planned against (invariant 11): it
    is then planned again.
    """
    before = transfer.record
    if not _base_stands(item.record, before):
        again = _plan_again(item.record.id, transfer, replace(before, round=Round.COPY), now)
        return Decision(None, again.changes, again.messages)
    point = _point(job.record, before, replica, reasons, now)
    committed = replace(
        item.record,
        state=_protected(item.record.state),
        base=Base(point=point.id, source=before.snapshot, replica=replica),
        seed=None,
        transferring=None,
        last_point_at=point.created_at,
        expiry_due=True,
    )
    ended = replace(
        advance(job.record, TRANSFER, Status.COMPLETED, now),
        planned_bytes=before.planned_bytes,
        moved_bytes=before.copied_bytes,
    )
    rows: tuple[RowChange, ...] = (
        Insert(point),
        update(item, committed),
        update(job, ended),
        Delete(before, transfer.etag),
    )
    return Decision(point, rows, (expire_message(item.record.id, job.record.id, now),))


def _base_stands(item: Item, transfer: Transfer) -> bool:
    """A full copy stands on nothing; an increment on the base that the item still has."""
    return transfer.kind is Kind.FULL or transfer.base == item.base


def _protected(state: ProtectionState) -> ProtectionState:
    stopped = state is ProtectionState.PROTECTION_STOPPED
    return state if stopped else ProtectionState.PROTECTED


def _point(
    job: Job,
    transfer: Transfer,
    replica: Snapshot,
    reasons: tuple[Reason, ...],
    now: datetime,
) -> Point:
    return Point(
        id=point_of(job.id),
        item_id=job.item_id,
        job_id=job.id,
        created_at=transfer.snapshot.taken_at,
        kind=transfer.kind,
        kind_reason=transfer.kind_reason,
        source=transfer.snapshot,
        replica=replica,
        size_bytes=transfer.snapshot.size_bytes,
        changed_bytes=transfer.changed_bytes,
        copied_bytes=transfer.copied_bytes,
        cleared_bytes=transfer.cleared_bytes,
        worker_bytes=transfer.worker_bytes,
        repaired_bytes=transfer.repaired_bytes,
        requests=transfer.requests,
        seconds=max(0.0, (now - transfer.started_at).total_seconds()),
        retain_until=job.retain_until,
        reasons=reasons,
        expires_at=expires_at(reasons),
    )


def fail_transfer(
    item: Versioned[Item],
    job: Versioned[Job],
    transfer: Versioned[Transfer],
    error: ErrorDetail,
    reasons: tuple[Reason, ...] | None,
    now: datetime,
) -> Decision[None]:
    """The transfer ends without a point in the vault; its snapshot remains a point of its own,
    unless it is gone (`reasons` None): then the backup has nothing at all to show.

    What it wrote into the replica is put right by the next transfer (invariant 4).
    """
    before = transfer.record
    freed = replace(item.record, transferring=None, expiry_due=True)
    rows: list[RowChange] = []
    if reasons is not None:
        point = snapshot_point(job.record, before.snapshot, reasons, "its transfer failed")
        freed = replace(freed, last_point_at=point.created_at)
        rows.append(Insert(point))
    taken = Status.COMPLETED if rows else Status.FAILED
    ended = replace(
        advance(
            job.record.with_task(TAKE_SNAPSHOT, taken, now), TRANSFER, Status.FAILED, now, error
        ),
        planned_bytes=before.planned_bytes,
        moved_bytes=before.copied_bytes,
    )
    rows += [update(item, freed), update(job, ended), Delete(before, transfer.etag)]
    return Decision(None, tuple(rows), (expire_message(item.record.id, job.record.id, now),))
