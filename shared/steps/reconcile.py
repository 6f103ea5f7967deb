"""The reconciler: finds what stopped moving, and moves it on (invariant 6).

It reads the watches alone: every item that is not at rest has one, written before it left its
rest. So its cost grows with the work under way, not with the items protected.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from shared import telemetry
from shared.decide.decision import Decision
from shared.decide.errands import push_errand
from shared.decide.posting import slot_message
from shared.decide.reconcile import (
    Finding,
    Need,
    UnderWay,
    examine,
    push_expiry,
    push_restore,
    push_snapshot,
    push_transfer,
)
from shared.decide.schedule import latest_slot
from shared.model.errors import Conflict, VaultlineError
from shared.model.ids import slot_job
from shared.model.inventory import DISCOVERY
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.ledger import Versioned
from shared.model.outbox import Outbox
from shared.model.transfer import Transfer
from shared.ports import Ports, Watch
from shared.steps.accepted import Accepted
from shared.steps.discover import resume_discoveries
from shared.steps.failing import fail_backup_snapshot, fail_backup_transfer
from shared.steps.mirroring.ending import fail_mirrored
from shared.steps.policies import policy_of
from shared.steps.restore import RestoreStep, fail_restore
from shared.steps.step import step
from shared.steps.transact import commit, post

LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True)
class Reconciled:
    """How many items were looked at, and the restores whose orchestrations are to be started
    again: whoever runs the reconciler can, the steps cannot."""

    looked: int
    restores: tuple[Accepted, ...] = ()


@step("reconcile")
async def reconcile(ports: Ports) -> Reconciled:
    """Looks at every watched item whose time has come. What goes wrong with one item is met at
    its next look, and keeps nobody from the others."""
    watches = [watch async for watch in ports.due.watches(ports.clock.now())]
    restores: list[Accepted] = []
    for watch in watches:
        with suppress(VaultlineError), telemetry.span("look", item=watch.item):
            restores += await _look(ports, watch)
    return Reconciled(len(watches), tuple(restores))


async def _look(ports: Ports, watch: Watch) -> list[Accepted]:
    now = ports.clock.now()
    item = await ports.ledger.get(watch.item, Item)
    await _post_leftovers(ports, watch)
    if watch.item == DISCOVERY and await resume_discoveries(ports):
        await ports.due.watch(DISCOVERY, now, now + _pause(ports))
        return []
    if item is None:
        await ports.due.unwatch(watch)
        return []
    work = await _under_way(ports, item)
    finding = examine(work, now, ports.pace)
    resting = finding.need is Need.REST
    rested = now - watch.since >= timedelta(seconds=ports.pace.rest_seconds)
    if resting and rested and not await _missed_slot(ports, item.record):
        await ports.due.unwatch(watch)
        return []
    restores = await _meet(ports, work, finding)
    await ports.due.watch(watch.item, watch.since if resting else now, now + _pause(ports))
    return restores


def _pause(ports: Ports) -> timedelta:
    return min(LOOK_AGAIN, timedelta(seconds=ports.pace.stall_seconds / 2))


async def _post_leftovers(ports: Ports, watch: Watch) -> None:
    """Messages whose sender died between storing and sending (fault 29)."""
    left = [row.record async for row in ports.ledger.rows(watch.item, Outbox)]
    await post(ports, watch.item, left)


async def _under_way(ports: Ports, item: Versioned[Item]) -> UnderWay:
    id_, its = item.record.id, item.record
    if its.mirrors:
        return await _mirrored_work(ports, item)
    next_snapshot = its.snapshotting or next(iter(its.queued), None)
    restores = [await ports.ledger.get(id_, Job, job) for job in its.restoring]
    checking = [job for job in its.checks if job != its.transferring]
    checks = [await ports.ledger.get(id_, Transfer, job) for job in checking]
    return UnderWay(
        item=item,
        transfer=await ports.ledger.get(id_, Transfer, its.transferring)
        if its.transferring
        else None,
        snapshot=await ports.ledger.get(id_, Job, next_snapshot) if next_snapshot else None,
        restores=tuple(row for row in restores if row),
        checks=tuple(row for row in checks if row),
    )


async def _mirrored_work(ports: Ports, item: Versioned[Item]) -> UnderWay:
    """What its vault carries out; a backup that waits has its turn once nothing else is done to
    the item."""
    its = item.record
    held = (its.snapshotting, *its.restoring, *its.following)
    rows = [await ports.ledger.get(its.id, Job, job) for job in held if job]
    waits = its.queued[0] if its.queued and not (its.snapshotting or its.following) else None
    return UnderWay(
        item=item,
        snapshot=await ports.ledger.get(its.id, Job, waits) if waits else None,
        mirrored=tuple(row for row in rows if row),
    )


async def _meet(ports: Ports, work: UnderWay, finding: Finding) -> list[Accepted]:
    """The restores to be started again, after all else is done. Work that moved in this moment
    is left alone."""
    if finding.give_up:
        await _give_up(ports, work, finding)
        return []
    item = work.item.record
    try:
        await commit(ports, item.id, _push(ports, work, finding))
    except Conflict:
        return []
    if finding.need is Need.RESTORE and finding.job:
        return [Accepted(item_id=item.id, job_id=finding.job.record.id, restore=True)]
    return []


def _push(ports: Ports, work: UnderWay, finding: Finding) -> Decision[None]:
    now = ports.clock.now()
    match finding:
        case Finding(Need.TRANSFER, transfer=transfer) if transfer:
            return push_transfer(work.item.record, transfer, now)
        case Finding(Need.SNAPSHOT, job) if job:
            return push_snapshot(job, now)
        case Finding(Need.VAULT, job) if job:
            return push_errand(job, now)
        case Finding(Need.RESTORE, job) if job:
            return push_restore(job, now)
        case Finding(Need.EXPIRY):
            return push_expiry(work.item, now)
    return Decision(None)


async def _give_up(ports: Ports, work: UnderWay, finding: Finding) -> None:
    item_id, job = work.item.record.id, finding.job
    error = VaultlineError(
        f"nothing moved, although the work was moved on {ports.pace.max_attempts} times",
        code="Stalled",
        action="Look at the dead letters and the job's trace; then ask for it again.",
    )
    if finding.transfer:
        await fail_backup_transfer(ports, item_id, finding.transfer.record, error)
    elif finding.need is Need.VAULT and job:
        await fail_mirrored(ports, job.record, error)
    elif finding.need is Need.SNAPSHOT and job:
        await fail_backup_snapshot(ports, item_id, job.record.id, error)
    elif job:
        await fail_restore(ports, RestoreStep(item_id=item_id, job_id=job.record.id), error)


async def _missed_slot(ports: Ports, item: Item) -> bool:
    """Whether the latest slot has no job although it was started: its message was lost before
    anybody claimed it. It is sent once more. A mirrored item's vault does not wait for messages:
    its backups are found by looking."""
    if item.mirrors or item.state is ProtectionState.PROTECTION_STOPPED:
        return False
    policy = await policy_of(ports, item.policy)
    slot = latest_slot(policy.schedule, policy.time_zone, ports.clock.now())
    if slot is None or slot < item.first_slot:
        return False
    if await ports.ledger.get(item.id, Job, slot_job(item.id, slot)) is not None:
        return False
    message = slot_message(item.id, slot)
    again = f"{message.message_id}.again.{int(ports.clock.now().timestamp())}"
    await ports.bus.send([replace(message, message_id=again)])
    return True
