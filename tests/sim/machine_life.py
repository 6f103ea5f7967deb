"""What happens to a disk in its life, and what people ask of its protection."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import NamedTuple

from shared.contracts.policy import parse_policy
from shared.model.ids import DiskUrl, ItemId, RequestId
from shared.model.messages import CancelJob
from shared.model.pace import Pace
from shared.model.point import Point
from shared.model.ranges import PAGE_BYTES, TRANSFER_UNIT_BYTES, PageRange
from shared.steps.cancel import cancel_job
from shared.steps.expiry import request_expiry
from shared.steps.holds import hold_point, release_point
from shared.steps.policies import apply_policy
from shared.steps.tick import tick
from tests.sim.machine_bytes import ByteModel, stamped
from tests.sim.machine_records import Records
from tests.sim.machine_world import BusyWorld
from tests.sim.world import DISK, ITEM

POLICY = """
name: gold
time_zone: UTC
instant_restore_days: 1
"""
DAILY = f"""{POLICY}
schedule: {{frequency: daily, at: ["02:00"]}}
retention: {{daily: {{keep: 7}}}}
"""
WEEKLY = f"""{POLICY}
schedule: {{frequency: weekly, on: [sunday], at: ["02:00"]}}
retention: {{weekly: {{keep: 1, on: [sunday]}}}}
"""


class Place(NamedTuple):
    """Where on a disk: so many times 4 MiB, so many pages from there, so many pages."""

    unit: int
    page: int
    pages: int


class Life:
    """One disk and its protection; a second joins it where a restored disk is protected.

    `which` of the items, points or jobs is meant is counted in circles.
    """

    def __init__(self, seen: Counter[str]) -> None:
        self.world = BusyWorld()
        self.storage = self.world.ports.storage
        self.model = ByteModel(self.storage)
        self.records = Records(self.world.ports, self.model, seen)
        self.restored: list[DiskUrl] = []
        """New disks made by restores, which a person may protect."""
        self.seen = seen
        self._writes = 0

    async def begin(self, size: int, pace: Pace, listing_rows: int, seed: int) -> None:
        """A protected disk with some content, before its first backup."""
        self.world.ports = replace(self.world.ports, pace=pace)
        self.storage.listing_rows = listing_rows
        self.world.random = Random(seed)
        await self.world.set_up(DAILY)
        self.storage.create(DISK, size)
        self.write(DISK, Place(0, 0, 8))
        await self.world.protect()
        await self.world.settle()

    # ------------------------------------------------------------ the disk

    def disk_of(self, which: int) -> DiskUrl:
        """A protected disk: mostly the first."""
        disks = [DISK, *(item.source for item in self.records.items.values())]
        return disks[which % len(disks)]

    def write(self, disk: DiskUrl, place: Place, what: str = "new") -> None:
        """What a machine writes: bytes that no other write has, zeros, or the same again."""
        range_ = self._range(disk, place)
        if range_ is None:
            return
        self._writes += 1
        bodies = {
            "new": stamped(self._writes, range_),
            "zeros": bytes(range_.size_bytes),
            "same": self.storage.pages(disk).read(range_),
        }
        self.storage.put(disk, range_.start, bodies[what])

    def clear(self, disk: DiskUrl, place: Place, how_much: str) -> None:
        range_ = self._range(disk, place)
        if range_ is None:
            return
        size = self.storage.blob(disk).size_bytes
        start = 0 if how_much == "all" else range_.start
        end = range_.end if how_much == "some" else size
        self.storage.erase(disk, PageRange(start, end))

    def resize(self, disk: DiskUrl, size: int, *, anew: bool) -> None:
        """The disk grows, shrinks, or is another one under its name; a leased one refuses."""
        if self.storage.blob(disk).lease_id:
            return
        if anew:
            self.storage.replace(disk, size)
        else:
            self.storage.resize(disk, size)

    def _range(self, disk: DiskUrl, place: Place) -> PageRange | None:
        """The place on that disk; None where the disk has no page, or is leased and so refuses
        what its machine writes."""
        blob = self.storage.find(disk)
        if blob is None or not blob.size_bytes or blob.lease_id:
            return None
        start = place.unit * TRANSFER_UNIT_BYTES + place.page * PAGE_BYTES
        start = max(0, start) % blob.size_bytes
        return PageRange(start, min(blob.size_bytes, start + place.pages * PAGE_BYTES))

    # ------------------------------------------------------------ what people ask for

    def item_at(self, which: int) -> ItemId:
        items = sorted(self.records.items)
        return items[which % len(items)] if items else ITEM

    def point_at(self, item: ItemId, which: int) -> Point | None:
        points = self.records.of(item)
        return points[which % len(points)] if points else None

    async def back_up(self, item: ItemId, days: int | None = None) -> None:
        """A backup by request, retained for so many days where they are given."""
        until = self.world.ports.clock.now() + timedelta(days=days or 0)
        fields = {} if days is None else {"retain_until": f"{until:%Y-%m-%d}"}
        await self.world.command(type="backup-now", item_id=item, **fields)

    async def restore(self, point: Point, *, original: bool = False) -> DiskUrl:
        """Asks for it; the URL of the new disk, where it is to be one."""
        url = DiskUrl(f"{DISK}-{self.world.requests}")
        target: dict[str, object] = {"kind": "alternate", "url": url}
        if original:
            target = {"kind": "original", "confirm": True}
        await self.world.command(
            type="restore", item_id=point.item_id, point=point.id, target=target
        )
        return url

    async def check(self, item: ItemId) -> RequestId:
        request = await self.world.command(type="consistency-check", item_id=item)
        return RequestId(request)

    async def cancel(self, which: int) -> None:
        jobs = [job.id for job in self.records.jobs.values() if not job.status.ended]
        if jobs:
            job = jobs[which % len(jobs)]
            command = CancelJob(job_id=job, request_id=RequestId("cancel"))
            await self.world.attempt(cancel_job(self.world.ports, command))

    async def change_protection(self, item: ItemId, what: str) -> None:
        known = self.records.items.get(item)
        match what:
            case "stop" | "delete":
                delete = what == "delete"
                await self.world.command(type="stop-protection", item_id=item, delete_data=delete)
            case "undelete":
                await self.world.command(type="undelete", item_id=item)
            case "protect":
                await self.world.protect(known.source if known else DISK, item)
            case "protect a restored disk" if self.restored and len(self.records.items) < 2:
                name = ItemId(f"restored-{self.world.requests}")
                await self.world.protect(self.restored.pop(), name)

    async def keep_or_let_go(self, item: ItemId, which: int, what: str) -> None:
        ports, point = self.world.ports, self.point_at(item, which)
        self.world.requests += 1
        request = RequestId(f"people-{self.world.requests}")
        match what:
            case "hold" if point:
                await self.world.attempt(hold_point(ports, point.id, "why"))
            case "release" if point:
                await self.world.attempt(release_point(ports, point.id))
            case "expire" | "confirm":
                confirm = what == "confirm"
                await self.world.attempt(request_expiry(ports, item, request, confirm=confirm))
            case "weekly" | "daily":
                policy = parse_policy(WEEKLY if what == "weekly" else DAILY)
                await self.world.attempt(apply_policy(ports, policy))

    # ------------------------------------------------------------ time

    async def serve(self, count: int) -> None:
        """So many messages, or waits where there is none."""
        for _ in range(count):
            if not await self.world.serve_one():
                await self.world.wait()

    async def timers(self) -> None:
        await self.world.survive(tick(self.world.ports))
        await self.world.reconcile()
