"""Incremental snapshots of managed disks: taken under deterministic names, within the limits."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

from shared.azure.arm import CALM_SECONDS, Arm, FirstAnswer, body_of, wait_of
from shared.azure.arm_errors import arm_translated
from shared.azure.managed.disk_points import is_whole
from shared.azure.managed.grants import SHORT, GrantRefused, Grants, Open
from shared.azure.managed.naming import snapshot_name, tags_of
from shared.azure.managed.roll import Entry, Roll
from shared.azure.managed.shelf import Shelf
from shared.azure.managed.together import Together
from shared.azure.managed.wire import Taken, taken_of
from shared.decide.governor import LIMITS, is_full, next_snapshot_at
from shared.model.arm_ids import ArmId, DiskPointId, Readable, readable_id, snapshot_id
from shared.model.deferral import Deferred
from shared.model.disk import Snapshot
from shared.model.errors import SourceGone, Transient, VaultlineError

TAKING_SECONDS = 20.0
"""A snapshot that takes longer is looked for again by a message."""
POLL_SECONDS = 30.0
LEFT_OUT = 2
"""Leave that an increment's backup leaves behind: to its snapshot, and to the one before."""
FULL_SECONDS = 900.0
"""When to try again where a disk has as many snapshots as it can have: retention removes some."""


class NotAllowed(VaultlineError):
    """The service's word for everything that a resource's state forbids."""

    code = "OperationNotAllowed"


