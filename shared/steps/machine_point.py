"""How a machine's backup comes to its restore point: one moment of all its disks."""

from collections.abc import Callable
from datetime import datetime

from shared.decide.decision import Decision
from shared.decide.machine import (
    Choice,
    ask,
    choose_consistency,
    crash,
    guest_failed,
    left_out,
)
from shared.model.deferral import Deferred
from shared.model.errors import GuestFailed, Invalid, SourceGone
from shared.model.ids import DiskUrl, ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.ledger import Versioned
from shared.model.machine import Consistency, Machine, RestorePoint
from shared.ports import Ports
from shared.steps.policies import policy_of
from shared.steps.transact import the, transact

PAUSE_SECONDS = 30.0
"""Between two attempts of a guest."""


async def take_machine_point(ports: Ports, item: Item, job_id: JobId) -> RestorePoint:
    """The job's restore point; repeatable. Raises `Deferred` until it is there, or where the
    machine's guest failed and is to be asked again; `SourceGone`; `Invalid`."""
    job = (await the(ports, item.id, Job, job_id)).record
    take = ports.machines.take_point
    if job.consistency is not None and item.luns is None:
        asked: tuple[Consistency, list[DiskUrl]] = job.consistency, []
    else:
        asked = await _asked(ports, item, job)
    try:
        return await take(item.source, job_id, *asked)
    except GuestFailed as error:
        await _note(ports, item.id, job_id, guest_failed)
        raise Deferred(str(error), retry_after=PAUSE_SECONDS, code=error.code) from None


async def _asked(ports: Ports, item: Item, job: Job) -> tuple[Consistency, list[DiskUrl]]:
    """What to ask for, and without which disks. A point that was asked for outlives its machine,
    and its disks' being there."""
    try:
        machine = await ports.machines.state(item.source)
    except SourceGone:
        if job.consistency is None:
            raise
        return job.consistency, []
    if job.consistency is not None:
        return job.consistency, left_out(machine, item.luns)
    leave_out = _checked(item, machine)
    return await _choose(ports, item, job, machine), leave_out


async def take_safety_point(
    ports: Ports, item: Item, job_id: JobId
) -> tuple[RestorePoint, Choice] | None:
    """What a machine holds before a restore, and what that promises: its guest is asked once. None
    where it has nothing of what the item backs up. Raises `Deferred`, `SourceGone`, `Invalid`."""
    machine = await ports.machines.state(item.source)
    leave_out = left_out(machine, item.luns)
    if len(leave_out) == len(machine.disks):
        return None
    choice = await _safety(ports, item, job_id, machine)
    try:
        taken = await ports.machines.take_point(item.source, job_id, choice.consistency, leave_out)
    except GuestFailed as error:
        await _note(ports, item.id, job_id, guest_failed)
        raise Deferred(str(error), retry_after=PAUSE_SECONDS, code=error.code) from None
    return taken, choice


async def _safety(ports: Ports, item: Item, job_id: JobId, machine: Machine) -> Choice:
    if (await the(ports, item.id, Job, job_id)).record.guest_failures:
        return crash(machine, "its guest had failed to do its part")
    return choose_consistency(await _wanted(ports, item), machine, failures=0)


async def _wanted(ports: Ports, item: Item) -> Consistency:
    return Consistency((await policy_of(ports, item.policy)).consistency)


def _checked(item: Item, machine: Machine) -> list[DiskUrl]:
    """The disks to leave out. Raises `Invalid` where that is all of them."""
    leave_out = left_out(machine, item.luns)
    if len(leave_out) == len(machine.disks):
        raise Invalid(
            f"{item.source} has none of the disks that item {item.id} is to back up",
            code="NoDiskLeft",
            action="Attach one of them, or protect the machine anew with other disks.",
        )
    return leave_out


async def _choose(ports: Ports, item: Item, job: Job, machine: Machine) -> Consistency:
    choice = choose_consistency(await _wanted(ports, item), machine, job.guest_failures)
    await _note(ports, item.id, job.id, lambda row, now: ask(row, choice, now))
    return choice.consistency


async def _note(
    ports: Ports,
    item: ItemId,
    job_id: JobId,
    change: Callable[[Versioned[Job], datetime], Decision[None]],
) -> None:
    """Not of a job that was cancelled meanwhile."""

    async def decide() -> Decision[None]:
        row = await the(ports, item, Job, job_id)
        if row.record.status is not Status.IN_PROGRESS:
            return Decision(None)
        return change(row, ports.clock.now())

    await transact(ports, item, decide)
