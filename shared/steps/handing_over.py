"""The two ends of a restore: what is there before it is kept, what was restored is handed over."""

from contextlib import suppress
from dataclasses import replace

from shared.codec import from_json, to_json
from shared.decide.decision import Decision
from shared.decide.machine import Choice, seated
from shared.decide.restore import safety_point
from shared.model.arm_ids import is_machine_id
from shared.model.disk import Snapshot
from shared.model.errors import Invalid, SourceGone
from shared.model.ids import DiskUrl, ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Insert, update
from shared.model.machine import MachineDisk, NewMachine, RestorePoint
from shared.model.restore import RestoreWork
from shared.ports import Ports
from shared.steps.machine_point import take_safety_point
from shared.steps.side_by_side import side_by_side
from shared.steps.swapping import claim_restored, go_on_with, swap_in
from shared.steps.transact import the, transact

Kept = tuple[Snapshot | RestorePoint, Choice | None]
"""What was taken of the original, and, of a machine, what that promises."""


async def keep_what_is_there(ports: Ports, item_id: ItemId, job_id: JobId) -> None:
    """What the original holds becomes a point of its own before anything is overwritten; a machine
    that has lost all of what is backed up holds nothing. Raises `Deferred`, `SourceGone`."""
    kept = await _taken(ports, (await the(ports, item_id, Item)).record, job_id)
    if kept is None:
        return
    taken, choice = kept

    async def decide() -> Decision[None]:
        item, job = await the(ports, item_id, Item), await the(ports, item_id, Job, job_id)
        work, snapshot = from_json(RestoreWork, job.record.detail), taken
        if work.safety is not None or job.record.status.ended:
            return Decision(None)
        if isinstance(snapshot, RestorePoint):
            item, job, snapshot = seated(item, job, snapshot, choice)
        noted = replace(job.record, detail=to_json(replace(work, safety=snapshot)))
        point = safety_point(noted, snapshot)
        return Decision(None, (update(item, item.record), update(job, noted), Insert(point)))

    await transact(ports, item_id, decide)


async def _taken(ports: Ports, item: Item, job_id: JobId) -> Kept | None:
    if is_machine_id(item.source):
        return await take_safety_point(ports, item, job_id)
    return await tagged_snapshot(ports, item.source, job_id), None


async def tagged_snapshot(ports: Ports, disk: DiskUrl, tag: str) -> Snapshot:
    """The disk's snapshot under this tag: taken by an earlier try, or now."""
    for snapshot in await ports.disks.snapshots(disk):
        if snapshot.tag == tag:
            return snapshot
    return await ports.disks.take_snapshot(disk, tag)


async def hand_over(ports: Ports, item_id: ItemId, job_id: JobId, work: RestoreWork) -> None:
    """Nobody writes to the restored disks any more, and who is to have them gets them. Repeatable.
    Raises `Deferred`, `SourceGone`, `AlreadyExists`, `Invalid`."""
    if work.source.members:
        await _hand_over_disks(ports, job_id, work)
    elif not work.overwrites:
        await _hand_over_disk(ports, item_id, job_id, work)


async def _hand_over_disk(ports: Ports, item_id: ItemId, job_id: JobId, work: RestoreWork) -> None:
    """A new disk is snapshotted, so that its protection can go on from there: one of its own, or
    that of the disk in whose place it comes."""
    restored = await tagged_snapshot(ports, work.targets[0].url, job_id)
    if work.machine is not None:
        await claim_restored(ports, item_id, restored)
        await _to_machine(ports, job_id, replace(work, start=False), work.machine)
        await go_on_with(ports, item_id, job_id, restored)
        # Only now: a machine that cannot be started has the disk all the same.
        await swap_in(ports, work.machine, _attached(work), start=work.start)


async def _hand_over_disks(ports: Ports, job_id: JobId, work: RestoreWork) -> None:
    """Those of a machine."""
    await side_by_side(work.disks, lambda disk: ports.images.complete(disk.url))
    if work.machine is not None:
        await _to_machine(ports, job_id, work, work.machine)


async def _to_machine(ports: Ports, job_id: JobId, work: RestoreWork, machine: DiskUrl) -> None:
    await side_by_side(work.disks, lambda disk: ports.images.release(disk.url, work.lease_id))
    disks = _attached(work)
    if work.original:
        await swap_in(ports, machine, disks, start=work.start)
        return
    blueprint, network = work.source.blueprint, work.network
    new = NewMachine(url=machine, blueprint=blueprint, disks=disks, network=network)
    await ports.machines.build(new, job_id)


def _attached(work: RestoreWork) -> tuple[MachineDisk, ...]:
    return tuple(disk.attached for disk in work.disks)


async def take_no_further(ports: Ports, work: RestoreWork) -> None:
    """A machine that was being handed disks, and is not any more, runs as it did. Raises
    `Deferred`."""
    if work.filled and work.original and work.start and work.machine is not None:
        with suppress(SourceGone, Invalid):
            await ports.machines.swap(work.machine, (), start=True)
