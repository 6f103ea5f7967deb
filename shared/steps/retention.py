"""The step behind `retention`: removes what the policy no longer keeps, and only that.

The order makes every death harmless (invariants 1 and 8): what is to go is recorded in the points
first, with its reason, so that nobody restores them any more; then the snapshots go; then the
records. Snapshots are listed before the ledger is read: a snapshot that the ledger does not know
then belongs to nobody, and is not one that is just being taken.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.decide.expiry import as_decided, begin_removal, end_deletion, end_run
from shared.decide.guard import remember
from shared.decide.retention import Mark, RetentionDecision, RetentionPlan
from shared.model.deferral import Deferred
from shared.model.disk import Snapshot
from shared.model.errors import Conflict, Invalid, VaultlineError
from shared.model.extents import image_of
from shared.model.ids import ItemId, JobId, item_of
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Delete, Versioned, update
from shared.model.manifest import manifest_of
from shared.model.messages import ExpirePoints
from shared.model.point import Point
from shared.model.restore import RestoreWork
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.expiry import expiry_plan
from shared.steps.mirroring.points import expire_mirrored
from shared.steps.plan import plans_of
from shared.steps.policies import policy_of
from shared.steps.seats import clear_seats
from shared.steps.side_by_side import side_by_side
from shared.steps.step import step
from shared.steps.transact import still, the, transact


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What a retention run removed."""

    points: int = 0
    snapshots: int = 0


@step("expire points")
async def expire_points(ports: Ports, request: ExpirePoints) -> Expired:
    """One retention run; repeatable, and safe beside backups and restores. An item that is gone
    has nothing to expire: its message was late."""
    item = await still(ports, request.item_id)
    if item is None:
        return Expired()
    if item.mirrors:
        return Expired(points=await expire_mirrored(ports, item))
    disks = [item.source, *item.former, *[extent.url for extent in item.largest_replica]]
    snapshots = list(chain.from_iterable(await side_by_side(disks, ports.disks.snapshots)))
    plans = await ports.plans.urls(plans_of(item.replica))
    manifests = await ports.plans.urls(manifest_of(item.replica))
    await _record(ports, item.id)
    asked_for = item.expiry.job
    # The item before its points: what lets go of a snapshot has written its point by then.
    item = (await the(ports, item.id, Item)).record
    points = [row.record async for row in ports.ledger.rows(item.id, Point)]
    released = await _release(ports, item, points, snapshots)
    if not _read_by(item, points):
        await ports.disks.take_back(item.source)
    await _drop(ports, plans_of(item.replica), plans, item.jobs_at_work)
    kept = item.jobs_at_work | {point.job_id for point in points if not point.expiring}
    await _drop(ports, manifest_of(item.replica), manifests, kept)
    expired = await _forget(ports, points)
    await _end(ports, item.id, asked_for)
    return Expired(points=expired, snapshots=released)


async def _record(ports: Ports, item_id: ItemId) -> None:
    """Writes the plan into the points before anything is deleted."""
    item = await the(ports, item_id, Item)
    rows = {row.record.id: row async for row in ports.ledger.rows(item_id, Point)}
    plan = await expiry_plan(ports, item.record, [row.record for row in rows.values()])
    await _remember(ports, item_id, plan)
    for each in plan.decisions:
        if each.mark is Mark.EXPIRE:
            await _begin(ports, each)
        else:
            await _rewrite(ports, rows[each.point.id], as_decided(each))


async def _remember(ports: Ports, item_id: ItemId, plan: RetentionPlan) -> None:
    """The item says why its plan is held, or that it was not."""

    async def decide() -> Decision[None]:
        row = await the(ports, item_id, Item)
        policy = await policy_of(ports, row.record.policy)
        known = remember(row.record.expiry, plan, policy)
        if known == row.record.expiry or row.record.delete_data:
            return Decision(None)
        return Decision(None, (update(row, replace(row.record, expiry=known)),))

    await transact(ports, item_id, decide)


async def _begin(ports: Ports, going: RetentionDecision) -> None:
    """Each point on its own: one that a restore pins meanwhile stays."""
    point, now = going.point, ports.clock.now()
    if point.expiring:
        return

    async def decide() -> Decision[bool]:
        item = await the(ports, point.item_id, Item)
        row = await ports.ledger.get(point.item_id, Point, point.id)
        return begin_removal(item, row, going.why, now)

    await transact(ports, point.item_id, decide)


async def _rewrite(ports: Ports, row: Versioned[Point], decided: Point) -> None:
    if decided == row.record:
        return
    try:
        await ports.ledger.commit(decided.item_id, [update(row, decided)])
    except Conflict:
        return  # somebody pinned or held it in this moment; the next run sees why


