"""What must hold of the ledger and the storage at every single transaction of a long life.

A watcher behind the ledger and the disks' ports sees each change at the moment it takes effect,
so that a point that is wrong for an instant is caught, too.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from shared.codec import from_json
from shared.memory import MemoryPorts
from shared.model.disk import Snapshot
from shared.model.extents import image_of
from shared.model.ids import DiskUrl, ItemId, JobId, PointId
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Delete, RowChange
from shared.model.outbox import Outbox
from shared.model.point import Point
from shared.model.restore import RestoreWork
from shared.model.transfer import Transfer
from tests.sim.machine_bytes import ByteModel, Bytes, stored

K = TypeVar("K")
V = TypeVar("V")


class Records:
    """The ledger's rows as they were last written, checked one transaction after the other.

    `lost` names the snapshots that somebody else deleted: what they held may be gone. `rotten` are
    the pages that the vault's storage has damaged: until a check they may be anywhere in it, and
    nothing else may be wrong. `seen` counts what happened, so that a run can prove that it met
    what it is for.
    """

    def __init__(self, ports: MemoryPorts, model: ByteModel, seen: Counter[str]) -> None:
        self.items: dict[ItemId, Item] = {}
        self.points: dict[PointId, Point] = {}
        self.jobs: dict[JobId, Job] = {}
        self.transfers: dict[JobId, Transfer] = {}
        self.outbox: dict[str, ItemId] = {}
        self.lost: set[str] = set()
        self.rotten: set[bytes | None] = set()
        self.wrong: list[str] = []
        self._origins: dict[PointId, str] = {}
        self._released: dict[str, Bytes] = {}
        self._ports, self._model, self._seen = ports, model, seen
        self._follow_ledger()
        self._follow_storage()

    # ------------------------------------------------------------ what a point must hold

    def held(self, point: Point) -> Bytes:
        """What the disk held when the point's source snapshot was taken."""
        return self._model.held[self._origins[point.id]]

    def check_point(self, point: Point) -> None:
        """Each tier of a point that is left holds what the disk held (invariants 1 and 2)."""
        if point.expiring:
            return
        for tier in (point.source, point.replica):
            if tier is not None and not self.lacks(tier):
                self._check_image(f"{point.id} in {tier.disk}", tier, self.held(point))

    def check_base(self, item: Item) -> None:
        """The two sides of the base are equal, where both are left, and to stay."""
        base = item.base
        if base is None or item.delete_data or self.lacks(base.source) or self.lacks(base.replica):
            return
        self._check_image(f"base {base.point}", base.replica, self._model.held[base.source.id])

    def whole(self, point: Point) -> bool:
        """Whether a restore finds what it reads: the vault tier where the point has one."""
        read = point.readable
        return not point.expiring and read is not None and not self.lacks(read)

    def lacks(self, image: Snapshot) -> bool:
        """Whether somebody else deleted a part of it."""
        return any(extent.snapshot.id in self.lost for extent in image_of(image))

    def of(self, item: ItemId) -> list[Point]:
        """The item's points, oldest first."""
        own = [point for point in self.points.values() if point.item_id == item]
        return sorted(own, key=lambda point: point.created_at)

    def _check_image(self, what: str, image: Snapshot | DiskUrl, expected: Bytes) -> None:
        try:
            found = stored(self._ports.storage, image)
        except Exception as error:
            self._expect(False, f"{what}: {error}")
            return
        difference = found.unlike(expected, self.rotten)
        self._expect(not difference, f"{what}: {difference}")

    def _expect(self, holds: bool, otherwise: str) -> None:
        """Noted, besides being raised: a step may take an exception for a failure of its own."""
        if not holds:
            self.wrong.append(otherwise)
            raise AssertionError(otherwise)

    # ------------------------------------------------------------ the ledger

    def _follow_ledger(self) -> None:
        ledger = self._ports.ledger
        apply, commit = ledger._apply, ledger.commit
        applied: list[RowChange] = []

        def noting(rows: Any, change: RowChange) -> None:
            apply(rows, change)
            applied.append(change)

        async def following(item: ItemId, changes: Sequence[RowChange]) -> None:
            try:
                await commit(item, changes)
            finally:
                done = applied[:]
                applied.clear()
                self._transacted(item, done)

        ledger._apply = noting  # type: ignore[method-assign]
        ledger.commit = following  # type: ignore[method-assign]

    def _transacted(self, item: ItemId, changes: Sequence[RowChange]) -> None:
        before = {**self.points}, {**self.jobs}
        for change in changes:
            self._note(item, change)
        for change in changes:
            match change.record:
                case Point(id=id_):
                    self._check_change(before[0].get(id_), self.points.get(id_))
                case Job(id=job):
                    self._check_job(before[1].get(job), self.jobs[job])

    def _note(self, item: ItemId, change: RowChange) -> None:
        gone = isinstance(change, Delete)
        match change.record:
            case Item() as record:
                _put(self.items, record.id, record, gone)
            case Point() as record:
                _put(self.points, record.id, record, gone)
            case Job() as record:
                _put(self.jobs, record.id, record, gone)
            case Outbox() as record:
                _put(self.outbox, record.message.message_id, item, gone)
            case Transfer() as record:
                known = self.transfers.get(record.job_id)
                begins = known is None or known.round is not record.round
                self._seen[f"round {record.round}"] += begins
                _put(self.transfers, record.job_id, record, gone)

    def _check_change(self, old: Point | None, new: Point | None) -> None:
        if new is None:
            assert old is not None
            self._check_removed(old)
        elif old is None:
            self._check_new(new)
        elif new.expiring and not old.expiring:
            self._check_going(new)
        else:
            self._expect(bool(new.tiers), f"{new.id} has neither tier, but is a point")
            if new.replica != old.replica:
                self.check_point(new)
                self._seen["healed" if new.healed != old.healed else "sealed anew"] += 1

    def _check_new(self, point: Point) -> None:
        assert point.source is not None
        self._origins[point.id] = point.source.id
        self.check_point(point)
        self._seen[f"{point.kind} point" if point.replica else point.kind_reason] += 1
        self._seen["repaired"] += bool(point.repaired_bytes)
        self._seen["streamed"] += bool(point.worker_bytes)

    def _check_going(self, point: Point) -> None:
        """Invariant 8."""
        item = self.items[point.item_id]
        self._expect(not point.pins, f"{point.id} is in use, and goes")
        self._expect(not point.hold, f"{point.id} is held, and goes")
        vault = [p for p in self.of(item.id) if p.replica and (p == point or not p.expiring)]
        sound = [p for p in vault if not p.suspect]
        newest = (sound or vault)[-1:]
        self._expect(item.delete_data or [point] != newest, f"{point.id} is the newest, and goes")
        self._seen["point expired"] += 1

    def _check_removed(self, point: Point) -> None:
        self._expect(bool(point.expiring), f"{point.id} went without its removal being recorded")

    def _check_job(self, old: Job | None, new: Job) -> None:
        """Invariant 22: what has ended holds nothing, and stays ended."""
        if old is not None and old.status.ended:
            self._expect(old.status is new.status, f"{new.id} was {old.status}, is {new.status}")
        if not new.status.ended or (old is not None and old.status.ended):
            return
        self._seen[f"{new.operation} {new.status} {new.error.code if new.error else ''}"] += 1
        item = self.items.get(new.item_id)
        self._expect(not item or new.id not in item.jobs_at_work, f"{new.id} ended in its place")
        self._expect(new.id not in self.transfers, f"{new.id} ended, its transfer did not")
        pinned = any(new.id in point.pins for point in self.points.values())
        self._expect(not pinned, f"{new.id} ended and still pins a point")
        done = new.status in (Status.COMPLETED, Status.COMPLETED_WITH_WARNINGS)
        if new.operation is Operation.RESTORE and done:
            self._check_restored(new)

    # ------------------------------------------------------------ the storage

    def _check_restored(self, job: Job) -> None:
        """The target held the point's bytes when the restore let go of it."""
        work = from_json(RestoreWork, job.detail)
        expected = self.held(self.points[work.point])
        difference = self._released[work.lease_id].unlike(expected, self.rotten)
        self._expect(not difference, f"{work.point} restored to {work.target}: {difference}")
        self._seen["original restored" if work.original else "new disk restored"] += 1

    def _follow_storage(self) -> None:
        _ahead(self._ports.images, "release", self._let_go)
        _ahead(self._ports.images, "delete", self._check_image_deletion)
        delete = self._ports.disks.delete_snapshot

        async def deleting(snapshot: Snapshot) -> None:
            there = self._kept(snapshot)
            try:
                await delete(snapshot)
            finally:
                if there and not self._kept(snapshot):
                    self._check_deleted(snapshot)

        self._ports.disks.delete_snapshot = deleting  # type: ignore[method-assign]

    def _kept(self, snapshot: Snapshot) -> bool:
        blob = self._ports.storage.find(snapshot.disk)
        return blob is not None and snapshot.id in blob.snapshots

    def _let_go(self, disk: DiskUrl, lease_id: str) -> None:
        blob = self._ports.storage.find(disk)
        if blob is not None and blob.lease_id == lease_id:
            self._released[lease_id] = stored(self._ports.storage, disk)

    def _check_image_deletion(self, disk: DiskUrl) -> None:
        owner = next((item for item in self.items.values() if disk.startswith(item.replica)), None)
        self._expect(not owner or owner.delete_data, f"{disk} is deleted, its item is not")

    def _check_deleted(self, snapshot: Snapshot) -> None:
        """Invariant 8: no point, no base and no transfer needs it."""
        for what, image in self._needed():
            parts = image_of(image) if image else ()
            needed = any(extent.snapshot.id == snapshot.id for extent in parts)
            self._expect(not needed, f"{what} needs {snapshot.id}, which was deleted")

    def _needed(self) -> Iterator[tuple[str, Snapshot | None]]:
        for point in self.points.values():
            if not point.expiring:
                yield from ((point.id, point.source), (point.id, point.replica))
        for item in self.items.values():
            if item.base and not item.delete_data:
                yield f"the base of {item.id}", item.base.source
                yield f"the base of {item.id}", item.base.replica
        for transfer in self.transfers.values():
            yield transfer.job_id, transfer.snapshot


def _put(rows: dict[K, V], key: K, record: V, gone: bool) -> None:
    if gone:
        rows.pop(key, None)
    else:
        rows[key] = record


def _ahead(port: Any, name: str, look: Callable[..., None]) -> None:
    """Each call of that name is looked at before it is made."""
    call: Callable[..., Awaitable[Any]] = getattr(port, name)

    async def looking(*given: Any) -> Any:
        look(*given)
        return await call(*given)

    setattr(port, name, looking)
