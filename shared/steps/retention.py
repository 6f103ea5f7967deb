"""The step behind `retention`: removes what the policy no longer keeps, and only that.

The order makes every death harmless (invariants 1 and 8): what is to go is recorded in the points
first, with its reason, so that nobody restores them any more; then the snapshots go; then the
records. Snapshots are listed before the ledger is read: a snapshot that the ledger does not know
then belongs to nobody, and is not one that is just being taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.decide.decision import Decision
from shared.decide.retention import RetentionPlan, plan_retention
from shared.model.disk import Snapshot
from shared.model.errors import Conflict
from shared.model.ids import ItemId
from shared.model.item import Item, ProtectionState
from shared.model.ledger import Delete, Versioned, update
from shared.model.messages import ExpirePoints
from shared.model.point import Point
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.plan import plans_of
from shared.steps.policies import policy_of
from shared.steps.step import step
from shared.steps.transact import the, transact


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What a retention run removed."""

    points: int = 0
    snapshots: int = 0


async def preview_expiry(ports: Ports, item_id: ItemId) -> RetentionPlan:
    """The plan that a retention run would carry out now. Raises `NotFound`."""
    item = (await the(ports, item_id, Item)).record
    points = [row.record async for row in ports.ledger.rows(item_id, Point)]
    policy = await policy_of(ports, item.policy)
    stopped = item.state is ProtectionState.PROTECTION_STOPPED
    base = item.base.point if item.base else None
    return plan_retention(points, policy, base, ports.clock.now(), stopped=stopped)


@step("expire points")
async def expire_points(ports: Ports, request: ExpirePoints) -> Expired:
    """One retention run; repeatable, and safe beside backups and restores. Raises `NotFound`."""
    item = (await the(ports, request.item_id, Item)).record
    snapshots = [
        *await ports.disks.snapshots(item.source),
        *await ports.disks.snapshots(item.replica),
    ]
    await _record(ports, item)
    released = await _release(ports, item.id, snapshots)
    expired = await _forget(ports, item.id)
    await _end(ports, item.id)
    return Expired(points=expired, snapshots=released)


async def _record(ports: Ports, item: Item) -> None:
    """Marks what goes, each row on its own: a point that a restore pins meanwhile stays."""
    rows = {row.record.id: row async for row in ports.ledger.rows(item.id, Point)}
    if item.delete_data:
        going = dict.fromkeys(rows, "protection was stopped and its data is deleted")
        released: set[str] = set()
    else:
        plan = await preview_expiry(ports, item.id)
        going = {each.point.id: each.why for each in plan.decisions if each.point in plan.expire}
        released = {point.id for point in plan.release}
    for id_, row in rows.items():
        marked = row.record
        if id_ in going and not marked.expiring and not marked.pins:
            marked = replace(marked, expiring=going[id_])
        if id_ in released:
            marked = replace(marked, source=None)
        await _mark(ports, row, marked)


async def _mark(ports: Ports, row: Versioned[Point], marked: Point) -> None:
    if marked == row.record:
        return
    try:
        await ports.ledger.commit(marked.item_id, [update(row, marked)])
    except Conflict:
        return  # somebody pinned it in this moment; the next run sees why


async def _release(ports: Ports, item_id: ItemId, snapshots: Iterable[Snapshot]) -> int:
    """Deletes our snapshots that nothing in the ledger holds any more."""
    item = (await the(ports, item_id, Item)).record
    points = [row.record async for row in ports.ledger.rows(item_id, Point)]
    held = await _held(ports, item, points)
    busy = {item.snapshotting, item.transferring, *(pin for each in points for pin in each.pins)}
    orphans = [
        snapshot
        for snapshot in snapshots
        if (snapshot.disk, snapshot.id) not in held
        and snapshot.tag not in busy
        and _ours(item, snapshot)
    ]
    for snapshot in orphans:
        await ports.disks.delete_snapshot(snapshot)
    return len(orphans)


def _ours(item: Item, snapshot: Snapshot) -> bool:
    """Taken for this item; or the start of a restored disk whose protection has moved on."""
    spent_seed = snapshot.disk == item.source and ".restore-" in snapshot.tag and not item.seed
    return snapshot.tag.startswith(f"{item.id}.") or (spent_seed and item.base is not None)


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
        held += [item.seed.source]
    return {(snapshot.disk, snapshot.id) for snapshot in held if snapshot}


async def _forget(ports: Ports, item_id: ItemId) -> int:
    """The records of points whose snapshots are gone."""
    rows = [row async for row in ports.ledger.rows(item_id, Point) if row.record.expiring]
    for row in rows:
        await ports.ledger.commit(item_id, [Delete(row.record)])
    return len(rows)


async def _end(ports: Ports, item_id: ItemId) -> None:
    """Nothing is due any more; an item whose data is deleted goes with its replica."""
    item = (await the(ports, item_id, Item)).record
    if item.transferring is None:
        await ports.plans.delete(plans_of(item.replica))
    if await _deletable(ports, item):
        await ports.images.delete(item.replica)
        await ports.catalog.forget_item(item_id)

    async def decide() -> Decision[None]:
        row = await the(ports, item_id, Item)
        if await _deletable(ports, row.record):
            return Decision(None, (Delete(row.record, row.etag),))
        return Decision(None, (update(row, replace(row.record, expiry_due=False)),))

    await transact(ports, item_id, decide)


async def _deletable(ports: Ports, item: Item) -> bool:
    """Its data is to go, nothing is under way, and no restore still reads a point."""
    if not item.delete_data or item.transferring or item.snapshotting:
        return False
    return not [row async for row in ports.ledger.rows(item.id, Point)]
