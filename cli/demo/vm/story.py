"""Two machines protected, backed up by schedule and by message, and every disk brought back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.demo.asking import ask, ended
from cli.demo.filesystem import FileSystems
from cli.demo.proof import Trigger
from cli.demo.story import Say
from cli.demo.vm.machine import Machine, change_machine, disk_ids, look_into
from cli.demo.vm.proof import BackupProof, DiskProof, MachineProof, RestoreKind, RestoreProof
from cli.output import size
from cli.requests import Request
from cli.session import Session
from local.arm.people import Person
from local.settings import RESTORE_GROUP
from shared.model.errors import VaultlineError
from shared.model.ids import ItemId, RequestId, slot_job
from shared.model.job import Job, Operation
from shared.model.machine import OS_LUN
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.commands import BACKUP, PROTECT, RESTORE

LOOK_SECONDS = 1.0
POINT_SECONDS = 300.0
"""A backup that nobody asked for has to show within this."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A point, and the machine as it was then."""

    point: Point
    trigger: Trigger
    machine: Machine

    @property
    def proof(self) -> BackupProof:
        return BackupProof(point=self.point, trigger=self.trigger)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the stories take: the pipeline, somebody in Azure, the tools, a folder for images."""

    session: Session
    person: Person
    tools: FileSystems
    folder: Path
    subnet: str
    say: Say

    @property
    def ports(self) -> Ports:
        return self.session.ports


@dataclass(frozen=True, kw_only=True)
class Protected:
    """One machine's story: the item it is, the policy and the vault that it is under."""

    stage: Stage
    machine: Machine
    item: ItemId
    vault: str
    vault_kind: str
    policy: str

    async def protect(self, **more: Any) -> None:
        """Raises `JobFailed`."""
        under = {"policy": self.policy, "vault": self.vault, "source": self.machine.id, **more}
        await self._ask(Operation.CONFIGURE_PROTECTION, PROTECT, **under)
        self.stage.say(f"{self.machine.name} is protected in vault {self.vault}")

    async def requested(self) -> Taken:
        """The point that a `backup-now` message makes. Raises `JobFailed`."""
        job = await self._ask(Operation.BACKUP, BACKUP)
        return self._taken(await self._point_of(job), "request")

    async def scheduled(self, slot: datetime) -> Taken:
        """The point that our schedule makes at the slot. Raises `JobFailed`."""
        left = (slot - self.stage.ports.clock.now()).total_seconds()
        self.stage.say(f"{self.item}: waiting {left:.0f} s for the slot at {slot:%H:%M} UTC")
        await asyncio.sleep(max(0.0, left))
        id_ = slot_job(self.item, slot)
        request = Request(
            item_id=self.item,
            job_id=id_,
            operation=Operation.BACKUP,
            request_id=RequestId(id_),
        )
        job = await ended(self.stage.session, request)
        return self._taken(await self._point_of(job), "schedule")

    async def by_itself(self, known: Taken) -> Taken:
        """The next point after the one known: nobody asked for it but the vault's own schedule.
        Raises `VaultlineError` where none comes in time."""
        self.stage.say(f"{self.item}: waiting for the vault's own schedule")
        clock = self.stage.ports.clock
        begun = clock.now()
        while (clock.now() - begun).total_seconds() < POINT_SECONDS:
            for point in await self._points():
                if point.created_at > known.point.created_at:
                    return self._taken(point, "schedule")
            await asyncio.sleep(LOOK_SECONDS)
        raise VaultlineError(f"the vault's own schedule made no point in {POINT_SECONDS:.0f} s")

    async def changed(self) -> "Protected":
        """The story goes on with the machine's disks changed."""
        machine = await asyncio.to_thread(change_machine, self.stage.person, self.machine)
        written = sum(disk.written_bytes for disk in machine.disks.values())
        self.stage.say(f"changed the disks of {machine.name}: {size(written)} written")
        return replace(self, machine=machine)

    async def to_disks(self, taken: Taken) -> RestoreProof:
        """New disks in the group of restores, compared with what they should hold."""
        before = set(self._disks_in(RESTORE_GROUP))
        target = {
            "kind": "disks",
            "group": self.stage.person.group_id(RESTORE_GROUP),
            "prefix": f"r-{self.item}",
        }
        job = await self._restored(taken, target)
        made = [disk for disk in self._disks_in(RESTORE_GROUP) if disk not in before]
        found = dict(zip(sorted(taken.machine.disks), sorted(made, key=_by_lun), strict=False))
        return await self._proved(taken, "disks", job, found)

    async def to_new_machine(self, taken: Taken) -> RestoreProof:
        """A machine of its own, beside the old one."""
        person, name = self.stage.person, f"{self.machine.name}-again"
        id_ = person.compute_id(RESTORE_GROUP, "virtualMachines", name)
        target = {"kind": "alternate", "url": id_, "network": self.stage.subnet}
        job = await self._restored(taken, target)
        return await self._proved(taken, "alternate", job, disk_ids(person, id_))

    async def in_place(self, taken: Taken) -> RestoreProof:
        """The machine itself goes back to what it was."""
        job = await self._restored(taken, {"kind": "original", "confirm": True})
        found = disk_ids(self.stage.person, self.machine.id)
        return await self._proved(taken, "original", job, found)

    async def _restored(self, taken: Taken, target: Mapping[str, Any]) -> Job:
        kind = target["kind"]
        self.stage.say(f"restoring {taken.point.id} ({kind})")
        return await self._ask(Operation.RESTORE, RESTORE, point=taken.point.id, target=target)

    async def _proved(
        self, taken: Taken, kind: RestoreKind, job: Job, found: Mapping[int, str]
    ) -> RestoreProof:
        assert job.ended_at is not None
        disks = [await self._seen(taken, kind, lun, disk) for lun, disk in found.items()]
        proof = RestoreProof(
            item=self.item,
            point=taken.point.id,
            kind=kind,
            disks=disks,
            seconds=(job.ended_at - job.started_at).total_seconds(),
        )
        problems = list(proof.problems())
        verdict = "; ".join(problems) or f"{len(disks)} disks equal, and clean"
        self.stage.say(f"restored {taken.point.id} ({kind}): {verdict}")
        return proof

    async def _seen(self, taken: Taken, kind: str, lun: int, disk: str) -> DiskProof:
        expected = taken.machine.disks[lun]
        image = self.stage.folder / f"{self.item}-{kind}-{lun}.img"
        seen = await asyncio.to_thread(
            look_into, self.stage.person, disk, self.stage.tools, image, expected
        )
        name = "os" if lun == OS_LUN else f"lun {lun}"
        return DiskProof(disk=name, sha256_source=expected.state.sha256, seen=seen)

    def _disks_in(self, group: str) -> list[str]:
        listed = self.stage.person.list_disks(group)
        return [disk for disk in listed if self.machine.name in disk.rpartition("/")[2].lower()]

    def _taken(self, point: Point, trigger: Trigger) -> Taken:
        of = f", {point.consistency.value}-consistent" if point.consistency else ""
        copied = f", copied {size(point.copied_bytes)}" if point.copied_bytes else ""
        self.stage.say(f"{point.id}: by {trigger}{of}{copied}")
        return Taken(point=point, trigger=trigger, machine=self.machine)

    async def _point_of(self, job: Job) -> Point:
        for point in await self._points():
            if point.job_id == job.id:
                return point
        raise VaultlineError(f"there is no point of {job.id}, though it is done")

    async def _points(self) -> list[Point]:
        return [row.record async for row in self.stage.ports.ledger.rows(self.item, Point)]

    async def _ask(self, operation: Operation, name: str, **fields: Any) -> Job:
        return await ask(self.stage.session, self.item, operation, name, **fields)


