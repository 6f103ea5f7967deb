"""The steps behind `commands`: what people ask for.

A request that cannot be met raises `Invalid`, `NotFound` or `AlreadyExists`; where its item
exists the reason is kept in a failed job as well, so that whoever asked can read it.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from shared import telemetry
from shared.codec import from_json, to_json
from shared.decide.decision import Decision
from shared.decide.posting import expire_message, snapshot_message
from shared.decide.restore import choose_point, restore_job, start_restore, work_of
from shared.decide.schedule import next_slot
from shared.model.errors import (
    AlreadyExists,
    Conflict,
    Invalid,
    SourceGone,
    VaultlineError,
)
from shared.model.ids import (
    DiskUrl,
    ItemId,
    JobId,
    PolicyName,
    VaultName,
    default_item_id,
    digest,
    item_of,
    request_job,
)
from shared.model.item import Item, ProtectionState, Seed
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Insert, update
from shared.model.messages import BackupNow, Command, Protect, Restore, StopProtection, TakeSnapshot
from shared.model.point import Point
from shared.model.policy import Policy
from shared.model.restore import RestoreWork
from shared.ports import DueSlot, Ports
from shared.steps.policies import policy_of
from shared.steps.step import step
from shared.steps.transact import the, transact, watch

PROTECT, STOP, BACKUP, RESTORE = "protect", "stop", "backup", "restore"
"""The operations in the ids of the jobs that requests start."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The job that the command started; `restore` where an orchestration must carry it on."""

    item_id: ItemId
    job_id: JobId
    restore: bool = False


@step("command")
async def obey(ports: Ports, command: Command) -> Accepted:
    """Starts what a command asks for; repeatable under its request id."""
    try:
        return await _start(ports, command)
    except VaultlineError as error:
        if not error.transient:
            await _note_refusal(ports, command, error)
        raise


async def _start(ports: Ports, command: Command) -> Accepted:
    match command:
        case Protect():
            return await protect(ports, command)
        case StopProtection():
            return await stop_protection(ports, command)
        case BackupNow():
            return await backup_now(ports, command)
        case Restore():
            return await accept_restore(ports, command)


_KINDS: dict[type[Command], tuple[str, Operation]] = {
    Protect: (PROTECT, Operation.CONFIGURE_PROTECTION),
    StopProtection: (STOP, Operation.STOP_PROTECTION),
    BackupNow: (BACKUP, Operation.BACKUP),
    Restore: (RESTORE, Operation.RESTORE),
}


async def _note_refusal(ports: Ports, command: Command, error: VaultlineError) -> None:
    """A failed job tells whoever asked why. Only where the item exists, or was to be made: a
    flood of wrong ids must not fill the ledger."""
    name, operation = _KINDS[type(command)]
    if isinstance(command, Protect):
        item_id = command.item_id or default_item_id(DiskUrl(command.source))
    else:
        item_id = command.item_id
        if await ports.ledger.get(item_id, Item) is None:
            return
    job_id, now = request_job(item_id, name, command.request_id), ports.clock.now()
    await ports.catalog.note_job(job_id, now)
    failed = _job(item_id, job_id, operation, now).end(Status.FAILED, now, error.detail())
    with suppress(Conflict):
        await ports.ledger.commit(item_id, [Insert(failed)])


# ---------------------------------------------------------------- protect


async def protect(ports: Ports, command: Protect) -> Accepted:
    """Registers a disk and enters its first slot; its first backup is the schedule's.

    Index first, then the item, then its slot: every death in between is mended by the message
    coming again. A disk that one of our restores made goes on incrementally from there.
    """
    source = DiskUrl(command.source)
    item_id = command.item_id or default_item_id(source)
    job_id = request_job(item_id, PROTECT, command.request_id)
    policy = await policy_of(ports, PolicyName(command.policy))
    vault = await ports.catalog.vault(VaultName(command.vault))
    await ports.disks.state(source)
    now = ports.clock.now()
    item = Item(
        id=item_id,
        source=source,
        policy=policy.name,
        vault=vault.name,
        replica=DiskUrl(f"{vault.url}/{item_id}/{digest(command.request_id)}"),
        state=ProtectionState.INITIAL_BACKUP_PENDING,
        protected_at=now,
        first_slot=next_slot(policy.schedule, policy.time_zone, now),
        seed=await _seed_of(ports, source),
    )
    await ports.catalog.note_item(item_id)
    await ports.catalog.note_job(job_id, now)
    slot = await transact(ports, item_id, lambda: _enter(ports, item, policy, job_id))
    await ports.due.put_slot(DueSlot(item=item_id, slot=slot))
    return Accepted(item_id=item_id, job_id=job_id)


async def _enter(ports: Ports, item: Item, policy: Policy, job_id: JobId) -> Decision[datetime]:
    """The item's row, or its resumption; the result is its first slot."""
    now = ports.clock.now()
    done = _job(item.id, job_id, Operation.CONFIGURE_PROTECTION, now).end(Status.COMPLETED, now)
    row = await ports.ledger.get(item.id, Item)
    if row is None:
        return Decision(item.first_slot, (Insert(item), Insert(done)))
    if (row.record.source, row.record.vault) != (item.source, item.vault):
        raise AlreadyExists(
            f"item {item.id} protects {row.record.source} in vault {row.record.vault} already",
            action="Choose another item id.",
        )
    if await ports.ledger.get(item.id, Job, job_id) is not None:
        return Decision(row.record.first_slot)
    if row.record.state is not ProtectionState.PROTECTION_STOPPED:
        if row.record.policy == policy.name:
            return Decision(row.record.first_slot, (Insert(done),))
        raise AlreadyExists(
            f"item {item.id} is under policy {row.record.policy}; one policy an item",
            action="Stop its protection first, or choose the policy it has.",
        )
    state = ProtectionState.PROTECTED if row.record.base else item.state
    resumed = replace(
        row.record, state=state, policy=policy.name, first_slot=item.first_slot, delete_data=False
    )
    return Decision(item.first_slot, (update(row, resumed), Insert(done)))


