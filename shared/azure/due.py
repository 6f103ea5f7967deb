"""What is due when, in table `due`.

| partition | row |
|---|---|
| `slot-0` … `slot-3`, by item | the slot's time, then the item: a tick reads what is due, no more |
| `watch` | the item; when to look is a column, since only items at work are watched |
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode

from shared.azure.errors import translated
from shared.azure.tables import Tables, etag_of
from shared.model.ids import ItemId
from shared.model.rowkeys import check_key
from shared.ports import DueSlot, Watch

TABLE = "due"
WATCHES = "watch"
SHARDS = 4
"""A partition serves ~2,000 entities a second: four bear a whole night's start at 02:00. Fixed:
another number would not find the slots that are there."""


class AzureDueIndex:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        shards = await asyncio.gather(*(self._due(shard, until) for shard in range(SHARDS)))
        due = [entry for shard in shards for entry in shard]
        for entry in sorted(due, key=lambda entry: (entry.slot, entry.item)):
            yield entry

    async def put_slot(self, entry: DueSlot) -> None:
        table = await self._tables.table(TABLE)
        with translated(f"the slot of '{entry.item}'"):
            await table.upsert_entity(_entity(entry), UpdateMode.REPLACE)

    async def move_slot(self, entry: DueSlot, to: DueSlot | None) -> None:
        table = await self._tables.table(TABLE)
        if to == entry:
            return await self.put_slot(to)
        put: list[tuple[str, dict[str, Any]]] = [("upsert", _entity(to))] if to else []
        with translated(f"the slot of '{entry.item}'"):
            try:
                await table.submit_transaction(
                    [("delete", _entity(entry)), *put], retry_on_methods=["POST"]
                )
            except TableTransactionError as error:
                if error.status_code != 404:
                    raise
                if to:
                    await table.upsert_entity(_entity(to), UpdateMode.REPLACE)

    async def watches(self, until: datetime) -> AsyncIterator[Watch]:
        where = "PartitionKey eq @partition and look_at le @until"
        parameters = {"partition": WATCHES, "until": _stamp(until)}
        rows = self._tables.query(TABLE, where, parameters)
        found = [_watch(entity) async for entity in rows]
        for watch in sorted(found, key=lambda watch: (watch.look_at, watch.item)):
            yield watch

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        table = await self._tables.table(TABLE)
        entity = {
            "PartitionKey": WATCHES,
            "RowKey": check_key(item),
            "since": _stamp(since),
            "look_at": _stamp(look_at),
        }
        with translated(f"the watch of '{item}'"):
            await table.upsert_entity(entity, UpdateMode.REPLACE)

    async def unwatch(self, watch: Watch) -> None:
        table = await self._tables.table(TABLE)
        with translated(f"the watch of '{watch.item}'"):
            try:
                await table.delete_entity(
                    WATCHES,
                    watch.item,
                    etag=watch.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except (ResourceModifiedError, ResourceNotFoundError):
                return

    async def _due(self, shard: int, until: datetime) -> list[DueSlot]:
        where = "PartitionKey eq @partition and RowKey lt @end"
        # ';' follows ':', which parts the time from the item: the slots at `until` are in.
        parameters = {"partition": f"slot-{shard}", "end": f"{_stamp(until)};"}
        rows = self._tables.query(TABLE, where, parameters)
        return [_slot(entity["RowKey"]) async for entity in rows]


def _entity(entry: DueSlot) -> dict[str, Any]:
    shard = crc32(entry.item.encode()) % SHARDS
    key = check_key(f"{_stamp(entry.slot)}:{entry.item}")
    return {"PartitionKey": f"slot-{shard}", "RowKey": key}


def _slot(key: str) -> DueSlot:
    stamp, _, item = key.partition(":")
    return DueSlot(item=ItemId(item), slot=_time(stamp))


def _watch(entity: Any) -> Watch:
    return Watch(
        item=ItemId(entity["RowKey"]),
        since=_time(entity["since"]),
        look_at=_time(entity["look_at"]),
        etag=etag_of(entity),
    )


def _stamp(at: datetime) -> str:
    """A time that sorts as text and holds no ':'."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z"


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
