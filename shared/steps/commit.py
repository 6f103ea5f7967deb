"""The last step behind `transfer-to-vault`: audits the replica, seals it, writes the point."""

from enum import StrEnum

from shared import telemetry
from shared.decide.copying import plan_audit
from shared.decide.decision import Decision
from shared.decide.transfer import ROUNDS_LIMIT, audit_again, commit_point, plant_seed
from shared.model.disk import DiskState, Snapshot
from shared.model.errors import Conflict, SourceGone, StaleEpoch, Transient, VaultlineError
from shared.model.item import Item
from shared.model.job import Job
from shared.model.messages import TransferStep
from shared.model.point import Point
from shared.model.transfer import Phase, Round, Transfer
from shared.ports import Ports
from shared.steps.drafting import compared
from shared.steps.failing import fail_backup_transfer
from shared.steps.keeping import reasons_of
from shared.steps.listing import Tally
from shared.steps.step import step
from shared.steps.transact import the, transact


class Outcome(StrEnum):
    COMMITTED = "committed"
    SEEDED = "the replica holds the restored point"
    AUDIT_AGAIN = "the audit found differences"
    PLANNED_AGAIN = "the base moved"
    FAILED = "failed"
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
        state = await ports.images.raise_epoch(item.replica, transfer.epoch)
        if transfer.round is not Round.SEED and await _differs(ports, transfer, state):
            return await _audit_again(ports, item, transfer)
        sealed = await _seal(ports, state, transfer)
    except StaleEpoch:
        return Outcome.NOTHING
    except SourceGone as error:
        await fail_backup_transfer(ports, item.id, transfer, error)
        return Outcome.FAILED
    if transfer.round is Round.SEED:
        return await _plant(ports, request, sealed)
    return await _commit(ports, request, sealed)


def _ready(transfer: Transfer, request: TransferStep) -> bool:
    return transfer.phase is Phase.COMMITTING and transfer.epoch == request.epoch


async def _differs(ports: Ports, transfer: Transfer, replica: DiskState) -> bool:
    """Whether the replica's allocation is not the source snapshot's: two listings, no bytes."""
    audit = compared(ports, Tally(), transfer.snapshot, replica.url, plan_audit)
    async for window in audit:
        if window.ops:
            return True
    return False


async def _audit_again(ports: Ports, item: Item, transfer: Transfer) -> Outcome:
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
        return audit_again(item.id, row, ports.clock.now())

    await transact(ports, item.id, decide)
    return Outcome.AUDIT_AGAIN


async def _seal(ports: Ports, state: DiskState, transfer: Transfer) -> Snapshot:
    try:
        return await ports.disks.take_snapshot(state.url, transfer.job_id, if_etag=state.etag)
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
        made = commit_point(item, job, row, sealed, reasons, ports.clock.now())
        return Decision((made.result, job.record), made.changes, made.messages)

    result = await transact(ports, request.item_id, decide)
    if result is None:
        return Outcome.NOTHING
    point, job = result
    if point is None:
        return Outcome.PLANNED_AGAIN
    _measure(ports, point, job)
    return Outcome.COMMITTED


def _measure(ports: Ports, point: Point, job: Job) -> None:
    telemetry.backup_seconds.record(point.seconds, {"kind": point.kind.value})
    if job.slot:
        telemetry.lag_seconds.record((ports.clock.now() - job.slot).total_seconds())
    telemetry.note(point=point.id, kind=point.kind.value, copied_bytes=point.copied_bytes)
