"""How one source snapshot gets into the replica: base, rounds, parts, commit (DESIGN §3–§4).

A transfer goes through rounds: plan, copy in parts, look at the result. Most have one. Every
planning takes a new epoch, so that whoever planned or copied before is refused by the storage
service from then on (invariant 3).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.decide.backup import snapshot_point
from shared.decide.check import start_check
from shared.decide.decision import Decision
from shared.decide.job_table import advance
from shared.decide.posting import expire_message, transfer_message, turn_of_checks
from shared.decide.retention import expires_at
from shared.decide.rounds import another_round
from shared.decide.suspicion import look_again, must_look, warning_of
from shared.model.disk import Snapshot
from shared.model.errors import ErrorDetail
from shared.model.extents import Image, image_of, largest, layout_of
from shared.model.ids import Epoch, ItemId, point_of
from shared.model.item import Base, Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.manifest import manifest_of
from shared.model.plan import PlanRef
from shared.model.point import Kind, Point, Reason
from shared.model.transfer import Phase, Round, Transfer

DIFFED_TOGETHER_BYTES = 4 * 1024**4
"""Azure gives no diff of a disk across a resize from at most 4 TiB to more, or back."""


LOOKED = "the source cannot be copied by the service, so only what differed was written"


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
    if _resized_across(item.base.source, transfer.snapshot):
        return Choice(None, "the source disk was resized across 4 TiB since the last backup")
    return Choice(item.base)


def _resized_across(before: Snapshot, now: Snapshot) -> bool:
    """Of a machine, whether any disk that both have was."""
    was, is_ = dict(layout_of(before)), dict(layout_of(now))
    return any(_large(was[seat]) is not _large(is_[seat]) for seat in was.keys() & is_.keys())


def _large(size_bytes: int) -> bool:
    return size_bytes > DIFFED_TOGETHER_BYTES


def begin_round(
    item: Versioned[Item], transfer: Versioned[Transfer], now: datetime
) -> Decision[Transfer | None]:
    """A new epoch for what is to be planned now; None where nothing waits for a plan."""
    if transfer.record.phase is not Phase.PLANNING:
        return Decision(None)
    epoch = Epoch(item.record.epoch + 1)
    aimed = _aimed(item.record, transfer.record)
    streams, epochs = _streams(item.record, aimed), aimed.epochs + 1
    begun = replace(aimed, epoch=epoch, epochs=epochs, stream=streams, progressed_at=now)
    layout = largest(item.record.replica_layout, layout_of(source_of(item.record, begun)))
    raised = replace(item.record, epoch=epoch, replica_layout=layout)
    return Decision(begun, (update(item, raised), update(transfer, begun)))


def _streams(item: Item, transfer: Transfer) -> bool:
    """Whether a worker has to carry the bytes of the round's source, as far as is known."""
    return transfer.round is not Round.SEED and item.streams == transfer.snapshot.chain


def source_of(item: Item, transfer: Transfer) -> Snapshot:
    """The snapshot that the current round copies from."""
    if transfer.round is Round.SEED and item.seed is not None:
        return item.seed.vault_copy
    return transfer.snapshot


def target_of(item: Item, transfer: Transfer) -> Image:
    """What the current round makes like its source, or, where it writes nothing, compares with
    it: a check, the snapshot that its point names (invariant 30)."""
    if transfer.for_check and transfer.round is Round.CHECK and transfer.base is not None:
        return image_of(transfer.base.replica)
    return item.replica_of(layout_of(source_of(item, transfer)))


def _aimed(item: Item, transfer: Transfer) -> Transfer:
    """The transfer with what its next round is for; an audit keeps the base it audits."""
    if transfer.round is Round.AUDIT:
        return transfer
    if transfer.round.reads:
        return replace(transfer, suspected=item.suspect)
    if _begins_as_seed(item, transfer.snapshot.chain):
        return replace(transfer, round=Round.SEED, base=None, kind=Kind.INCREMENTAL)
    choice = choose_base(item, transfer)
    looks = choice.base is None and _worth_looking(item, transfer)
    return replace(
        transfer,
        round=Round.COMPARE if looks else Round.COPY,
        base=choice.base,
        kind=choice.kind,
        kind_reason=f"{choice.reason}; {LOOKED}" if looks else choice.reason,
        suspected=(),
    )


def _begins_as_seed(item: Item, chain: str) -> bool:
    """Whether the disk is a restored one, and nothing of it is in the vault yet but its point."""
    known = item.base is not None and item.base.source.chain == chain
    return item.seed is not None and not known and item.seed.source.chain == chain


def _worth_looking(item: Item, transfer: Transfer) -> bool:
    """Whether a full copy is to leave alone what the replica has already: where the source's
    bytes have to be read anyway, and the replica holds most of them."""
    return item.base is not None and _streams(item, transfer)


def refuse_base(
    item: ItemId, transfer: Versioned[Transfer], why: str, now: datetime
) -> Decision[None]:
    """The service cannot tell what changed since the base: plan again, without it."""
    refused = replace(transfer.record, refused_bases=(*transfer.record.refused_bases, why))
    return another_round(item, transfer, replace(refused, round=Round.COPY), now)


def refuse_seed(
    item: Versioned[Item], transfer: Versioned[Transfer], now: datetime
) -> Decision[None]:
    """The vault's copy of the restored point is gone: a full copy instead."""
    again = another_round(item.record.id, transfer, replace(transfer.record, round=Round.COPY), now)
    unseeded = replace(item.record, seed=None)
    return Decision(None, (update(item, unseeded), *again.changes), again.messages)


