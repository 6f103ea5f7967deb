"""Restored disks come in the place of those that a machine has: it is switched off, given them,
and started again if it ran. The old disks stay, unattached."""

from collections.abc import Sequence
from dataclasses import replace

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.decide.swapping import check_alone, go_on, is_in_place, unattached
from shared.model.arm_ids import is_machine_id
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job
from shared.model.machine import Machine, MachineDisk
from shared.model.point import Point
from shared.model.restore import RestoreWork
from shared.ports import Ports
from shared.steps.claiming import claim_source
from shared.steps.side_by_side import side_by_side
from shared.steps.transact import the, transact


async def machine_of(ports: Ports, item: Item) -> Machine:
    """The machine that is the item's source, or has the disk that is. Raises `Invalid` where none
    has it, `SourceGone`."""
    if is_machine_id(item.source):
        return await ports.machines.state(item.source)
    state = await ports.disks.state(item.source)
    if not state.attached_to:
        raise unattached(item.source)
    return await ports.machines.state(state.attached_to)


async def check_others(ports: Ports, machine: Machine, but: ItemId) -> None:
    """Raises `TargetBusy` where an item of the machine, or of one of its disks, is being restored
    in place: each on its own, they would switch it off and on again under each other."""
    sources = [machine.url, *(each.disk for each in machine.disks)]
    for known in await side_by_side(sources, ports.inventory.disk):
        if known and known.item and known.item != but:
            row = await ports.ledger.get(known.item, Item)
            check_alone(machine.url, await restores_of(ports, row.record) if row else [])


async def restores_of(ports: Ports, item: Item) -> list[RestoreWork]:
    """What the item's restores under way work on."""
    jobs = [await the(ports, item.id, Job, job) for job in item.restoring]
    return [from_json(RestoreWork, job.record.detail) for job in jobs if job.record.detail]


async def swap_in(ports: Ports, vm: DiskUrl, disks: Sequence[MachineDisk], *, start: bool) -> None:
    """Gives the machine the disks, each at its LUN; `start` where it ran before. Repeatable: one
    that has them already is not switched off again. Raises `Deferred` while it takes its time."""
    wanted = tuple(disks)
    if not is_in_place(await ports.machines.state(vm), wanted):
        await ports.machines.switch_off(vm)
    await ports.machines.swap(vm, wanted, start=start)


async def go_on_with(ports: Ports, item_id: ItemId, job_id: JobId, restored: Snapshot) -> None:
    """The item protects the restored disk instead of the one that it came in the place of, which
    is nobody's from then on. Repeatable after a death between any two calls. Raises
    `AlreadyExists` where another item has claimed the disk."""
    await claim_restored(ports, item_id, restored)
    job = (await the(ports, item_id, Job, job_id)).record
    work = from_json(RestoreWork, job.detail)

    async def decide() -> Decision[None]:
        item = await the(ports, item_id, Item)
        point = await ports.ledger.get(item_id, Point, work.point)
        return go_on(item, point.record if point else None, restored)

    await transact(ports, item_id, decide)
    for replaced in work.replaced:
        await ports.inventory.release(replaced, item_id)


async def claim_restored(ports: Ports, item_id: ItemId, restored: Snapshot) -> None:
    """Makes the restored disk the item's (invariant 18), before a machine gets it. Raises
    `AlreadyExists` where it has come to be another's."""
    item = (await the(ports, item_id, Item)).record
    await claim_source(ports, replace(item, source=restored.disk), restored.size_bytes)


async def unclaim_restored(ports: Ports, item_id: ItemId, work: RestoreWork) -> None:
    """Disks that were restored and have not come in the place of the item's own are nobody's."""
    source = (await the(ports, item_id, Item)).record.source
    for disk in work.disks:
        if disk.url != source:
            await ports.inventory.release(disk.url, item_id)
