"""How a disk comes under a policy: its source is claimed, its item written, its slot entered."""

from datetime import datetime

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.decide.protection import check_not_deleted, check_region, enter
from shared.decide.schedule import next_slot
from shared.model.errors import AlreadyExists, Invalid, VaultlineError
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
from shared.model.inventory import DISCOVERY, KnownDisk
from shared.model.item import Item, ProtectionState, Seed
from shared.model.job import Job
from shared.model.messages import Protect
from shared.model.point import Point
from shared.model.restore import RestoreWork
from shared.ports import DueSlot, Ports
from shared.steps.accepted import Accepted
from shared.steps.policies import policy_on_offer
from shared.steps.requests import PROTECT, RESTORE, done_job
from shared.steps.transact import still, transact

SOURCE_REGION = ""
"""A page blob does not tell its region; sources that do will say it here."""


async def protect(ports: Ports, command: Protect) -> Accepted:
    """Registers a disk and enters its first slot; its first backup is the schedule's.

    Index first, then the source's claim, then the item, then its slot: every death in between is
    mended by the message coming again. The claim comes before the item, so that no two items
    protect one disk (invariant 18). A disk that one of our restores made goes on incrementally.
    """
    disk = await ports.disks.state(DiskUrl(command.source))
    item = await _wanted(ports, command, disk.size_bytes)
    job_id = request_job(item.id, PROTECT, command.request_id)
    await _check_alive(ports, item.id, job_id)
    await ports.catalog.note_item(item.id)
    await ports.catalog.note_job(job_id, item.protected_at)
    await _claim(ports, item, disk.size_bytes)
    try:
        slot = await transact(ports, item.id, lambda: _enter(ports, item, command, job_id))
    except VaultlineError as error:
        if not error.transient:
            await _let_go(ports, item)
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


async def _wanted(ports: Ports, command: Protect, size_bytes: int) -> Item:
    """The item as the command wants it. Raises `NotFound`; `Invalid` where its id or vault may
    not be."""
    source, now = DiskUrl(command.source), ports.clock.now()
    item_id = command.item_id or default_item_id(source)
    if item_id == DISCOVERY:
        raise Invalid(f"'{item_id}' is not free: discoveries' jobs are listed under it")
    policy = await policy_on_offer(ports, PolicyName(command.policy))
    vault = await ports.catalog.vault(VaultName(command.vault))
    check_region(vault, SOURCE_REGION)
    return Item(
        id=item_id,
        source=source,
        policy=policy.name,
        vault=vault.name,
        replica=DiskUrl(f"{vault.url}/{item_id}/{digest(command.request_id)}"),
        extent_bytes=extent_bytes_for(size_bytes, vault.extent_bytes),
        state=ProtectionState.INITIAL_BACKUP_PENDING,
        protected_at=now,
        first_slot=next_slot(policy.schedule, policy.time_zone, now),
        seed=await _seed_of(ports, source),
    )


async def _claim(ports: Ports, item: Item, size_bytes: int) -> None:
    """Raises `AlreadyExists` where another item protects the source, by whatever policy."""
    wanted = KnownDisk(
        url=item.source, size_bytes=size_bytes, registered_at=item.protected_at, item=item.id
    )
    owner = await ports.inventory.claim(wanted)
    if owner == item.id:
        return
    known = await still(ports, owner)
    under = f", under policy {known.policy}" if known else ", whose protection has begun"
    raise AlreadyExists(
        f"{item.source} belongs to item {owner} already{under}; it cannot be under policy "
        f"{item.policy} as item {item.id}, too",
        code="SourceProtected",
        action=f"Use item {owner}, or delete it first: `vaultline stop {owner} --delete-data`.",
    )


async def _let_go(ports: Ports, item: Item) -> None:
    """Takes a claim back that came to nothing: the item's row is another disk's, or is none."""
    known = await still(ports, item.id)
    if known is None or known.source != item.source:
        await ports.inventory.release(item.source, item.id)


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
