"""New managed disks, filled by us: made for an upload, written through their SAS, then completed.

The disk is ours by its tag from the moment it is made, and nobody but its uploader can write to
it: that is its fence. It is completed with a VHD footer, written last, so that a disk whose
restore has failed can be attached by nobody.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from shared.azure.arm import CALM_SECONDS, Arm, FirstAnswer, body_of, wait_of
from shared.azure.arm_errors import arm_translated
from shared.azure.errors import translated
from shared.azure.managed.grants import GrantRefused, Grants, Open
from shared.azure.managed.naming import tag_in, tags_of
from shared.azure.managed.ranges import SAS_OVER
from shared.azure.managed.wire import disk_state, is_uploading, size_of
from shared.decide.vhd import FOOTER_BYTES, footer
from shared.model.arm_ids import ArmId, ArmScope
from shared.model.cloud import may_restore_into
from shared.model.deferral import Deferred
from shared.model.disk import DiskState
from shared.model.errors import AlreadyExists, Invalid, SourceGone, TargetBusy, Transient

MEBIBYTE = 1024**2
SMALLEST_BYTES = 20 * MEBIBYTE
LARGEST_BYTES = 35_183_298_347_520 - FOOTER_BYTES
"""What a disk that is filled by an upload may have (Microsoft's pages on disk uploads)."""
MAKING_SECONDS = 30.0


class Uploads:
    def __init__(self, arm: Arm, grants: Grants) -> None:
        self._arm = arm
        self._grants = grants
        self._sizes: dict[ArmId, int] = {}

    async def create(self, disk: ArmId, size_bytes: int, tag: str) -> DiskState:
        """A disk that waits for its bytes. Raises `AlreadyExists`; `Invalid` where it may not be
        made there, or not with this size."""
        self._check(disk, size_bytes)
        if await self._look(disk) is not None:
            raise AlreadyExists(f"{disk} exists already")
        region = await self._arm.location_of(ArmScope(disk.subscription, disk.group))
        first = FirstAnswer()
        document = self._document(region, size_bytes, tag)
        with arm_translated(str(disk)):
            await self._operations(disk).begin_create_or_update(
                disk.group, disk.name, body_of(document), polling=first
            )
        body = await self._ready(disk, wait_of(first.response))
        if tag_in(body) != tag:
            raise AlreadyExists(f"{disk} was made by somebody else")
        return disk_state(disk, body)

    async def state(self, disk: ArmId) -> DiskState:
        """Of a disk that waits for its bytes. Raises `SourceGone`; `TargetBusy` for any other."""
        body = await self._look(disk)
        if body is None:
            raise SourceGone(f"{disk} does not exist")
        if not (is_uploading(body) and tag_in(body)):
            raise TargetBusy(
                f"{disk} is not a new disk that a restore of ours fills",
                action="Restore to a new disk, then swap the virtual machine's disk for it.",
            )
        self._sizes[disk] = size_of(body["properties"])
        return disk_state(disk, body)

    async def size_bytes(self, disk: ArmId) -> int:
        """Of a disk that waits for its bytes."""
        if disk not in self._sizes:
            await self.state(disk)
        return self._sizes[disk]

    @asynccontextmanager
    async def writing(self, disk: ArmId) -> AsyncIterator[Open]:
        """Leave to write for the time of the block. Raises `GrantRefused` where the disk does not
        wait for bytes (any more), `SourceGone`."""
        async with self._grants.hold(disk, write=True) as held:
            yield held

    async def complete(self, disk: ArmId) -> bool:
        """Makes a disk of what was uploaded; whether it was one of our uploads. Repeatable."""
        body = await self._look(disk)
        if body is None or not is_uploading(body) or not tag_in(body):
            return False
        size_bytes = size_of(body["properties"])
        async with self.writing(disk) as held:
            with translated(str(disk), SAS_OVER):
                await held.client.upload_page(
                    footer(size_bytes, uuid5(NAMESPACE_URL, str(disk))), size_bytes, FOOTER_BYTES
                )
        await self._grants.end(disk)
        self._sizes.pop(disk, None)
        await self._completed(disk)
        return True

    async def let_go(self, disk: ArmId) -> None:
        """Nobody of ours writes to it any more. One that is not complete stays unusable; leave to
        write to it then ends by itself, as the service takes none back before that."""
        self._sizes.pop(disk, None)
        body = await self._look(disk)
        if body is not None and is_uploading(body) and tag_in(body):
            try:
                await self._grants.end(disk)
            except GrantRefused:
                return  # it is no VHD yet, and is not to be one

    async def delete(self, disk: ArmId) -> None:
        """One that is gone already is no error; one that is not ours stays. Raises `Invalid`."""
        body = await self._look(disk)
        if body is None:
            return
        if not tag_in(body):
            raise Invalid(f"{disk} was not made by a restore: it is not ours to delete")
        await self.complete(disk)  # before that, leave to write to it cannot be ended
        with arm_translated(str(disk)):
            await self._operations(disk).begin_delete(disk.group, disk.name, polling=FirstAnswer())

    def _check(self, disk: ArmId, size_bytes: int) -> None:
        if not may_restore_into(self._arm.cloud, ArmScope(disk.subscription, disk.group)):
            raise Invalid(
                f"restores may not make disks in resource group {disk.group}",
                action="Restore into a group of the settings VAULTLINE_SUBSCRIPTIONS and "
                "VAULTLINE_RESTORE_GROUPS, or add it there.",
            )
        whole = size_bytes % MEBIBYTE == 0
        if not (whole and SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES):
            raise Invalid(
                f"a managed disk cannot be made of {size_bytes} bytes: whole MiB, from 20 MiB",
                action="Restore to a page blob instead.",
            )

    def _document(self, region: str, size_bytes: int, tag: str) -> dict[str, Any]:
        return {
            "location": region,
            "tags": tags_of(tag),
            "sku": {"name": self._arm.cloud.restore_sku},
            "properties": {
                "creationData": {
                    "createOption": "Upload",
                    "uploadSizeBytes": size_bytes + FOOTER_BYTES,
                }
            },
        }

    async def _ready(self, disk: ArmId, wait: float) -> Any:
        """The disk once it waits for its bytes. Raises `Deferred`."""
        began = self._arm.clock.now()
        while (self._arm.clock.now() - began).total_seconds() < MAKING_SECONDS:
            await self._arm.clock.sleep(wait)
            body, wait = await self._look(disk), CALM_SECONDS / 2
            if body is not None and is_uploading(body) and _succeeded(body):
                return body
        raise Deferred(f"{disk}: making it takes its time", retry_after=15)

    async def _completed(self, disk: ArmId) -> None:
        began = self._arm.clock.now()
        while (self._arm.clock.now() - began).total_seconds() < MAKING_SECONDS:
            body = await self._look(disk)
            if body is None:
                raise SourceGone(f"{disk} does not exist")
            if not is_uploading(body) and _succeeded(body):
                return
            await self._arm.clock.sleep(CALM_SECONDS / 2)
        raise Transient(f"{disk}: completing it takes its time", code="DiskUpdating")

    async def _look(self, disk: ArmId) -> Any:
        """The disk; None where there is none."""
        try:
            with arm_translated(str(disk)):
                return (await self._operations(disk).get(disk.group, disk.name)).as_dict()
        except SourceGone:
            return None

    def _operations(self, disk: ArmId) -> Any:
        return self._arm.compute(disk.subscription).disks


def _succeeded(body: Any) -> bool:
    return bool(body["properties"].get("provisioningState") == "Succeeded")
