"""Restore points of machines: taken under deterministic names, found again, deleted.

Each machine has one collection for them, in the snapshots' resource group or its own. A point that
takes longer is looked for again by a message.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.azure.arm import Arm, FirstAnswer, OperationFailed, body_of, pages_of
from shared.azure.arm_errors import arm_translated
from shared.azure.machines import refusals
from shared.azure.machines.naming import collection_name, is_ours, point_name
from shared.azure.machines.refusals import POLL_SECONDS
from shared.azure.machines.wire import CRASH, Json, Listed, listed_of
from shared.azure.managed.disk_points import WHOLE
from shared.azure.managed.grants import SHORT, Grants
from shared.azure.managed.naming import tags_of
from shared.model.arm_ids import ArmId, PointId, disk_point_id
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.machine import Consistency


@dataclass(frozen=True)
class Asked:
    """A restore point as it is asked for."""

    vm: ArmId
    tag: str
    consistency: Consistency
    leave_out: Sequence[DiskUrl] = ()

    @property
    def document(self) -> Json:
        """Crash consistency alone can be asked for; otherwise the guest does what it can."""
        mode = {"consistencyMode": CRASH} if self.consistency is Consistency.CRASH else {}
        left_out = {"excludeDisks": [{"id": disk} for disk in self.leave_out]}
        return {"properties": {**mode, **(left_out if self.leave_out else {})}}


class Points:
    def __init__(self, arm: Arm, grants: Grants) -> None:
        self._arm = arm
        self._grants = grants
        self._listed: dict[ArmId, list[Listed]] = {}

    async def take(self, asked: Asked, body: Json) -> Listed:
        """The machine's point under the tag, finished: taken now, or by an earlier try; `body` is
        the machine. Raises `Deferred`, `GuestFailed`, `Transient`, `SourceGone`, `Invalid`."""
        target = self._place(asked, str(body["properties"]["vmId"]))
        known = await self._look(asked.vm, target)
        if known is None:
            await self._begin(asked, target, str(body["location"]))
            known = await self._look(asked.vm, target)
        if known is None:
            raise SourceGone(f"{target} does not exist")
        if known.came_to_nothing:
            await self._remove(target)
            raise refusals.failed(str(asked.vm), asked.consistency)
        return _whole(known)

    async def outlived(self, vm: ArmId, tag: str) -> Listed:
        """The point under the tag of a machine that is gone. Raises `SourceGone` where it was not
        taken in time, `Deferred` where it is being taken."""
        for each in await self.of(vm):
            if each.tag == tag and not each.came_to_nothing:
                return _whole(each)
        raise SourceGone(f"{vm} does not exist")

    async def of(self, vm: ArmId) -> list[Listed]:
        """Every point of ours of the machine, or of one that had its name, whatever its state,
        oldest first."""
        group, found = self._group_of(vm), []
        for collection in await self._collections(vm, group):
            found += await self._within(vm, group, str(collection["name"]))
        self._listed[vm] = sorted(found, key=lambda each: (each.taken_at, str(each.id)))
        return self._listed[vm]

    async def disks_of(self, point: PointId) -> dict[str, Json]:
        """The point's disk restore points, by id. Raises `Deferred` while the bytes of one are not
        all there: those of a Premium SSD v2 or Ultra disk come after it."""
        listed = self._disk_points(point).list_by_restore_point(*point.names)
        bodies = [body async for page in pages_of(listed, str(point)) for body in page]
        if any(_percent(body) < WHOLE for body in bodies):
            raise _not_yet(point)
        return {str(disk_point_id(str(body["id"]))): body for body in bodies}

    async def delete(self, point: PointId) -> None:
        """One that is gone already is no error. Raises `Deferred` while somebody here reads it;
        who reads it elsewhere does so no more."""
        try:
            await self._remove(point)
        except refusals.Read:
            with suppress(SourceGone):
                await self._end_reading(point)
            await self._remove(point)

    async def take_back(self, vm: ArmId) -> None:
        """Ends the reading of the machine's points that nobody here does any more, unless a backup
        was just made: what it has asked for ends by itself before long. So does, within hours, what
        a dead process left: it does not show on a disk restore point."""
        points = self._listed.get(vm) or await self.of(vm)
        if points and self._arm.clock.now() - points[-1].taken_at < SHORT:
            return
        disks = [each for point in points for each in point.disks]
        idle = [of for of in disks if self._grants.is_open(of) and not self._grants.is_held(of)]
        await asyncio.gather(*[self._grants.end(each) for each in idle])

    async def _begin(self, asked: Asked, target: PointId, region: str) -> None:
        """Asks for the point and waits a little. What it came to, the point itself tells."""
        await self._make_collection(asked, target, region)
        first = FirstAnswer()
        try:
            with arm_translated(str(asked.vm)):
                await self._points(target).begin_create(
                    *target.names, body_of(asked.document), polling=first
                )
            await self._arm.output(first, f"the restore point of {asked.vm}")
        except OperationFailed as error:
            await self._remove(target)
            raise refusals.failed(str(asked.vm), asked.consistency, error) from None
        except Invalid as error:
            if await self._look(asked.vm, target) is None:  # or an earlier try's answer was lost
                raise refusals.refused(error) from None
        except Transient as error:
            raise refusals.refused(error) from None

    async def _make_collection(self, asked: Asked, target: PointId, region: str) -> None:
        """There may be one already, which is then marked anew. Raises `SourceGone` where the
        resource group is gone."""
        document = {
            "location": region,
            "tags": tags_of(asked.tag),
            "properties": {"source": {"id": str(asked.vm)}},
        }
        collections = self._arm.compute(target.subscription).restore_point_collections
        with arm_translated(f"the restore points of {asked.vm}"):
            await collections.create_or_update(target.group, target.collection, body_of(document))

    async def _look(self, vm: ArmId, target: PointId) -> Listed | None:
        """The point as it stands; None where there is none."""
        try:
            with arm_translated(str(target)):
                model = await self._points(target).get(*target.names)
        except SourceGone:
            return None
        return listed_of(vm.url, model.as_dict(), self._arm.clock.now())

    async def _collections(self, vm: ArmId, group: str) -> list[Json]:
        """Those that we made for the machine, or for one that had its name."""
        collections = self._arm.compute(vm.subscription).restore_point_collections
        try:
            pages = pages_of(collections.list(group), f"resource group {group}")
            bodies = [body async for page in pages for body in page]
        except SourceGone:
            return []
        return [body for body in bodies if is_ours(body) and _source_of(body) == str(vm)]

    async def _within(self, vm: ArmId, group: str, collection: str) -> list[Listed]:
        collections = self._arm.compute(vm.subscription).restore_point_collections
        try:
            with arm_translated(collection):
                model = await collections.get(group, collection, expand="restorePoints")
        except SourceGone:
            return []
        bodies = model.as_dict()["properties"].get("restorePoints") or ()
        now = self._arm.clock.now()
        found = [listed_of(vm.url, body, now) for body in bodies]
        return [each for each in found if each.tag]

    async def _remove(self, target: PointId) -> None:
        """Raises `refusals.Read`; one that is gone is no error."""
        with suppress(SourceGone), arm_translated(str(target), refusals.READ):
            await self._points(target).begin_delete(*target.names, polling=FirstAnswer())

    async def _end_reading(self, point: PointId) -> None:
        listed = self._disk_points(point).list_by_restore_point(*point.names)
        bodies = [body async for page in pages_of(listed, str(point)) for body in page]
        disks = [disk_point_id(str(body["id"])) for body in bodies]
        if any(self._grants.is_held(each) for each in disks):
            raise Deferred(f"{point} is being read", retry_after=POLL_SECONDS, code="PointRead")
        await asyncio.gather(*[self._grants.end(each) for each in disks])

    def _place(self, asked: Asked, vm_id: str) -> PointId:
        vm = asked.vm
        name = collection_name(vm, vm_id).lower()
        return PointId(vm.subscription, self._group_of(vm), name, point_name(asked.tag))

    def _group_of(self, vm: ArmId) -> str:
        return self._arm.cloud.snapshot_group.lower() or vm.group

    def _points(self, of: PointId) -> Any:
        return self._arm.compute(of.subscription).restore_points

    def _disk_points(self, of: PointId) -> Any:
        return self._arm.compute(of.subscription).disk_restore_point


def _source_of(collection: Json) -> str:
    return str(collection["properties"]["source"]["id"]).lower()


def _percent(disk_point: Json) -> float:
    percent = disk_point["properties"].get("completionPercent")
    return WHOLE if percent is None else float(percent)


def _whole(point: Listed) -> Listed:
    if not point.is_whole:
        raise _not_yet(point.id)
    return point


def _not_yet(point: PointId) -> Deferred:
    return Deferred(
        f"{point} is not whole yet", retry_after=POLL_SECONDS, code="RestorePointIncomplete"
    )
