"""The step behind `snapshot`: claims the item's one place, takes the source snapshot."""

from enum import StrEnum

from shared import telemetry
from shared.decide.backup import Claim, claim_snapshot, new_backup, record_snapshot
from shared.decide.decision import Decision
from shared.model.disk import Snapshot
from shared.model.errors import VaultlineError
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.messages import TakeSnapshot
from shared.ports import Ports
from shared.steps.failing import fail_backup_snapshot
from shared.steps.keeping import reasons_of_snapshot
from shared.steps.step import step
from shared.steps.transact import the, transact, watch


class Outcome(StrEnum):
    """What became of a `snapshot` message."""

    TRANSFERRING = "transfer started"
    SKIPPED = "transfer skipped"
    WAITING = "waits for its turn"
    FAILED = "failed"
    NOTHING = "nothing to do"


@step("take snapshot")
async def take_snapshot(ports: Ports, request: TakeSnapshot) -> Outcome:
    """Backs an item up as far as its source snapshot; repeatable. Raises `NotFound`."""
    await watch(ports, request.item_id)
    new = new_backup(request, ports.clock.now(), telemetry.trace_id())
    if await ports.ledger.get(request.item_id, Job, request.job_id) is None:
        await ports.catalog.note_job(new.id, new.started_at)
    claim = await transact(ports, request.item_id, lambda: _claim(ports, new))
    if claim is Claim.WAIT:
        return Outcome.WAITING
    if claim is Claim.NOTHING:
        return Outcome.NOTHING
    try:
        snapshot = await _snapshot(ports, request, search=claim is Claim.RESUME)
    except VaultlineError as error:
        if error.transient:
            raise
        await fail_backup_snapshot(ports, request.item_id, request.job_id, error)
        return Outcome.FAILED
    return await _record(ports, request, snapshot)


async def _claim(ports: Ports, new: Job) -> Decision[Claim]:
    item = await the(ports, new.item_id, Item)
    job = await ports.ledger.get(new.item_id, Job, new.id)
    return claim_snapshot(item, job, new, ports.clock.now())


async def _snapshot(ports: Ports, request: TakeSnapshot, *, search: bool) -> Snapshot:
    """The job's snapshot: the one it took before it died, or a new one."""
    item = (await the(ports, request.item_id, Item)).record
    if search:
        for snapshot in await ports.disks.snapshots(item.source):
            if snapshot.tag == request.job_id:
                return snapshot
    return await ports.disks.take_snapshot(item.source, request.job_id)


async def _record(ports: Ports, request: TakeSnapshot, snapshot: Snapshot) -> Outcome:
    async def decide() -> Decision[Status]:
        item = await the(ports, request.item_id, Item)
        job = await the(ports, request.item_id, Job, request.job_id)
        reasons = await reasons_of_snapshot(ports, item.record, job.record, snapshot)
        return record_snapshot(item, job, snapshot, reasons, ports.clock.now())

    status = await transact(ports, request.item_id, decide)
    return Outcome.SKIPPED if status is Status.SKIPPED else Outcome.TRANSFERRING
