"""What managed disks are besides their bytes, and where: asked once in a while, remembered between.

A snapshot must be in its disk's region, which never changes; its point keeps what kind of disk it
was of, which may change, and is told `FRESH` late at most.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.azure.arm import Arm
from shared.azure.arm_errors import arm_translated
from shared.azure.managed.together import Listing, Together
from shared.azure.managed.wire import traits_of
from shared.model.arm_ids import ArmId, ArmScope, disk_id
from shared.model.disk import Traits
from shared.model.errors import SourceGone

FRESH = timedelta(hours=1)


@dataclass(frozen=True)
class Entry:
    traits: Traits
    seen_at: datetime


class Roll:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._entries: dict[ArmId, Entry] = {}
        self._together = Together[Entry](arm.clock, self._one, self._every)

    async def entry(self, disk: ArmId) -> Entry:
        """What is known of the disk. Raises `SourceGone`."""
        known = self._entries.get(disk)
        if known is None or self._arm.clock.now() - known.seen_at > FRESH:
            known = await self._together.at(disk)
        if known is None:
            raise SourceGone(f"{disk} does not exist")
        return known

    def note(self, disk: ArmId, body: Any) -> Entry:
        """What has just been seen of the disk."""
        entry = Entry(traits_of(body), self._arm.clock.now())
        self._entries[disk] = entry
        return entry

    def forget(self, disk: ArmId) -> None:
        """What is known of it is wrong."""
        self._entries.pop(disk, None)

    async def _one(self, disk: ArmId) -> Entry | None:
        try:
            with arm_translated(str(disk)):
                model = await self._arm.compute(disk.subscription).disks.get(*disk.names)
        except SourceGone:
            return None
        return self.note(disk, model.as_dict())

    async def _every(self, scope: ArmScope) -> Listing[Entry]:
        found, pages = {}, 0
        disks = self._arm.compute(scope.subscription).disks
        with arm_translated(str(scope)):
            async for page in disks.list_by_resource_group(scope.group).by_page():
                pages += 1
                async for model in page:
                    body = model.as_dict()
                    disk = disk_id(str(body["id"]))
                    found[disk] = self.note(disk, body)
        return Listing(found, pages)
