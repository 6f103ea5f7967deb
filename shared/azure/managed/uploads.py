"""New managed disks, filled by us: made for an upload, written through their SAS, then completed.

The disk is ours by its tag from the moment it is made, and nobody but its uploader can write to
it: that is its fence. It is completed with a VHD footer, written last, so that a disk whose
restore has failed can be attached by nobody.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
from shared.model.cloud import Cloud, check_restores_into, uploadable_sku
from shared.model.deferral import Deferred
from shared.model.disk import DiskState, Traits
from shared.model.errors import AlreadyExists, Invalid, SourceGone, TargetBusy, Transient
from shared.model.ids import JobId, lease_of
from shared.model.vault import region_name

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

    async def create(
        self, disk: ArmId, size_bytes: int, tag: str, traits: Traits, region: str
    ) -> DiskState:
        """A disk that waits for its bytes. Raises `AlreadyExists`; `Invalid` where it may not be
        made there, or not with this size."""
        self._check(disk, size_bytes)
        if await self._look(disk) is not None:
            raise AlreadyExists(f"{disk} exists already")
        group = ArmScope(disk.subscription, disk.group)
        place = region or region_name(await self._arm.location_of(group))
        document = _document(self._arm.cloud, place, traits, size_bytes, tag)
        first = FirstAnswer()
        with arm_translated(str(disk)):
            await self._operations(disk).begin_create_or_update(
                disk.group, disk.name, body_of(document), polling=first
            )
        body = await self._ready(disk, wait_of(first.response))
        if tag_in(body) != tag:
            raise AlreadyExists(f"{disk} was made by somebody else")
        return disk_state(disk, body)

    async def state(self, disk: ArmId) -> DiskState:
        """Of a disk that waits for its bytes. Raises `SourceGone`; `Deferred` while one of ours is
        being made; `TargetBusy` for any other."""
        body = await self._look(disk)
        if body is None:
            raise SourceGone(f"{disk} does not exist")
        if tag_in(body) and not _succeeded(body):
            raise _in_making(disk)
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
        await self._close(disk, size_of(body["properties"]), empty=False)
        return True

    async def let_go(self, disk: ArmId, lease_id: str) -> None:
        """Whose restore it was does not write to it any more. One that is not complete goes:
        leave to write to it can be taken back only from a whole disk, so it becomes an empty one
        first, which nobody takes for what was to be restored."""
        body = await self._look(disk)
        if body is None or not is_uploading(body) or lease_of(JobId(tag_in(body))) != lease_id:
            return
        try:
            await self._close(disk, size_of(body["properties"]), empty=True)
        except GrantRefused:
            return  # it was completed in this moment
        with suppress(Invalid):  # who may not delete it leaves it empty
            await self._delete(disk)

    async def _close(self, disk: ArmId, size_bytes: int, *, empty: bool) -> None:
        async with self.writing(disk) as held:
            with translated(str(disk), SAS_OVER):
                if empty:
                    await held.client.clear_page(0, size_bytes)
                await held.client.upload_page(
                    footer(size_bytes, uuid5(NAMESPACE_URL, str(disk))), size_bytes, FOOTER_BYTES
                )
        await self._grants.end(disk)
        self._sizes.pop(disk, None)
        await self._completed(disk)

    async def delete(self, disk: ArmId) -> None:
        """One that is gone already is no error; one that is not ours stays. Raises `Invalid`."""
        body = await self._look(disk)
        if body is None:
            return
        if not tag_in(body):
            raise Invalid(f"{disk} was not made by a restore: it is not ours to delete")
        await self.complete(disk)  # before that, leave to write to it cannot be ended
        await self._delete(disk)

    async def _delete(self, disk: ArmId) -> None:
        with suppress(SourceGone), arm_translated(str(disk)):
            await self._operations(disk).begin_delete(*disk.names, polling=FirstAnswer())

    def _check(self, disk: ArmId, size_bytes: int) -> None:
        check_restores_into(self._arm.cloud, ArmScope(disk.subscription, disk.group), "disks")
        whole = size_bytes % MEBIBYTE == 0
        if not (whole and SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES):
            raise Invalid(
                f"a managed disk cannot be made of {size_bytes} bytes: whole MiB, from 20 MiB",
                action="Restore to a page blob instead.",
            )

    async def _ready(self, disk: ArmId, wait: float) -> Any:
        """The disk once it waits for its bytes. Raises `Deferred`."""
        began = self._arm.clock.now()
        while (self._arm.clock.now() - began).total_seconds() < MAKING_SECONDS:
            await self._arm.clock.sleep(wait)
            body, wait = await self._look(disk), CALM_SECONDS / 2
            if body is not None and is_uploading(body) and _succeeded(body):
                return body
        raise _in_making(disk)

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


def _document(
    cloud: Cloud, region: str, traits: Traits, size_bytes: int, tag: str
) -> dict[str, Any]:
    """Like the disk of these traits; in its zone where it comes to lie in its region."""
    zones = {"zones": [traits.zone]} if traits.zone and traits.region == region else {}
    system = {"osType": traits.os_type, "hyperVGeneration": traits.generation}
    return {
        "location": region,
        **zones,
        "tags": tags_of(tag),
        "sku": {"name": cloud.restore_sku or uploadable_sku(traits.sku)},
        "properties": {
            **{key: value for key, value in system.items() if value},
            "creationData": {
                "createOption": "Upload",
                "uploadSizeBytes": size_bytes + FOOTER_BYTES,
            },
        },
    }


def _in_making(disk: ArmId) -> Deferred:
    return Deferred(f"{disk}: making it takes its time", retry_after=MAKING_SECONDS / 2)


def _succeeded(body: Any) -> bool:
    return bool(body["properties"].get("provisioningState") == "Succeeded")
