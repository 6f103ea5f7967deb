"""The last step behind `transfer-to-vault`: audits the replica, seals it, writes the point."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from shared import telemetry
from shared.decide.check import following_check
from shared.decide.copying import plan_audit
from shared.decide.decision import Decision
from shared.decide.rounds import ROUNDS_LIMIT
from shared.decide.sampling import Sampler
from shared.decide.suspicion import doubt, look_again, must_look, narrow
from shared.decide.transfer import (
    audit_again,
    commit_point,
    plant_seed,
    source_of,
    target_of,
    unwritten,
)
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import (
    Conflict,
    ErrorDetail,
    SourceGone,
    StaleEpoch,
    Transient,
    VaultlineError,
)
from shared.model.extents import Image, image_of
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Versioned
from shared.model.messages import TransferStep
from shared.model.point import Kind, Point
from shared.model.transfer import Phase, Round, Transfer
from shared.ports import Ports
from shared.steps.check import conclude_comparison, heal_point
from shared.steps.doubt import note_damage, sampled_doubt
from shared.steps.drafting import compared
from shared.steps.extents import still_fenced
from shared.steps.failing import fail_backup_transfer
from shared.steps.keeping import reasons_of
from shared.steps.listing import Tally
from shared.steps.policies import policy_of
from shared.steps.sealing import Seal, seal
from shared.steps.step import step
from shared.steps.transact import the, transact


class Outcome(StrEnum):
    COMMITTED = "committed"
    SEEDED = "the replica holds the restored point"
    AUDIT_AGAIN = "the audit found differences"
    PLANNED_AGAIN = "the base moved"
    FAILED = "failed"
    LOOK_AGAIN = "the replica is suspect"
    DAMAGE = "what differs is to be put right"
    SOUND = "nothing differs"
    HEALED = "the replica is as its source"
    NOTHING = "nothing to do"


@step("commit")
async def commit_transfer(ports: Ports, request: TransferStep) -> Outcome:
    """Makes the recovery point exist; repeatable. What was audited is what is sealed: the
    snapshot is taken only while the replica's etag is the one from before the audit."""
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or not _ready(row.record, request):
        return Outcome.NOTHING
    item, transfer = (await the(ports, request.item_id, Item)).record, row.record
    try:
        if transfer.round is Round.CHECK:
            return await _compared(ports, request, item, transfer)
        replica = target_of(item, transfer)
        states = await still_fenced(ports, replica, transfer.epoch)
        if again := await _another_round(ports, item, transfer, replica):
            return again
        sealed = await _seal(ports, item, transfer, replica, states)
    except StaleEpoch:
        return Outcome.NOTHING
    except SourceGone as error:
        await fail_backup_transfer(ports, item.id, transfer, error)
        return Outcome.FAILED
    return await _conclude(ports, request, transfer, sealed)


def _ready(transfer: Transfer, request: TransferStep) -> bool:
    return transfer.phase is Phase.COMMITTING and transfer.epoch == request.epoch


async def _compared(ports: Ports, request: TransferStep, item: Item, transfer: Transfer) -> Outcome:
    """A round that only looked is over."""
    if transfer.for_check:
        found = await conclude_comparison(ports, request)
        return Outcome.DAMAGE if found else Outcome.SOUND
    await note_damage(ports, item.id, transfer)
    return await _again(ports, item, transfer, narrow, Outcome.DAMAGE)


async def _another_round(
    ports: Ports, item: Item, transfer: Transfer, replica: Image
) -> Outcome | None:
    """Whatever speaks against sealing the replica as it is: what is allocated in it, what was
    suspect before, what a few samples show."""
    if transfer.round is Round.SEED:
        return None
    sampler = Sampler(f"{transfer.job_id} {transfer.rounds}", _samples(ports, transfer))
    if await _differs(ports, transfer, replica, sampler):
        return await _again(ports, item, transfer, _audit, Outcome.AUDIT_AGAIN)
    if must_look(item, transfer):
        return await _again(ports, item, transfer, _look, Outcome.LOOK_AGAIN)
    doubt_ = await sampled_doubt(ports, item.id, transfer, replica, sampler.chosen)
    if doubt_ is not None:
        warned = partial(_doubt, doubt_)
        return await _again(ports, item, transfer, warned, Outcome.LOOK_AGAIN)
    return None


def _samples(ports: Ports, transfer: Transfer) -> int:
    """An increment alone trusts a diff."""
    trusting = transfer.kind is Kind.INCREMENTAL and not transfer.for_check
    return ports.pace.samples if trusting else 0