class Snapshots:
    def __init__(self, arm: Arm, grants: Grants, shelf: Shelf) -> None:
        self._arm = arm
        self._grants = grants
        self._shelf = shelf
        self._roll = Roll(arm)
        self._looks = Together[Taken](arm.clock, self._look, shelf.refresh)
        self._put_at: defaultdict[ArmId, dict[str, datetime]] = defaultdict(dict)

    async def disk(self, disk: ArmId) -> Any:
        """The disk as Resource Manager has it. Raises `SourceGone`."""
        with arm_translated(str(disk)):
            model = await self._arm.compute(disk.subscription).disks.get(*disk.names)
        body = model.as_dict()
        self._roll.note(disk, body)
        return body

    async def take(self, disk: ArmId, tag: str) -> Snapshot:
        """The disk's snapshot under the tag: made now, or by an earlier try. Raises `Deferred`
        where a limit forbids it now, or it takes its time; `NotAllowed`; `SourceGone`."""
        target = self._place(disk, tag)
        self._keep_to_the_rate(disk, target)
        began = self._arm.clock.now()
        wait = await self._put(disk, target, tag)
        while True:
            await self._arm.clock.sleep(wait)
            taken = await self._looks.at(target)
            if taken is not None and taken.state == "Succeeded":
                return taken.snapshot
            if taken is not None and taken.state in ("Failed", "Canceled"):
                await self._delete(target)
                raise Transient(f"the snapshot of {disk} came to nothing", code="SnapshotFailed")
            if (self._arm.clock.now() - began).total_seconds() > TAKING_SECONDS:
                raise Deferred(f"the snapshot of {disk} takes its time", retry_after=POLL_SECONDS)
            wait = CALM_SECONDS / 2 if taken else await self._put(disk, target, tag)

    async def of(self, disk: ArmId) -> list[Snapshot]:
        """Those that we took and that are there, oldest first."""
        return [each.snapshot for each in await self._shelf.of(disk) if each.state == "Succeeded"]

    async def delete(self, snapshot: Snapshot) -> None:
        """One that is gone already is no error; one that is being read is not read any more."""
        target = snapshot_id(snapshot.id)
        known = self._shelf.find(target)
        if self._grants.is_open(target) or (known and known.granted):
            await self._grants.end(target)
        try:
            await self._delete(target)
        except NotAllowed:
            await self._grants.end(target)
            await self._delete(target)

    def is_open(self, snapshot: Snapshot) -> bool:
        """Whether this process has leave to read it."""
        return self._grants.is_open(readable_id(snapshot.id))

    @asynccontextmanager
    async def reading(self, snapshot: Snapshot) -> AsyncIterator[Open]:
        """Leave to read for the time of the block, once there is something to read: a snapshot of
        a Premium SSD v2 or Ultra disk is filled after it was taken (a restore point is whole when
        it is told of). Raises `SourceGone`, `Deferred`."""
        target = readable_id(snapshot.id)
        if isinstance(target, ArmId) and not self._grants.is_open(target):
            await self._wait_until_whole(target)
        async with AsyncExitStack() as stack:
            try:
                holding = self._grants.hold(target, family=snapshot.chain)
                held = await stack.enter_async_context(holding)
            except GrantRefused as error:
                raise await self._why_refused(target, error) from None
            yield held

    async def take_back(self, disk: ArmId) -> None:
        """Ends the reading of the disk's snapshots that nobody here reads (any more), but for the
        little that a backup just made has asked for: that ends by itself before long."""
        known = await self._shelf.of(disk)
        targets = [(snapshot_id(each.snapshot.id), each.granted) for each in known]
        out = [
            target
            for target, granted in targets
            if (granted or self._grants.is_open(target)) and not self._grants.is_held(target)
        ]
        if known and len(out) <= LEFT_OUT and self._is_new(known[-1]):
            return
        for target in out:
            await self._grants.end(target)

    def _is_new(self, taken: Taken) -> bool:
        return self._arm.clock.now() - taken.snapshot.taken_at < SHORT

    def _place(self, disk: ArmId, tag: str) -> ArmId:
        group = self._shelf.group_of(disk)
        name = snapshot_name(disk, tag).lower()
        return ArmId(disk.subscription, group, "snapshots", name)

    def _keep_to_the_rate(self, disk: ArmId, target: ArmId) -> None:
        """Raises `Deferred` where the service would refuse: too many in five minutes, or at all."""
        now, put_at = self._arm.clock.now(), self._put_at[disk]
        if target.name in put_at or self._shelf.find(target):
            return
        known = [each.snapshot.taken_at for each in self._shelf.known(disk)]
        times = {*put_at.values(), *(at for at in known if at <= now)}
        at = next_snapshot_at(times, now)
        if at > now:
            raise Deferred(
                f"{disk} has had as many snapshots as it may in five minutes",
                retry_after=(at - now).total_seconds(),
                code="SnapshotRate",
            )
        for name in [name for name, at in put_at.items() if now - at > LIMITS.window]:
            del put_at[name]

    async def _put(self, disk: ArmId, target: ArmId, tag: str) -> float:
        """Asks for the snapshot, which may be there; how long to wait for it."""
        try:
            return await self._put_of(await self._roll.entry(disk), disk, target, tag)
        except SourceGone:
            # One that was made again elsewhere is gone from its region only.
            self._roll.forget(disk)
            return await self._put_of(await self._roll.entry(disk), disk, target, tag)

    async def _put_of(self, entry: Entry, disk: ArmId, target: ArmId, tag: str) -> float:
        first, document = FirstAnswer(), _document(disk, entry, tag)
        try:
            with arm_translated(str(disk), {"OperationNotAllowed": NotAllowed}):
                await self._operations(target).begin_create_or_update(
                    target.group, target.name, body_of(document), polling=first
                )
        except NotAllowed as error:
            raise self._why_not(disk, error) from None
        self._put_at[disk].setdefault(target.name, self._arm.clock.now())
        return wait_of(first.response)

    def _why_not(self, disk: ArmId, error: NotAllowed) -> VaultlineError:
        if is_full(len(self._shelf.known(disk))) or "limit" in str(error).lower():
            return Deferred(str(error), retry_after=FULL_SECONDS, code="SnapshotLimit")
        return error

    async def _look(self, target: ArmId) -> Taken | None:
        """The snapshot as it stands; None where there is none."""
        try:
            with arm_translated(str(target)):
                model = await self._operations(target).get(target.group, target.name)
        except SourceGone:
            return None
        taken = taken_of(model.as_dict())
        self._shelf.put(taken)
        return taken

    async def _wait_until_whole(self, target: ArmId) -> None:
        known = self._shelf.find(target)
        if known is None or not known.is_whole:
            known = await self._look(target)
        if known is None:
            raise SourceGone(f"{target} does not exist")
        if not known.is_whole:
            raise Deferred(
                f"{target} is there by {known.percent:.0f} %, and cannot be read yet",
                retry_after=POLL_SECONDS,
                code="SnapshotIncomplete",
            )

    async def _why_refused(self, target: Readable, error: GrantRefused) -> VaultlineError:
        """The service does not say whether a snapshot is not whole yet, or too many are read."""
        whole = await self._is_whole(target)
        if whole is None:
            return SourceGone(f"{target} does not exist")
        code = "SasLimit" if whole else "SnapshotIncomplete"
        return Deferred(str(error), retry_after=2 * POLL_SECONDS, code=code)

    async def _is_whole(self, target: Readable) -> bool | None:
        """Whether all of its bytes are there; None where it does not exist."""
        if isinstance(target, DiskPointId):
            return await is_whole(self._arm, target)
        known = await self._look(target)
        return known.is_whole if known else None

    async def _delete(self, target: ArmId) -> None:
        try:
            with arm_translated(str(target), {"OperationNotAllowed": NotAllowed}):
                await self._operations(target).begin_delete(
                    target.group, target.name, polling=FirstAnswer()
                )
        except SourceGone:
            pass
        self._shelf.drop(target)

    def _operations(self, of: ArmId) -> Any:
        return self._arm.compute(of.subscription).snapshots


def _document(disk: ArmId, entry: Entry, tag: str) -> dict[str, Any]:
    """Incremental snapshots are on standard disks, whatever they are of."""
    return {
        "location": entry.traits.region,
        "tags": tags_of(tag, entry.traits),
        "sku": {"name": "Standard_LRS"},
        "properties": {
            "creationData": {"createOption": "Copy", "sourceResourceId": str(disk)},
            "incremental": True,
        },
    }
