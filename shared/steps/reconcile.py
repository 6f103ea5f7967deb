"""The reconciler: finds what stopped moving, and moves it on (invariant 6).

It reads the watches alone: every item that is not at rest has one, written before it left its
rest. So its cost grows with the work under way, not with the items protected.
"""

from dataclasses import replace
from datetime import timedelta

from shared.decide.decision import Decision
from shared.decide.posting import slot_message
from shared.decide.reconcile import Need, need_of, push_expiry, push_snapshot, push_transfer
from shared.decide.schedule import latest_slot
from shared.model.errors import VaultlineError
from shared.model.ids import slot_job
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.ledger import Versioned
from shared.model.outbox import Outbox
from shared.model.transfer import Transfer
from shared.ports import Ports, Watch
from shared.steps.failing import fail_backup_snapshot, fail_backup_transfer
from shared.steps.policies import policy_of
from shared.steps.step import step
from shared.steps.transact import post, the, transact

LOOK_AGAIN = timedelta(seconds=30)


@step("reconcile")
async def reconcile(ports: Ports) -> int:
    """Looks at every watched item whose time has come; returns at how many."""
    now = ports.clock.now()
    watches = [watch async for watch in ports.due.watches(now)]
    for watch in watches:
        await _look(ports, watch)
    return len(watches)


async def _look(ports: Ports, watch: Watch) -> None:
    now = ports.clock.now()
    item = await ports.ledger.get(watch.item, Item)
    await _post_leftovers(ports, watch)
    if item is None:
        await ports.due.unwatch(watch)
        return
    need = await _need(ports, item)
    rested = now - watch.since >= timedelta(seconds=ports.pace.rest_seconds)
    if need is Need.REST and rested and not await _missed_slot(ports, item.record):
        await ports.due.unwatch(watch)
        return
    await _meet(ports, item, need)
    since = watch.since if need is Need.REST else now
    await ports.due.watch(watch.item, since, now + _pause(ports))


def _pause(ports: Ports) -> timedelta:
    return min(LOOK_AGAIN, timedelta(seconds=ports.pace.stall_seconds / 2))


async def _post_leftovers(ports: Ports, watch: Watch) -> None:
    """Messages whose sender died between storing and sending (fault 29)."""
    left = [row.record async for row in ports.ledger.rows(watch.item, Outbox)]
    await post(ports, watch.item, left)


async def _need(ports: Ports, item: Versioned[Item]) -> Need:
    job, transfer = await _under_way(ports, item.record)
    return need_of(
        item.record,
        job.record if job else None,
        transfer.record if transfer else None,
        ports.clock.now(),
        ports.pace,
    )


async def _under_way(
    ports: Ports, item: Item
) -> tuple[Versioned[Job] | None, Versioned[Transfer] | None]:
    job = item.snapshotting and await ports.ledger.get(item.id, Job, item.snapshotting)
    transfer = item.transferring and await ports.ledger.get(item.id, Transfer, item.transferring)
    return job or None, transfer or None


async def _meet(ports: Ports, item: Versioned[Item], need: Need) -> None:
    async def decide() -> Decision[None]:
        fresh = await the(ports, item.record.id, Item)
        job, transfer = await _under_way(ports, fresh.record)
        now = ports.clock.now()
        if need is Need.TRANSFER and transfer:
            return push_transfer(fresh.record, transfer, now)
        if need is Need.SNAPSHOT and job:
            return push_snapshot(job, now)
        if need is Need.EXPIRY:
            return push_expiry(fresh, now)
        return Decision(None)

    if need is Need.GIVE_UP:
        await _give_up(ports, item.record)
    else:
        await transact(ports, item.record.id, decide)


async def _give_up(ports: Ports, item: Item) -> None:
    job, transfer = await _under_way(ports, item)
    error = VaultlineError(
        f"nothing moved, although the work was moved on {ports.pace.max_attempts} times",
        code="Stalled",
        action="Look at the dead letters and the job's trace; then back the item up again.",
    )
    if transfer is not None:
        await fail_backup_transfer(ports, item.id, transfer.record, error)
    elif job is not None:
        await fail_backup_snapshot(ports, item.id, job.record.id, error)


async def _missed_slot(ports: Ports, item: Item) -> bool:
    """Whether the latest slot has no job although it was started: its message was lost before
    anybody claimed it. It is sent once more."""
    if item.state is ProtectionState.PROTECTION_STOPPED:
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