def _job(item: ItemId, job: JobId, operation: Operation, now: datetime) -> Job:
    return Job(
        id=job,
        item_id=item,
        operation=operation,
        status=Status.IN_PROGRESS,
        started_at=now,
        progressed_at=now,
        trace_id=telemetry.trace_id(),
    )


async def _seed_of(ports: Ports, source: DiskUrl) -> Seed | None:
    """The restored point that this disk began as, if one of our restores made it."""
    for snapshot in reversed(await ports.disks.snapshots(source)):
        if f".{RESTORE}-" not in snapshot.tag:
            continue
        row = await ports.ledger.get(item_of(snapshot.tag), Job, snapshot.tag)
        if row is None or not row.record.detail:
            continue
        work = from_json(RestoreWork, row.record.detail)
        point = await ports.ledger.get(row.record.item_id, Point, work.point)
        if work.target == source and point is not None and point.record.replica is not None:
            return Seed(point=work.point, source=snapshot, vault_copy=point.record.replica)
    return None


# ---------------------------------------------------------------- stop, backup


async def stop_protection(ports: Ports, command: StopProtection) -> Accepted:
    """No more backups; the points stay, or go with everything else where that is asked for."""
    job_id = request_job(command.item_id, STOP, command.request_id)
    await watch(ports, command.item_id)
    await ports.catalog.note_job(job_id, ports.clock.now())

    async def decide() -> Decision[None]:
        now = ports.clock.now()
        row = await the(ports, command.item_id, Item)
        if await ports.ledger.get(command.item_id, Job, job_id) is not None:
            return Decision(None)
        stopped = replace(
            row.record,
            state=ProtectionState.PROTECTION_STOPPED,
            delete_data=command.delete_data,
            expiry_due=True,
        )
        done = _job(command.item_id, job_id, Operation.STOP_PROTECTION, now)
        done = done.end(Status.COMPLETED, now)
        message = expire_message(command.item_id, job_id, now)
        return Decision(None, (update(row, stopped), Insert(done)), (message,))

    await transact(ports, command.item_id, decide)
    return Accepted(item_id=command.item_id, job_id=job_id)


async def backup_now(ports: Ports, command: BackupNow) -> Accepted:
    """Asks for a backup outside the schedule. The message is the claim: it carries the job's id."""
    item = (await the(ports, command.item_id, Item)).record
    if item.state is ProtectionState.PROTECTION_STOPPED:
        raise Invalid(
            f"protection of item {item.id} is stopped",
            action="Protect it again, then back it up.",
        )
    job_id = request_job(item.id, BACKUP, command.request_id)
    await watch(ports, item.id)
    request = TakeSnapshot(
        item_id=item.id, job_id=job_id, retain_until=_retain_until(command, ports.clock.now())
    )
    message = snapshot_message(request)
    await ports.bus.send([replace(message, traceparent=telemetry.traceparent())])
    return Accepted(item_id=item.id, job_id=job_id)


def _retain_until(command: BackupNow, now: datetime) -> datetime | None:
    """The end of the day asked for, in UTC. Raises `Invalid` for a day that is past."""
    if command.retain_until is None:
        return None
    end = datetime.combine(command.retain_until, time(), now.tzinfo) + timedelta(days=1)
    if end <= now:
        raise Invalid(f"retain_until {command.retain_until} is past")
    return end


# ---------------------------------------------------------------- restore


async def accept_restore(ports: Ports, command: Restore) -> Accepted:
    """Finds and pins the point, and records the job that an orchestration then carries out."""
    item = (await the(ports, command.item_id, Item)).record
    job_id = request_job(item.id, RESTORE, command.request_id)
    accepted = Accepted(item_id=item.id, job_id=job_id, restore=True)
    known = await ports.ledger.get(item.id, Job, job_id)
    if known is not None:
        return replace(accepted, restore=not known.record.status.ended)
    await ports.catalog.note_job(job_id, ports.clock.now())
    await _check_target(ports, item, command)
    await transact(ports, item.id, lambda: _pin(ports, item, job_id, command))
    return accepted


async def _pin(ports: Ports, item: Item, job_id: JobId, command: Restore) -> Decision[JobId]:
    points = [row async for row in ports.ledger.rows(item.id, Point)]
    point = choose_point(points, command)
    work = work_of(item, point.record, job_id, command)
    job = restore_job(item, job_id, ports.clock.now(), telemetry.trace_id(), to_json(work))
    return start_restore(point, job)


async def _check_target(ports: Ports, item: Item, command: Restore) -> None:
    if command.target.kind == "original":
        if not command.target.confirm:
            raise Invalid(
                f"a restore to the original overwrites {item.source} and must be confirmed",
                action="Send it again with `confirm`: true, or restore to an alternate blob.",
            )
        await ports.disks.state(item.source)
        return
    try:
        await ports.disks.state(DiskUrl(command.target.url))
    except SourceGone:
        return
    raise AlreadyExists(
        f"{command.target.url} exists already",
        action="Restore to a name that does not exist.",
    )