async def tell_ours(story: Protected, slot: datetime) -> MachineProof:
    """The story in a storage vault: a point by schedule, one by message, three restores."""
    await story.protect()
    first = await story.scheduled(slot)
    story = await story.changed()
    second = await story.requested()
    restores = [await story.to_disks(first), await story.to_new_machine(second)]
    restores.append(await story.in_place(first))
    return _proof(story, [first, second], restores)


async def tell_azures(story: Protected) -> MachineProof:
    """The story in a Recovery Services vault: a point by message, one by the vault's own schedule,
    three restores."""
    await story.protect(accept_losses=True)
    first = await story.requested()
    story = await story.changed()
    second = await story.by_itself(first)
    restores = [await story.to_disks(first), await story.to_new_machine(second)]
    restores.append(await story.in_place(first))
    return _proof(story, [first, second], restores)


def _proof(story: Protected, taken: list[Taken], restores: list[RestoreProof]) -> MachineProof:
    return MachineProof(
        item=story.item,
        vault=story.vault_kind,
        disks=len(story.machine.disks),
        backups=[each.proof for each in taken],
        restores=restores,
    )


def _by_lun(disk: str) -> tuple[bool, str]:
    """The system's disk first, then data disks by name."""
    name = disk.rpartition("/")[2].lower()
    return "-data" in name, name
