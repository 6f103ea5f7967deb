"""What must hold when the faults have stopped and all work has ended."""

from shared.model.extents import image_of
from shared.model.ids import DiskUrl, request_job
from shared.model.item import Item, ProtectionState
from shared.model.job import Status
from shared.model.manifest import manifest_of
from shared.model.messages import ExpirePoints
from shared.model.point import Point
from shared.steps.retention import expire_points
from tests.sim.machine_bytes import stored
from tests.sim.machine_life import Life

ROUNDS = 1000
"""Messages served, or waits: far more than any work needs that is given up in time."""


async def come_to_rest(life: Life) -> None:
    """All work ends, and all is as it should be."""
    world = life.world
    await world.settle(ROUNDS)
    life.seen["fault"] += sum(fault.fired for fault in world.ports.faults.planned)
    world.calm()
    for _ in range(80):
        await world.settle(ROUNDS)
        if not world.ports.due._watches:
            break
        await world.wait()
    _check_rest(life)
    for item in list(life.records.items.values()):
        await _check_item(life, item)
    life.seen["rest"] += 1


async def end_well(life: Life) -> None:
    """At the end of its life every disk can be backed up and checked, and every point restored."""
    await come_to_rest(life)
    life.storage.refuse_server_side_copy = False
    for item in list(life.records.items.values()):
        if item.state is not ProtectionState.PROTECTION_STOPPED:
            await _check_backup(life, item)
            await _check_repair(life, item)
        for point in life.records.of(item.id):
            if life.records.whole(point) and not item.delete_after:
                await _check_restore(life, point)


def _check_rest(life: Life) -> None:
    """Invariants 13 and 22."""
    records = life.records
    assert not life.world.ports.due._watches, "what rests is watched"
    assert not records.outbox
    assert not records.transfers
    assert [job.id for job in records.jobs.values() if not job.status.ended] == []
    assert [point.id for point in records.points.values() if point.pins] == []
    assert [url for url, blob in life.storage._blobs.items() if blob.lease_id] == []


async def _check_item(life: Life, item: Item) -> None:
    await expire_points(life.world.ports, ExpirePoints(item_id=item.id))
    now = life.records.items.get(item.id)
    if now is None:
        life.seen["item deleted"] += 1
        assert not life.storage.blobs_below(item.replica)
        return
    points = life.records.of(item.id)
    for point in points:
        life.records.check_point(point)
    life.records.check_base(now)
    _check_left_over(life, now, points)
    whole = [point for point in points if life.records.whole(point)]
    if whole and not now.delete_after:
        await _check_restore(life, whole[-1])


def _check_left_over(life: Life, item: Item, points: list[Point]) -> None:
    """Invariant 8: every snapshot of ours is a point's, the base's or the seed's; every manifest
    a point's; no plan is left."""
    images = [tier for point in points for tier in (point.source, point.replica)]
    images += [item.base.source, item.base.replica] if item.base else []
    images += [item.seed.source] if item.seed else []
    held = {extent.snapshot.id for image in images if image for extent in image_of(image)}
    for disk in (item.source, *(extent.url for extent in item.largest_replica)):
        ours = _tagged(life, disk, f"{item.id}.")
        assert ours <= held, f"snapshots of {disk} that are nobody's: {ours - held}"
    manifests = tuple(manifest_of(item.replica, point.job_id) for point in points)
    left = [url for url in life.world.ports.plans._blobs if url.startswith(item.replica)]
    assert [url for url in left if not url.startswith(manifests)] == []


def _tagged(life: Life, disk: DiskUrl, prefix: str) -> set[str]:
    blob = life.storage.find(disk)
    kept = blob.snapshots.values() if blob else ()
    return {each.snapshot.id for each in kept if each.snapshot.tag.startswith(prefix)}


async def _check_restore(life: Life, point: Point) -> None:
    """By the pipeline, to a new disk; `Records` compares it at the end of its job."""
    before = life.seen["new disk restored"]
    url = await life.restore(point)
    await life.world.settle(ROUNDS)
    assert life.seen["new disk restored"] == before + 1, f"{point.id} was not restored"
    if life.restored:
        life.storage.remove(life.restored.pop(0))
    life.restored.append(url)


async def _check_backup(life: Life, item: Item) -> None:
    await life.back_up(item.id)
    await life.world.settle(ROUNDS)
    newest = life.records.of(item.id)[-1]
    assert newest.replica is not None
    difference = life.records.held(newest).unlike(life.model.disks[item.source])
    assert not difference, difference


async def _check_repair(life: Life, item: Item) -> None:
    """A check leaves nothing rotten in the newest point, nor in one that nobody suspects of what
    it found (invariants 31 and 33). Where the service's diff answers everything nobody can tell
    which points share a page."""
    before = _rot_in(life, life.records.of(item.id)[-1])
    request = await life.check(item.id)
    await life.world.settle(ROUNDS)
    job = life.records.jobs[request_job(item.id, "check", request)]
    assert job.status in (Status.COMPLETED, Status.COMPLETED_WITH_WARNINGS), job
    *older, newest = life.records.of(item.id)
    assert not newest.suspect
    assert not _rot_in(life, newest)
    if not life.storage.diff_answers_everything:
        for point in older:
            assert point.suspect or not _rot_in(life, point) & before, point.id
    life.seen["check found rot"] += bool(before)


def _rot_in(life: Life, point: Point) -> set[bytes]:
    """The damaged pages of its copy in the vault, but for those that the disk itself held."""
    if point.replica is None or life.records.lacks(point.replica):
        return set()
    copy, held = stored(life.storage, point.replica), life.records.held(point)
    wrong = {page for n, page in copy.pages.items() if held.pages.get(n) != page}
    return wrong & life.records.rotten
