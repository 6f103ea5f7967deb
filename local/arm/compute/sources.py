"""Where the bytes of a new disk or snapshot come from: its `creationData`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.arm.answers import ArmError, JsonObject, invalid_parameter, not_allowed, source_not_found
from local.arm.compute.footer import SIZE as FOOTER
from local.arm.compute.kinds import Shelves, with_slash
from local.arm.compute.vhds import NotAVhd, UnreadableSource, Vhds
from local.arm.shelf import Resource

SMALLEST_UPLOAD = 20 * 1024**2 + FOOTER
LARGEST_UPLOAD = 35183298347520
_INHERITED = (
    "osType",
    "hyperVGeneration",
    "purchasePlan",
    "supportedCapabilities",
    "supportsHibernation",
)
_IMAGE_BYTES = 30 * 1024**3


@dataclass(frozen=True)
class Made:
    """A new blob: the disk's size (None: it waits for its upload) and `creationData` completed."""

    vhd: str
    size_bytes: int | None
    creation: JsonObject
    source: Resource | None = None

    @property
    def inherited(self) -> JsonObject:
        """What the new one has of its source unless it is asked to differ."""
        given = self.source.properties if self.source else {}
        return {name: given[name] for name in _INHERITED if name in given}


@dataclass(frozen=True)
class Wish:
    """What is asked for: where, how large (None: as the source), when."""

    creation: JsonObject
    location: str
    size_bytes: int | None
    now: datetime

    @property
    def option(self) -> str:
        option = self.creation.get("createOption")
        if not isinstance(option, str):
            raise invalid_parameter("creationData.createOption", "createOption is required.")
        return option


class Sources:
    """Makes the bytes that a `creationData` describes."""

    def __init__(self, shelves: Shelves, vhds: Vhds) -> None:
        self._shelves = shelves
        self._vhds = vhds

    async def make(self, wish: Wish) -> Made:
        """Raises what Azure answers to a source that is missing, elsewhere or unusable."""
        makers: Mapping[str, Callable[[Wish], Awaitable[Made]]] = {
            "Empty": self._empty,
            "FromImage": self._from_image,
            "Copy": self._copy,
            "CopyStart": self._copy_start,
            "Restore": self._restore,
            "Import": self._import,
            "Upload": self._upload,
        }
        maker = makers.get(wish.option)
        if maker is None:
            raise invalid_parameter(
                "creationData.createOption", f"The value '{wish.option}' is not supported here."
            )
        return await maker(wish)

    def resource(self, resource_id: str) -> Resource:
        """A disk or a snapshot. Raises the recorded 404 NotFound, which names it alone."""
        for shelf in (self._shelves.disks, self._shelves.snapshots):
            if found := shelf.get(with_slash(resource_id)):
                return found
        raise source_not_found(resource_id.rpartition("/")[2])

    async def _empty(self, wish: Wish) -> Made:
        if not wish.size_bytes:
            raise invalid_parameter("diskSizeGB", "Required parameter 'diskSizeGB' is missing.")
        return Made(await self._vhds.create(wish.size_bytes), wish.size_bytes, wish.creation)

    async def _from_image(self, wish: Wish) -> Made:
        size_bytes = wish.size_bytes or _IMAGE_BYTES
        return Made(await self._vhds.create(size_bytes), size_bytes, wish.creation)

    async def _copy(self, wish: Wish) -> Made:
        source = self.resource(wish.creation.get("sourceResourceId", ""))
        if source.body["location"] != wish.location:
            # Recorded: another region's provider does not know the disk at all.
            raise source_not_found(source.name)
        return await self._copied(source, wish)

    async def _copy_start(self, wish: Wish) -> Made:
        source = self._shelves.snapshots.get(with_slash(wish.creation.get("sourceResourceId", "")))
        if source is None:
            raise source_not_found(wish.creation.get("sourceResourceId", "").rpartition("/")[2])
        if not source.properties.get("incremental"):
            raise not_allowed(
                f"CopyStart creation is only supported for incremental snapshots; "
                f"'{source.name}' is none."
            )
        return await self._copied(source, wish)

    async def _copied(self, source: Resource, wish: Wish) -> Made:
        """A copy of a disk or of a snapshot whose bytes are all there."""
        if source.inner.get("uploading"):
            raise not_allowed(f"Disk '{source.name}' is waiting for its upload.")
        if wish.now < _readable_at(source):
            raise not_allowed(f"The copy of the data of '{source.name}' is not complete yet.")
        creation = {**wish.creation, "sourceUniqueId": source.properties["uniqueId"]}
        return await self._grown(await self._vhds.copy(source.inner["vhd"]), wish, creation, source)

    async def _restore(self, wish: Wish) -> Made:
        point_id = with_slash(wish.creation.get("sourceResourceId", ""))
        point = self._shelves.disk_points.get(point_id)
        if point is None:
            raise source_not_found(point_id.rpartition("/")[2])
        if wish.now < _readable_at(point):
            raise not_allowed(f"The copy of the data of '{point.name}' is not complete yet.")
        vhd = await self._vhds.copy(point.inner["vhd"])
        return await self._grown(vhd, wish, wish.creation, point)

    async def _import(self, wish: Wish) -> Made:
        uri = wish.creation.get("sourceUri", "")
        try:
            vhd = await self._vhds.import_from(uri)
        except UnreadableSource as error:
            raise invalid_parameter(
                "creationData.sourceUri", f"The source blob {error} cannot be read."
            ) from error
        except NotAVhd as error:
            raise invalid_vhd(str(error)) from error
        return await self._grown(vhd, wish, wish.creation, None)

    async def _upload(self, wish: Wish) -> Made:
        blob_bytes = wish.creation.get("uploadSizeBytes")
        if not isinstance(blob_bytes, int) or blob_bytes % 512:
            raise invalid_parameter(
                "creationData.uploadSizeBytes", "A multiple of 512 bytes is required."
            )
        if not SMALLEST_UPLOAD <= blob_bytes <= LARGEST_UPLOAD:
            raise invalid_parameter(
                "creationData.uploadSizeBytes",
                f"The value must be between {SMALLEST_UPLOAD} and {LARGEST_UPLOAD}.",
            )
        return Made(await self._vhds.create_for_upload(blob_bytes), None, wish.creation)

    async def _grown(
        self, vhd: str, wish: Wish, creation: JsonObject, source: Resource | None
    ) -> Made:
        """Never smaller than its source."""
        size_bytes = await self._vhds.size_bytes(vhd)
        if wish.size_bytes and wish.size_bytes < size_bytes:
            await self._vhds.delete(vhd)
            raise invalid_parameter("diskSizeGB", "The disk cannot be smaller than its source.")
        if wish.size_bytes and wish.size_bytes > size_bytes:
            await self._vhds.resize(vhd, wish.size_bytes)
            size_bytes = wish.size_bytes
        return Made(vhd, size_bytes, creation, source)


def _readable_at(source: Resource) -> datetime:
    """When all of a snapshot's bytes are there."""
    ends: Any = source.inner.get("hydrated_at")
    return datetime.fromisoformat(ends) if ends else source.settles_at


def invalid_vhd(blob_url: str) -> ArmError:
    """Recorded at endGetAccess after an upload of what is no VHD."""
    return ArmError(
        400,
        "InvalidVhd",
        f"The specified cookie value in VHD footer indicates that disk 'abcd' with blob {blob_url} "
        "is not a supported VHD. Disk is expected to have cookie value 'conectix'.",
    )