def plan_lost(item: ItemId, transfer: Versioned[Transfer], now: datetime) -> Decision[None]:
    """The plan that its parts are to be carried out by is not there any more."""
    return another_round(item, transfer, transfer.record, now)


def audit_again(item: ItemId, transfer: Versioned[Transfer], now: datetime) -> Decision[None]:
    """What is allocated in the replica is not what is allocated in the source: put it right."""
    return another_round(item, transfer, replace(transfer.record, round=Round.AUDIT), now)


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
    repair, reads = before.round is Round.AUDIT, before.round.reads
    later = repair or (reads and before.kind is Kind.INCREMENTAL)
    writes = () if before.round is Round.CHECK else plan.extents
    accepted = replace(
        before,
        phase=Phase.COPYING if plan.parts else Phase.COMMITTING,
        plan=plan,
        touched=tuple(sorted({*before.touched, *writes})),
        done_hex="0",
        reached=(),
        pushes=0,
        changed_bytes=before.changed_bytes if later else planned.changed_bytes,
        planned_bytes=before.planned_bytes + (0 if reads else plan.copy_bytes),
        comparing_bytes=before.comparing_bytes + (plan.copy_bytes if reads else 0),
        repaired_bytes=before.repaired_bytes
        + (plan.copy_bytes + plan.clear_bytes if repair else 0),
        requests=before.requests + planned.requests,
        progressed_at=now,
    )
    step = transfer_message(item, accepted, "fan-out" if plan.parts else "commit")
    return Decision(None, (update(transfer, accepted),), (step,))


def plant_seed(
    item: Versioned[Item], transfer: Versioned[Transfer], replica: Snapshot, now: datetime
) -> Decision[None]:
    """The replica holds the restored point: from here the disk's backups are increments."""
    seed = item.record.seed
    if seed is None:
        return Decision(None)
    epoch = transfer.record.epoch
    base = Base(point=seed.point, source=seed.source, replica=replica, epoch=epoch)
    again = another_round(item.record.id, transfer, replace(transfer.record, round=Round.COPY), now)
    based = replace(item.record, base=base)
    return Decision(None, (update(item, based), *again.changes), again.messages)


def commit_point(
    item: Versioned[Item],
    job: Versioned[Job],
    transfer: Versioned[Transfer],
    replica: Snapshot,
    reasons: tuple[Reason, ...],
    now: datetime,
    check: Job | None = None,
) -> Decision[Point | None]:
    """The recovery point, the moved base, the ended job: one conditional write (invariant 1).

    None where the base is not the one that the transfer was planned against (invariant 11), or
    the replica became suspect meanwhile (invariant 31): it is then planned again. `check` is the
    one that the policy wants to follow.
    """
    before = transfer.record
    if must_look(item.record, before):
        again = look_again(item.record.id, transfer, now)
        return Decision(None, (update(item, item.record), *again.changes), again.messages)
    if not _base_stands(item.record, before):
        again = another_round(item.record.id, transfer, replace(before, round=Round.COPY), now)
        return Decision(None, again.changes, again.messages)
    point = _point(item.record, job.record, before, replica, reasons, now)
    base = Base(point=point.id, source=before.snapshot, replica=replica, epoch=before.epoch)
    committed = replace(
        item.record,
        state=_protected(item.record.state),
        base=base,
        seed=None,
        transferring=None,
        suspect=(),
        last_point_at=point.created_at,
        expiry_due=True,
    )
    ended = _committed(job.record, before, now)
    rows: tuple[RowChange, ...] = (Insert(point), update(job, ended), Delete(before, transfer.etag))
    messages = (expire_message(committed.id, ended.id, now), *turn_of_checks(committed, ended.id))
    if check is not None:
        started = start_check(committed, base, check)
        committed, rows = started.item, (*rows, *started.rows)
        messages = (*messages, *started.messages)
    return Decision(point, (update(item, committed), *rows), messages)


def _committed(job: Job, transfer: Transfer, now: datetime) -> Job:
    ended = replace(
        advance(job, TRANSFER, Status.COMPLETED, now),
        planned_bytes=transfer.planned_bytes,
        moved_bytes=transfer.copied_bytes,
    )
    warning = warning_of(transfer)
    return ended.end(Status.COMPLETED_WITH_WARNINGS, now, warning) if warning else ended


def unwritten(transfer: Transfer) -> Image:
    """The base's snapshots of the extents that no round has written to: nor has anybody else since
    the base, if every epoch since was the transfer's own (invariant 3). None where one was not: a
    transfer that came to nothing may have written what no listing tells any more, and which of the
    two, replica or snapshot, is as the source cannot be seen by what is allocated."""
    base = transfer.base
    if base is None or transfer.epoch - base.epoch != transfer.epochs:
        return ()
    touched = frozenset(transfer.touched)
    return tuple(each for each in image_of(base.replica) if each.start not in touched)


def _base_stands(item: Item, transfer: Transfer) -> bool:
    """A full copy stands on nothing; an increment on the base that the item still has."""
    return transfer.kind is Kind.FULL or transfer.base == item.base


def _protected(state: ProtectionState) -> ProtectionState:
    stopped = state is ProtectionState.PROTECTION_STOPPED
    return state if stopped else ProtectionState.PROTECTED


def _point(
    item: Item,
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
        manifest=manifest_of(item.replica, job.id),
        consistency=job.consistency,
        consistency_reason=job.consistency_reason,
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
    turn = turn_of_checks(freed, ended.id)
    return Decision(None, tuple(rows), (expire_message(freed.id, ended.id, now), *turn))
