"""How a disk comes under a policy: its source is claimed, its item written, its slot entered."""

from datetime import datetime

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.decide.protection import check_not_deleted, enter
from shared.decide.schedule import next_slot
from shared.model.arm_ids import is_machine_id
from shared.model.errors import Invalid, VaultlineError
from shared.model.extents import extent_bytes_for
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
from shared.model.inventory import DISCOVERY
from shared.model.item import Item, ProtectionState, Seed
from shared.model.job import Job
from shared.model.messages import Protect
from shared.model.point import Point
from shared.model.restore import RestoreWork
from shared.model.vault import Vault, VaultKind
from shared.ports import DueSlot, Ports
from shared.steps.accepted import Accepted
from shared.steps.claiming import claim_source, let_go
from shared.steps.mirroring.protect import check_nowhere_else, protect_mirrored
from shared.steps.policies import policy_on_offer
from shared.steps.requests import PROTECT, RESTORE, done_job
from shared.steps.transact import still, transact


async def protect(ports: Ports, command: Protect) -> Accepted:
    """Registers a disk and enters its first slot; its first backup is the schedule's.

    Index first, then the source's claim, then the item, then its slot: every death in between is
    mended by the message coming again. The claim comes before the item, so that no two items
    protect one disk (invariant 18). A disk that one of our restores made goes on incrementally.
    """
    vault = await ports.catalog.vault(VaultName(command.vault))
    if vault.kind is VaultKind.RECOVERY_SERVICES:
        return await protect_mirrored(ports, command, vault)
    disk = await ports.disks.state(DiskUrl(command.source))
    if is_machine_id(command.source):
        await check_nowhere_else(ports, await ports.machines.state(DiskUrl(command.source)))
    item = await _wanted(ports, command, vault, disk.size_bytes)
    job_id = request_job(item.id, PROTECT, command.request_id)
    await _check_alive(ports, item.id, job_id)
    await ports.catalog.note_item(item.id)
    await ports.catalog.note_job(job_id, item.protected_at)
    await claim_source(ports, item, disk.size_bytes)
    try:
        slot = await transact(ports, item.id, lambda: _enter(ports, item, command, job_id))
    except VaultlineError as error:
        if not error.transient:
            await let_go(ports, item)
        raise
    await ports.due.put_slot(DueSlot(item=item.id, slot=slot))
    return Accepted(item_id=item.id, job_id=job_id)


async def _check_alive(ports: Ports, item_id: ItemId, job_id: JobId) -> None:
    """Raises `Invalid` where the item is being deleted: its deletion would take listing and claim
    away again. Not for a request that was met before that."""
    known = await still(ports, item_id)
    if known is not None and await ports.ledger.get(item_id, Job, job_id) is None:
        check_not_deleted(known)


async def _enter(ports: Ports, item: Item, command: Protect, job_id: JobId) -> Decision[datetime]:
    """The first slot of the item, which is written unless this request has done so before."""
    row = await ports.ledger.get(item.id, Item)
    repeated = await ports.ledger.get(item.id, Job, job_id) is not None
    if row is not None and repeated:
        return Decision(row.record.first_slot)
    return enter(row, item, done_job(item.id, job_id, command, ports.clock.now()))


async def _wanted(ports: Ports, command: Protect, vault: Vault, size_bytes: int) -> Item:
    """The item as the command wants it. Raises `NotFound`; `Invalid` where its id or vault may
    not be."""
    source, now = DiskUrl(command.source), ports.clock.now()
    item_id = command.item_id or default_item_id(source)
    if item_id == DISCOVERY:
        raise Invalid(f"'{item_id}' is not free: discoveries' jobs are listed under it")
    policy = await policy_on_offer(ports, PolicyName(command.policy))
    return Item(
        id=item_id,
        source=source,
        policy=policy.name,
        vault=vault.name,
        replica=DiskUrl(f"{vault.url}/{item_id}/{digest(command.request_id)}"),
        extent_bytes=extent_bytes_for(size_bytes, vault.extent_bytes),
        luns=command.disks,
        state=ProtectionState.INITIAL_BACKUP_PENDING,
        protected_at=now,
        first_slot=next_slot(policy.schedule, policy.time_zone, now),
        seed=await _seed_of(ports, source),
    )


async def _seed_of(ports: Ports, source: DiskUrl) -> Seed | None:
    """The restored point that this disk began as, if one of our restores made it. A machine's
    disks are told apart by their seats."""
    if is_machine_id(source):
        return None
    for snapshot in reversed(await ports.disks.snapshots(source)):
        if f".{RESTORE}-" not in snapshot.tag:
            continue
        row = await ports.ledger.get(item_of(snapshot.tag), Job, snapshot.tag)
        if row is None or not row.record.detail:
            continue
        work = from_json(RestoreWork, row.record.detail)
        if work.original or work.target != source:
            continue  # what the original held before it was restored
        point = await ports.ledger.get(row.record.item_id, Point, work.point)
        if point is not None and point.record.replica is not None:
            return Seed(point=work.point, source=snapshot, vault_copy=point.record.replica)
    return None
