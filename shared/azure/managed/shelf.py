"""Our snapshots in a resource group, listed at most once in a while for all its disks.

A group of 200 disks has thousands of snapshots, and each disk's retention wants its own few: one
listing serves them all. What this process does itself is entered at once; of others it knows
`FRESH` late, which harms nobody: a snapshot that is listed late is swept late (invariant 16), and
one that is gone is no error to delete.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.azure.arm import Arm
from shared.azure.arm_errors import arm_translated
from shared.azure.managed.naming import tag_in
from shared.azure.managed.together import Listing
from shared.azure.managed.wire import Taken, source_of, taken_of
from shared.model.arm_ids import ArmId, ArmScope, Readable, snapshot_id
from shared.model.errors import SourceGone
from shared.model.ids import DiskUrl

FRESH = timedelta(seconds=30)


class Shelf:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._listed_at: dict[ArmScope, datetime] = {}
        self._kept: defaultdict[ArmScope, dict[str, Taken]] = defaultdict(dict)
        self._turns: defaultdict[ArmScope, asyncio.Lock] = defaultdict(asyncio.Lock)

    def group_of(self, disk: ArmId) -> str:
        """The resource group that the disk's snapshots are in."""
        return self._arm.cloud.snapshot_group.lower() or disk.group

    async def of(self, disk: ArmId) -> list[Taken]:
        """Every snapshot of ours of the disk, whatever its state, oldest first; of a disk that was
        replaced those of the old one, too: their chain tells."""
        scope = ArmScope(disk.subscription, self.group_of(disk))
        async with self._turns[scope]:
            listed_at = self._listed_at.get(scope)
            if listed_at is None or self._arm.clock.now() - listed_at > FRESH:
                await self._list(scope)
        return self.known(disk)

    async def refresh(self, scope: ArmScope) -> Listing[Taken]:
        """Lists the group now."""
        async with self._turns[scope]:
            return await self._list(scope)

    def known(self, disk: ArmId) -> list[Taken]:
        """Those that are known of without asking."""
        scope, url = ArmScope(disk.subscription, self.group_of(disk)), DiskUrl(str(disk))
        found = [each for each in self._kept[scope].values() if each.snapshot.disk == url]
        return sorted(found, key=lambda each: (each.snapshot.taken_at, each.snapshot.id))

    def find(self, snapshot: ArmId) -> Taken | None:
        return self._kept[ArmScope(snapshot.subscription, snapshot.group)].get(str(snapshot))

    def put(self, taken: Taken) -> None:
        """What has just been seen of a snapshot."""
        self._kept[_scope(taken)][taken.snapshot.id] = taken

    def revoked(self, of: Readable) -> None:
        """Nobody reads it any more; nothing where it is no snapshot that is known."""
        known = self.find(of) if isinstance(of, ArmId) else None
        if known is not None:
            self.put(replace(known, granted=False))

    def drop(self, snapshot: ArmId) -> None:
        self._kept[ArmScope(snapshot.subscription, snapshot.group)].pop(str(snapshot), None)

    async def _list(self, scope: ArmScope) -> Listing[Taken]:
        began, found, pages = self._arm.clock.now(), dict[str, Taken](), 0
        snapshots = self._arm.compute(scope.subscription).snapshots
        try:
            with arm_translated(str(scope)):
                async for page in snapshots.list_by_resource_group(scope.group).by_page():
                    pages += 1
                    found |= {each.snapshot.id: each async for each in _ours(page)}
        except SourceGone:
            found = {}
        newer = {
            id_: each
            for id_, each in self._kept[scope].items()
            if each.snapshot.taken_at >= began - FRESH and id_ not in found
        }
        self._kept[scope] = found | newer
        self._listed_at[scope] = began
        return Listing({snapshot_id(id_): each for id_, each in found.items()}, max(1, pages))


async def _ours(page: AsyncIterator[Any]) -> AsyncIterator[Taken]:
    async for model in page:
        body: dict[str, Any] = model.as_dict()
        if tag_in(body) and source_of(body):
            yield taken_of(body)


def _scope(taken: Taken) -> ArmScope:
    _, _, subscription, _, group, *_ = taken.snapshot.id.split("/")
    return ArmScope(subscription, group)
