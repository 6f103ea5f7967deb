"""The steps behind `commands`: what people ask for.

A request that cannot be met raises `Invalid`, `NotFound` or `AlreadyExists`; where its item
exists the reason is kept in a failed job as well, so that whoever asked can read it.
"""

from contextlib import suppress
from dataclasses import replace

from shared import telemetry
from shared.codec import to_json
from shared.decide.decision import Decision
from shared.decide.protection import check_not_deleted
from shared.decide.requests import check_repeat, fingerprint
from shared.decide.restore import choose_point, restore_job, start_restore, work_of
from shared.decide.restore_disks import check_target
from shared.decide.swapping import check_alone
from shared.model.arm_ids import is_arm_id, is_machine_id
from shared.model.errors import (
    AlreadyExists,
    Conflict,
    Invalid,
    SourceGone,
    VaultlineError,
)
from shared.model.ids import DiskUrl, ItemId, JobId, default_item_id, request_job
from shared.model.inventory import DISCOVERY
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.ledger import Insert
from shared.model.machine import Machine
from shared.model.messages import (
    BackupNow,
    CancelJob,
    Command,
    ConsistencyCheck,
    Discover,
    Protect,
    Restore,
    RestoreTarget,
    StopProtection,
    Undelete,
)
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.backup_now import backup_now
from shared.steps.cancel import cancel_job
from shared.steps.check import check_now
from shared.steps.discover import discover
from shared.steps.mirroring.restore import restore_mirrored
from shared.steps.protect import protect
from shared.steps.requests import BACKUP, KINDS, PROTECT, RESTORE, STOP, Request, new_job
from shared.steps.step import step
from shared.steps.stopping import stop_protection, undelete_item
from shared.steps.swapping import check_others, machine_of, restores_of
from shared.steps.transact import the, transact, watch

__all__ = ["BACKUP", "PROTECT", "RESTORE", "STOP", "Accepted", "accept_restore", "obey"]


@step("command")
async def obey(ports: Ports, command: Command) -> Accepted:
    """Starts what a command asks for; repeatable under its request id. What was refused, failed
    or cancelled under that id stays so."""
    if isinstance(command, CancelJob):
        return await cancel_job(ports, command)
    item_id, job_id = _subject(command)
    known = await ports.ledger.get(item_id, Job, job_id)
    if known is not None:
        check_repeat(known.record, command)
        if known.record.status in (Status.FAILED, Status.CANCELLED):
            return Accepted(item_id=item_id, job_id=job_id)
    try:
        return await _start(ports, command)
    except VaultlineError as error:
        if not error.transient:
            await _note_refusal(ports, command, error)
        raise


def _subject(command: Request) -> tuple[ItemId, JobId]:
    """The item that the command is about, and the job that it starts."""
    name, _ = KINDS[type(command)]
    match command:
        case Discover():
            item_id = DISCOVERY
        case Protect(item_id=None):
            item_id = default_item_id(DiskUrl(command.source))
        case _:
            assert command.item_id is not None
            item_id = command.item_id
    return item_id, request_job(item_id, name, command.request_id)


async def _start(ports: Ports, command: Request) -> Accepted:
    match command:
        case Protect():
            return await protect(ports, command)
        case StopProtection():
            return await stop_protection(ports, command)
        case BackupNow():
            return await backup_now(ports, command)
        case Restore():
            return await accept_restore(ports, command)
        case ConsistencyCheck():
            return await check_now(ports, command)
        case Undelete():
            return await undelete_item(ports, command)
        case Discover():
            return await discover(ports, command)


