"""The step behind `snapshot`: claims the item's one place, takes the source snapshot."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from shared import telemetry
from shared.decide.backup import Claim, claim_snapshot, new_backup, record_snapshot
from shared.decide.decision import Decision
from shared.decide.errands import claim_backup
from shared.decide.machine import seated
from shared.decide.mirroring import keeps_slots
from shared.model.arm_ids import is_machine_id
from shared.model.deferral import Deferred
from shared.model.disk import Snapshot
from shared.model.errors import VaultlineError
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.ledger import update
from shared.model.machine import RestorePoint
from shared.model.messages import TakeSnapshot
from shared.ports import Ports
from shared.steps.failing import fail_backup_snapshot
from shared.steps.keeping import reasons_of_snapshot
from shared.steps.machine_point import take_machine_point
from shared.steps.policies import policy_of
from shared.steps.step import step
from shared.steps.transact import the, transact, watch

PATIENCE = timedelta(days=1)
"""A snapshot that the service has not ready by then is given up like other work that is stuck."""


class Outcome(StrEnum):
    """What became of a `snapshot` message."""

    TRANSFERRING = "transfer started"
    SKIPPED = "transfer skipped"
    WAITING = "waits for its turn"
    FOLLOWED = "its vault takes it"
    FAILED = "failed"
    NOTHING = "nothing to do"


@step("take snapshot")
async def take_snapshot(ports: Ports, request: TakeSnapshot) -> Outcome:
    """Backs an item up as far as its source snapshot; repeatable. For an item that is gone the
    message was late, and there is nothing to do."""
    await watch(ports, request.item_id)
    new = new_backup(request, ports.clock.now(), telemetry.trace_id())
    if await ports.ledger.get(request.item_id, Job, request.job_id) is None:
        await ports.catalog.note_job(new.id, new.started_at)
    claim = await transact(ports, request.item_id, lambda: _claim(ports, new))
    if claim is Claim.WAIT:
        return Outcome.WAITING
    if claim is Claim.NOTHING:
        return Outcome.NOTHING
    if claim is Claim.FOLLOW:
        return Outcome.FOLLOWED
    try:
        snapshot = await _snapshot(ports, request, search=claim is Claim.RESUME)
    except VaultlineError as error:
        if error.transient:
            await _note_wait(ports, request, error)
            raise
        await fail_backup_snapshot(ports, request.item_id, request.job_id, error)
        return Outcome.FAILED
    return await _record(ports, request, snapshot)


async def _claim(ports: Ports, new: Job) -> Decision[Claim]:
    item = await ports.ledger.get(new.item_id, Item)
    if item is None:
        return Decision(Claim.NOTHING)
    job = await ports.ledger.get(new.item_id, Job, new.id)
    now = ports.clock.now()
    if not item.record.mirrors:
        return claim_snapshot(item, job, new, now)
    if new.slot and not keeps_slots(await policy_of(ports, item.record.policy), now.date()):
        return Decision(Claim.NOTHING)
    return claim_backup(item, job, new, now)


async def _snapshot(
    ports: Ports, request: TakeSnapshot, *, search: bool
) -> Snapshot | RestorePoint:
    """The job's snapshot, or restore point: the one it took before it died, or a new one."""
    item = (await the(ports, request.item_id, Item)).record
    if is_machine_id(item.source):
        return await take_machine_point(ports, item, request.job_id)
    if search:
        for snapshot in await ports.disks.snapshots(item.source):
            if snapshot.tag == request.job_id:
                return snapshot
    return await ports.disks.take_snapshot(item.source, request.job_id)


async def _note_wait(ports: Ports, request: TakeSnapshot, error: VaultlineError) -> None:
    """What waits for the service moves, for a day: nobody takes it for stuck."""
    if not isinstance(error, Deferred):
        return

    async def decide() -> Decision[None]:
        job, now = await the(ports, request.item_id, Job, request.job_id), ports.clock.now()
        if job.record.status.ended or now - job.record.started_at > PATIENCE:
            return Decision(None)
        waiting = replace(job.record, progressed_at=now, attempts=0)
        return Decision(None, (update(job, waiting),))

    await transact(ports, request.item_id, decide)


async def _record(ports: Ports, request: TakeSnapshot, taken: Snapshot | RestorePoint) -> Outcome:
    async def decide() -> Decision[Status]:
        item = await the(ports, request.item_id, Item)
        job = await the(ports, request.item_id, Job, request.job_id)
        snapshot = taken
        if isinstance(snapshot, RestorePoint):
            item, job, snapshot = seated(item, job, snapshot)
        reasons = await reasons_of_snapshot(ports, item.record, job.record, snapshot)
        return record_snapshot(item, job, snapshot, reasons, ports.clock.now())

    status = await transact(ports, request.item_id, decide)
    return Outcome.SKIPPED if status is Status.SKIPPED else Outcome.TRANSFERRING