async def _release(
    ports: Ports, item: Item, points: Sequence[Point], snapshots: Iterable[Snapshot]
) -> int:
    """Deletes our snapshots that nothing in the ledger holds any more. Raises why one of them
    stays."""
    held = await _held(ports, item, points)
    busy = _read_by(item, points)
    orphans = [
        snapshot
        for snapshot in snapshots
        if (snapshot.disk, snapshot.id) not in held
        and snapshot.tag not in busy
        and await _ours(ports, item, snapshot)
    ]
    kept = [why for snapshot in orphans if (why := await _not_deleted(ports, snapshot))]
    await clear_seats(ports, item, {url for url, _ in held})
    if kept:
        raise kept[0]
    return len(orphans)


async def _not_deleted(ports: Ports, snapshot: Snapshot) -> VaultlineError | None:
    """Why the snapshot is still there, for a lock for example: that keeps no other one."""
    try:
        await ports.disks.delete_snapshot(snapshot)
    except (Invalid, Deferred) as error:
        return error
    return None


def _read_by(item: Item, points: Iterable[Point]) -> Set[JobId]:
    """The jobs that may be reading snapshots."""
    return item.jobs_at_work | {pin for each in points for pin in each.pins}


async def _ours(ports: Ports, item: Item, snapshot: Snapshot) -> bool:
    """Taken for this item; or the start of a restored disk whose protection has moved on."""
    if snapshot.tag.startswith(f"{item.id}."):
        return True
    moved_on = item.base is not None and not item.seed
    restored = snapshot.disk == item.source and ".restore-" in snapshot.tag
    return restored and moved_on and not await _is_of_an_original(ports, snapshot)


async def _is_of_an_original(ports: Ports, snapshot: Snapshot) -> bool:
    """Whether it is what a disk held before a restore came in its place: a point of the item that
    had the disk then."""
    row = await ports.ledger.get(item_of(snapshot.tag), Job, snapshot.tag)
    return row is not None and from_json(RestoreWork, row.record.detail).original


async def _held(ports: Ports, item: Item, points: Iterable[Point]) -> set[tuple[str, str]]:
    """Every snapshot that a point, the base, the seed or a transfer still needs."""
    held: list[Snapshot | None] = []
    for point in points:
        if not point.expiring:
            held += [point.source, point.replica]
    async for transfer in ports.ledger.rows(item.id, Transfer):
        held.append(transfer.record.snapshot)
        if transfer.record.base:
            held += [transfer.record.base.source, transfer.record.base.replica]
    if item.base and not item.delete_data:
        held += [item.base.source, item.base.replica]
    if item.seed:
        held += [item.seed.source, item.seed.vault_copy]
    held += await _read_now(ports, item)
    snapshots = [snapshot for snapshot in held if snapshot]
    extents = chain.from_iterable(image_of(snapshot) for snapshot in snapshots)
    moments = {(str(each.disk), each.id) for each in snapshots if each.members}
    return {(str(extent.url), extent.snapshot.id) for extent in extents} | moments


async def _read_now(ports: Ports, item: Item) -> list[Snapshot]:
    """What restores under way read: a check may have given their point another snapshot."""
    rows = [await ports.ledger.get(item.id, Job, job) for job in item.restoring]
    return [from_json(RestoreWork, row.record.detail).source for row in rows if row]


async def _drop(ports: Ports, root: str, urls: Iterable[str], kept: Set[JobId]) -> None:
    """Deletes the plans, or manifests, of all jobs but those kept; `urls` were listed before the
    ledger was read, so that none is taken that has just been written (invariant 16)."""
    jobs = {url.removeprefix(root).partition("/")[0] for url in urls}
    for job in sorted(jobs - kept):
        await ports.plans.delete(f"{root}{job}/")


async def _forget(ports: Ports, points: Iterable[Point]) -> int:
    """The records of points whose snapshots are gone."""
    going = [point for point in points if point.expiring]
    for point in going:
        await ports.ledger.commit(point.item_id, [Delete(point)])
    return len(going)


async def _end(ports: Ports, item_id: ItemId, begun_for: JobId | None) -> None:
    """Nothing is due any more; an item whose data is deleted goes with its replica."""
    item = (await the(ports, item_id, Item)).record
    if await _deletable(ports, item):
        for extent in item.largest_replica:
            await ports.images.delete(extent.url)
        await ports.inventory.release(item.source, item_id)
        await ports.catalog.forget_item(item_id)

    async def decide() -> Decision[None]:
        row, now = await the(ports, item_id, Item), ports.clock.now()
        asked_for = row.record.expiry.job
        job = await ports.ledger.get(item_id, Job, asked_for) if asked_for else None
        if await _deletable(ports, row.record):
            return end_deletion(row, job, now)
        return end_run(row, job, begun_for, now)

    await transact(ports, item_id, decide)


async def _deletable(ports: Ports, item: Item) -> bool:
    """Its data is to go, nothing is under way, and no restore still reads a point."""
    if not item.delete_data or item.at_work:
        return False
    return not [row async for row in ports.ledger.rows(item.id, Point)]
