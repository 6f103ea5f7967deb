"""How a backup ends that cannot get any further."""

from shared.decide.backup import fail_snapshot
from shared.decide.check import fail_check
from shared.decide.decision import Decision
from shared.decide.transfer import fail_transfer
from shared.model.errors import ChainBroken, ErrorDetail, SourceGone, VaultlineError
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.keeping import reasons_of_snapshot
from shared.steps.transact import the, transact


async def fail_backup_snapshot(
    ports: Ports, item_id: ItemId, job_id: JobId, error: VaultlineError
) -> None:
    """Ends a backup that cannot have its snapshot."""

    async def decide() -> Decision[None]:
        item = await the(ports, item_id, Item)
        job = await the(ports, item_id, Job, job_id)
        return fail_snapshot(item, job, error.detail(), ports.clock.now())

    await transact(ports, item_id, decide)


async def fail_backup_transfer(
    ports: Ports, item_id: ItemId, failed: Transfer, error: VaultlineError
) -> None:
    """Ends a transfer that cannot reach the vault, or a check that cannot get any further, unless
    it has moved on meanwhile."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item_id, Transfer, failed.job_id)
        if row is None or row.record.epoch != failed.epoch:
            return Decision(None)
        item = await the(ports, item_id, Item)
        job = await the(ports, item_id, Job, failed.job_id)
        if failed.for_check:
            return fail_check(item, job, row, _no_answer(error), now())
        reasons = await reasons_of_snapshot(ports, item.record, job.record, failed.snapshot)
        kept = not isinstance(error, SourceGone)
        return fail_transfer(item, job, row, error.detail(), reasons if kept else None, now())

    now = ports.clock.now
    await transact(ports, item_id, decide)


def _no_answer(error: VaultlineError) -> ErrorDetail:
    """Why a check could not be made."""
    if not isinstance(error, SourceGone | ChainBroken):
        return error.detail()
    return ErrorDetail(
        code="NothingToCompare",
        message=f"what was to be compared is not there any more: {error}",
        recommended_action="Back the item up: where a snapshot is missing that is a full copy, "
        "which is then checked.",
    )