async def _note_refusal(ports: Ports, command: Request, error: VaultlineError) -> None:
    """A failed job tells whoever asked why. Only where the item exists, or was to be made: a
    flood of wrong ids must not fill the ledger."""
    (item_id, job_id), now = _subject(command), ports.clock.now()
    if (
        not isinstance(command, Protect | Discover)
        and await ports.ledger.get(item_id, Item) is None
    ):
        return
    await ports.catalog.note_job(job_id, now)
    failed = new_job(item_id, job_id, command, now).end(Status.FAILED, now, error.detail())
    with suppress(Conflict):
        await ports.ledger.commit(item_id, [Insert(failed)])


# ---------------------------------------------------------------- restore

RESTORE_ELSEWHERE = "Restore to something new, under another name or the old one."


async def accept_restore(ports: Ports, command: Restore) -> Accepted:
    """Finds and pins the point, and records the job that an orchestration then carries out."""
    item = (await the(ports, command.item_id, Item)).record
    if item.mirrors:
        return await restore_mirrored(ports, item, command)
    job_id = request_job(item.id, RESTORE, command.request_id)
    accepted = Accepted(item_id=item.id, job_id=job_id, restore=True)
    known = await ports.ledger.get(item.id, Job, job_id)
    if known is not None:
        return replace(accepted, restore=not known.record.status.ended)
    await watch(ports, item.id)
    await ports.catalog.note_job(job_id, ports.clock.now())
    machine = await _check_target(ports, item, command)
    await transact(ports, item.id, lambda: _pin(ports, job_id, command, machine))
    return accepted


async def _pin(
    ports: Ports, job_id: JobId, command: Restore, machine: Machine | None
) -> Decision[JobId]:
    item = await the(ports, command.item_id, Item)
    check_not_deleted(item.record)
    points = [row async for row in ports.ledger.rows(item.record.id, Point)]
    point = choose_point(points, command)
    work = work_of(item.record, point.record, job_id, command, machine)
    if work.original and work.machine:
        check_alone(work.machine, await restores_of(ports, item.record))
    job = restore_job(item.record, job_id, ports.clock.now(), telemetry.trace_id(), to_json(work))
    return start_restore(item, point, replace(job, request=fingerprint(command)))


async def _check_target(ports: Ports, item: Item, command: Restore) -> Machine | None:
    """The machine that is to be restored in place, or whose disk is, where there is one. Raises
    `Invalid`, `AlreadyExists`, `SourceGone`."""
    target = command.target
    check_target(target, item.source)
    if target.kind == "original":
        return await _check_original(ports, item, command)
    if target.kind == "alternate":
        await _check_free(ports, DiskUrl(target.url))
        await _check_network(ports, item, target)
    return None


async def _check_original(ports: Ports, item: Item, command: Restore) -> Machine | None:
    if not command.target.confirm:
        raise Invalid(
            f"a restore to the original overwrites {item.source} and must be confirmed",
            action="Send it again with `confirm`: true, or restore to an alternate blob.",
        )
    try:
        machine = await _original(ports, item)
    except SourceGone as gone:
        raise SourceGone(str(gone), code=gone.code, action=RESTORE_ELSEWHERE) from None
    if machine is not None:
        await check_others(ports, machine, item.id)
    return machine


async def _original(ports: Ports, item: Item) -> Machine | None:
    if is_arm_id(item.source):
        return await machine_of(ports, item)
    await ports.disks.state(item.source)
    return None


async def _check_network(ports: Ports, item: Item, target: RestoreTarget) -> None:
    """Raises `Invalid` where a new machine would need the interface that the old one has: that
    shows before anything is copied."""
    if not is_machine_id(target.url) or target.network:
        return
    with suppress(SourceGone):
        await ports.machines.state(item.source)
        raise Invalid(
            f"{item.source} is still there and has its network interface: the new machine needs "
            "a network of its own",
            action="Name a subnet, or a free network interface: `--network`.",
        )


async def _check_free(ports: Ports, url: DiskUrl) -> None:
    try:
        await ports.disks.state(url)
    except SourceGone:
        return
    raise AlreadyExists(
        f"{url} exists already",
        action="Restore to a name that does not exist.",
    )
