"""The known disks, in table `disks`: one partition, a row a disk, by the digest of its URL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, UpdateMode

from shared.azure.errors import translated
from shared.azure.tables import Tables, body_columns, body_of, etag_of
from shared.codec import from_json, to_json
from shared.model.errors import Transient
from shared.model.ids import DiskUrl, ItemId
from shared.model.inventory import KnownDisk, disk_key

TABLE = "disks"
PARTITION = "disk"
TRIES = 8
"""A claim meets another writer of the same disk once or twice, never often."""


class AzureInventory:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def disk(self, url: DiskUrl) -> KnownDisk | None:
        entity = await self._read(url)
        return None if entity is None else _disk(entity)

    async def register(self, disk: KnownDisk) -> bool:
        table = await self._tables.table(TABLE)
        with translated(disk.url):
            try:
                await table.create_entity(_entity(disk))
            except ResourceExistsError:
                return False
        return True

    async def claim(self, disk: KnownDisk) -> ItemId:
        assert disk.item is not None
        for _ in range(TRIES):
            if await self.register(disk):
                return disk.item
            owner = await self._take(disk.url, None, disk.item)
            if owner is not None:
                return owner
        raise Transient(f"{disk.url} is claimed by too many at once")

    async def release(self, url: DiskUrl, item: ItemId) -> None:
        await self._take(url, item, None)

    async def disks(self) -> AsyncIterator[KnownDisk]:
        where = "PartitionKey eq @partition"
        async for entity in self._tables.query(TABLE, where, {"partition": PARTITION}):
            yield _disk(entity)

    async def _take(self, url: DiskUrl, from_: ItemId | None, to: ItemId | None) -> ItemId | None:
        """Hands the disk on where it is `from_`'s; the owner from then on. None where somebody
        wrote the row in this moment."""
        entity = await self._read(url)
        if entity is None:
            return None
        known = _disk(entity)
        if known.item != from_:
            return known.item
        table = await self._tables.table(TABLE)
        with translated(url):
            try:
                await table.update_entity(
                    _entity(replace(known, item=to)),
                    UpdateMode.REPLACE,
                    etag=etag_of(entity),
                    match_condition=MatchConditions.IfNotModified,
                )
            except (ResourceModifiedError, ResourceNotFoundError):
                return None
        return to

    async def _read(self, url: DiskUrl) -> TableEntity | None:
        table = await self._tables.table(TABLE)
        with translated(url):
            try:
                return await table.get_entity(PARTITION, disk_key(url))
            except ResourceNotFoundError:
                return None


def _entity(disk: KnownDisk) -> dict[str, Any]:
    keys = {"PartitionKey": PARTITION, "RowKey": disk_key(disk.url)}
    return {**keys, **body_columns(to_json(disk)), "url": disk.url, "item": disk.item or ""}


def _disk(entity: TableEntity) -> KnownDisk:
    return from_json(KnownDisk, body_of(entity))
