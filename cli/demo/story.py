"""The whole story: a disk protected, backed up four times as it changes, and brought back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cli.demo.backups import Pipeline
from cli.demo.checks import look_at_live, look_into, restored, snapshot_of
from cli.demo.filesystem import FileSystems
from cli.demo.proof import OriginalProof, PointProof, Restored, Trigger
from cli.demo.slots import next_slots, policy_of
from cli.demo.source import SourceDisk, change, unchanged, upload
from cli.output import size
from shared.model.ids import DiskUrl, PointId
from shared.model.point import Point
from shared.ports import Ports

PROTECT_MARGIN = timedelta(seconds=4)
"""Time for the disk to come under its policy before the first slot."""
CHANGE_ROOM = timedelta(seconds=8)
BACKUP_ROOM = timedelta(seconds=25)
"""Least time before a slot to change the disk, and to back it up besides: a slot must not find
the disk half changed, nor another transfer under way."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A point, and the disk as it was when its snapshot was taken."""

    point: Point
    trigger: Trigger
    disk: SourceDisk
    by_restore: bool = False

    def proof(self, back: Restored) -> PointProof:
        point, disk = self.point, self.disk
        return PointProof(
            id=point.id,
            job_id=point.job_id,
            trigger=self.trigger,
            kind=point.kind.value,
            changed_bytes=point.changed_bytes,
            copied_bytes=point.copied_bytes,
            worker_bytes=point.worker_bytes,
            requests=point.requests,
            seconds=point.seconds,
            sha256_source=disk.state.sha256,
            restored=back,
            written_bytes=None if self.by_restore else disk.written_bytes,
            cleared_bytes=None if self.by_restore else disk.cleared_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class Story:
    """What it takes: the pipeline, the tools, and a folder for restored images."""

    pipeline: Pipeline
    tools: FileSystems
    folder: Path
    say: Say

    @property
    def ports(self) -> Ports:
        return self.pipeline.session.ports

    async def tell(self, disk: SourceDisk) -> tuple[list[PointProof], OriginalProof]:
        """All of it; the first point comes back while later ones are made. Raises `JobFailed`,
        `ToolFailed`."""
        disk, slot, next_slot = await self.begin(disk)
        first = await self._scheduled(slot, disk)
        async with asyncio.TaskGroup() as group:
            first_back = group.create_task(self._restored(first.point.id, disk))
            later = await self.go_on(disk, next_slot)
        proofs = await self.restore_all(later)
        last, original = await self.restore_original([first, *later])
        return [first.proof(first_back.result()), *proofs, last], original

    async def begin(self, disk: SourceDisk) -> tuple[SourceDisk, datetime, datetime]:
        """Uploads the disk and protects it; the uploaded disk, and its schedule's slots."""
        disk = await upload(self.ports, disk, self.pipeline.source)
        self.say(f"uploaded {size(disk.written_bytes)} of a {size(disk.state.size_bytes)} disk")
        slots = next_slots(self.ports.clock.now(), PROTECT_MARGIN)
        await self.pipeline.protect(policy_of(slots))
        return disk, *slots

    async def go_on(self, disk: SourceDisk, slot: datetime) -> list[Taken]:
        """Three points more: by message, by schedule, by message. The disk changes before each,
        and never before the point ahead of it has its snapshot."""
        taken = [await self._requested(disk)] if self._room(BACKUP_ROOM, slot) else []
        latest = taken[-1].disk if taken else disk
        taken.append(await self._scheduled(slot, await self._before(slot, latest)))
        while taken[-1].disk.edits:
            taken.append(await self._requested(taken[-1].disk))
        return taken

    async def restore_all(self, taken: Sequence[Taken]) -> list[PointProof]:
        """Every point to a disk of its own, side by side, each compared with its source."""
        self.say(f"restoring {len(taken)} points to new disks")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._restored(each.point.id, each.disk)) for each in taken]
        return [each.proof(task.result()) for each, task in zip(taken, tasks, strict=True)]

    async def restore_original(self, taken: Sequence[Taken]) -> tuple[PointProof, OriginalProof]:
        """The oldest point onto the disk itself; then one more backup, and both new points back:
        that one, and the one that keeps what the restore overwrote."""
        oldest, newest = taken[0], taken[-1]
        self.say("restoring the oldest point onto the original disk")
        job, safety = await self.pipeline.restored_original(oldest.point.id)
        seen = await look_at_live(
            self.ports, self.tools, self.pipeline.source, self._image(job.id), oldest.disk.contents
        )
        point = await self.pipeline.requested()
        self._tell(point, "request")
        last = Taken(point=point, trigger="request", disk=oldest.disk, by_restore=True)
        async with asyncio.TaskGroup() as group:
            last_back = group.create_task(self._restored(point.id, oldest.disk))
            safety_back = group.create_task(self._restored(safety.id, newest.disk))
        return last.proof(last_back.result()), OriginalProof(
            point=oldest.point.id,
            sha256_source=oldest.disk.state.sha256,
            restored=restored(seen, job),
            safety_point=safety.id,
            safety_source=newest.disk.state.sha256,
            safety=safety_back.result(),
            next_point=point.id,
        )

    async def _scheduled(self, slot: datetime, disk: SourceDisk) -> Taken:
        left = (slot - self.ports.clock.now()).total_seconds()
        self.say(f"waiting {left:.0f} s for the schedule's slot at {slot:%H:%M} UTC")
        point = await self.pipeline.scheduled(slot)
        self._tell(point, "schedule")
        return Taken(point=point, trigger="schedule", disk=disk)

    async def _requested(self, disk: SourceDisk) -> Taken:
        changed = await self._change(disk)
        point = await self.pipeline.requested()
        self._tell(point, "request")
        return Taken(point=point, trigger="request", disk=changed)

    async def _before(self, slot: datetime, disk: SourceDisk) -> SourceDisk:
        """The disk changed once more, if that surely ends before the slot takes its snapshot."""
        return await self._change(disk) if self._room(CHANGE_ROOM, slot) else unchanged(disk)

    async def _change(self, disk: SourceDisk) -> SourceDisk:
        changed = await change(self.ports, disk, self.pipeline.source)
        written, cleared = size(changed.written_bytes), size(changed.cleared_bytes)
        self.say(f"changed the disk: {written} written, {cleared} cleared")
        return changed

    async def _restored(self, point: PointId, disk: SourceDisk) -> Restored:
        """The point on a new disk, compared with what the source was then."""
        account = self.pipeline.source.rpartition("/")[0].rpartition("/")[0]
        target = DiskUrl(f"{account}/restored/{point}.img")
        job = await self.pipeline.restored(point, target)
        snapshot = await snapshot_of(self.ports, target, job)
        seen = await look_into(self.ports, self.tools, snapshot, self._image(job.id), disk.contents)
        back = restored(seen, job)
        problems = list(back.problems(disk.state.sha256))
        self.say(f"restored {point}: {'; '.join(problems) or 'equal, and clean'}")
        return back

    def _image(self, name: str) -> Path:
        return self.folder / f"{name}.img"

    def _room(self, least: timedelta, slot: datetime) -> bool:
        return slot - self.ports.clock.now() > least

    def _tell(self, point: Point, trigger: Trigger) -> None:
        copied = size(point.copied_bytes)
        self.say(f"{point.id}: {point.kind}, by {trigger}, copied {copied}, {point.seconds:.1f} s")