async def _differs(ports: Ports, transfer: Transfer, replica: Image, sampler: Sampler) -> bool:
    """Whether the replica's allocation is not the source snapshot's: two listings, no bytes. What
    both have is what samples are chosen from."""
    audit = compared(ports, Tally(), image_of(transfer.snapshot), replica, plan_audit)
    async for window in audit:
        if window.ops:
            return True
        sampler.see(window.source or ())
    return False


Again = Callable[[Versioned[Item], Versioned[Transfer], datetime], Decision[None]]


def _audit(item: Versioned[Item], row: Versioned[Transfer], now: datetime) -> Decision[None]:
    return audit_again(item.record.id, row, now)


def _look(item: Versioned[Item], row: Versioned[Transfer], now: datetime) -> Decision[None]:
    return look_again(item.record.id, row, now)


def _doubt(
    why: ErrorDetail, item: Versioned[Item], row: Versioned[Transfer], now: datetime
) -> Decision[None]:
    return doubt(item, row, why, now)


async def _again(
    ports: Ports, item: Item, transfer: Transfer, decide_again: Again, outcome: Outcome
) -> Outcome:
    """Another round, unless there have been enough of them."""
    if transfer.rounds >= ROUNDS_LIMIT:
        error = VaultlineError(
            f"after {transfer.rounds} rounds the replica still differs from the source",
            code="AuditFailed",
            action="Run a consistency check of the item; the vault's storage may be damaged.",
        )
        await fail_backup_transfer(ports, item.id, transfer, error)
        return Outcome.FAILED

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Transfer, transfer.job_id)
        if row is None or row.record != transfer:
            return Decision(None)
        return decide_again(await the(ports, item.id, Item), row, ports.clock.now())

    await transact(ports, item.id, decide)
    return outcome


async def _conclude(
    ports: Ports, request: TransferStep, transfer: Transfer, sealed: Snapshot
) -> Outcome:
    if transfer.for_check:
        await heal_point(ports, request, sealed)
        return Outcome.HEALED
    if transfer.round is Round.SEED:
        return await _plant(ports, request, sealed)
    return await _commit(ports, request, sealed)


async def _seal(
    ports: Ports, item: Item, transfer: Transfer, replica: Image, states: Sequence[DiskState]
) -> Snapshot:
    as_ = Seal(
        replica=item.replica,
        like=source_of(item, transfer),
        tag=transfer.job_id,
        unwritten=unwritten(transfer),
    )
    try:
        return await seal(ports, replica, states, as_)
    except Conflict:
        raise Transient("the replica was written to during the audit; it is repeated") from None


async def _plant(ports: Ports, request: TransferStep, sealed: Snapshot) -> Outcome:
    async def decide() -> Decision[None]:
        item = await the(ports, request.item_id, Item)
        row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
        if row is None or not _ready(row.record, request):
            return Decision(None)
        return plant_seed(item, row, sealed, ports.clock.now())

    await transact(ports, request.item_id, decide)
    return Outcome.SEEDED


async def _commit(ports: Ports, request: TransferStep, sealed: Snapshot) -> Outcome:
    async def decide() -> Decision[tuple[Point | None, Job] | None]:
        row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
        if row is None or not _ready(row.record, request):
            return Decision(None)
        item = await the(ports, request.item_id, Item)
        job = await the(ports, request.item_id, Job, request.job_id)
        reasons = await reasons_of(ports, item.record, job.record, row.record.snapshot)
        check = await _following_check(ports, item.record, row.record)
        made = commit_point(item, job, row, sealed, reasons, ports.clock.now(), check)
        return Decision((made.result, job.record), made.changes, made.messages)

    result = await transact(ports, request.item_id, decide)
    if result is None:
        return Outcome.NOTHING
    point, job = result
    if point is None:
        return Outcome.PLANNED_AGAIN
    _measure(ports, point, job)
    return Outcome.COMMITTED


async def _following_check(ports: Ports, item: Item, transfer: Transfer) -> Job | None:
    """The check that the policy wants from here; listed before it exists (invariant 15)."""
    checks = (await policy_of(ports, item.policy)).checks
    now = ports.clock.now()
    check = following_check(checks, item, transfer.job_id, transfer.kind, now)
    if check is None:
        return None
    await ports.catalog.note_job(check.id, now)
    return replace(check, trace_id=telemetry.trace_id())


def _measure(ports: Ports, point: Point, job: Job) -> None:
    telemetry.backup_seconds.record(point.seconds, {"kind": point.kind.value})
    if job.slot:
        telemetry.lag_seconds.record((ports.clock.now() - job.slot).total_seconds())
    telemetry.note(point=point.id, kind=point.kind.value, copied_bytes=point.copied_bytes)
