"""What is due when, in table `due`.

| partition | row |
|---|---|
| `slot` | the slot's time, then the item: a tick reads what is due, no more |
| `watch` | the item; when to look is a column, since only items at work are watched |

One partition for all slots: an idle tick is one request, however many items there are, and the
rows come in order. It serves ~2,000 entities a second; a tick's thousand starts change as many.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode

from shared.azure.errors import translated
from shared.azure.tables import Tables, etag_of
from shared.model.ids import ItemId
from shared.model.ledger import TRANSACTION_ROWS, chunks
from shared.model.rowkeys import check_key
from shared.ports import DueSlot, SlotMove, Watch

TABLE = "due"
SLOTS = "slot"
WATCHES = "watch"

Operation = tuple[str, dict[str, Any]]


class AzureDueIndex:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        where = "PartitionKey eq @partition and RowKey lt @end"
        # ';' follows ':', which parts the time from the item: the slots at `until` are in.
        parameters = {"partition": SLOTS, "end": f"{_stamp(until)};"}
        async for entity in self._tables.query(TABLE, where, parameters):
            yield _slot(entity["RowKey"])

    async def put_slot(self, entry: DueSlot) -> None:
        table = await self._tables.table(TABLE)
        with translated(f"the slot of '{entry.item}'"):
            await table.upsert_entity(_slot_row(entry), UpdateMode.REPLACE)

    async def move_slots(self, moves: Sequence[SlotMove]) -> None:
        for some in chunks(moves, TRANSACTION_ROWS // 2):  # a move changes two rows
            await self._move_together(some)

    async def watches(self, until: datetime) -> AsyncIterator[Watch]:
        where = "PartitionKey eq @partition and look_at le @until"
        parameters = {"partition": WATCHES, "until": _stamp(until)}
        rows = self._tables.query(TABLE, where, parameters)
        found = [_watch(entity) async for entity in rows]
        for watch in sorted(found, key=lambda watch: (watch.look_at, watch.item)):
            yield watch

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        table = await self._tables.table(TABLE)
        row = _watch_row(Watch(item=item, since=since, look_at=look_at))
        with translated(f"the watch of '{item}'"):
            await table.upsert_entity(row, UpdateMode.REPLACE)

    async def watch_all(self, watches: Sequence[Watch]) -> None:
        for some in chunks(watches):
            with translated(_subject("watch", [watch.item for watch in some])):
                await self._submit([("upsert", _watch_row(watch)) for watch in some])

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

    async def _move_together(self, moves: Sequence[SlotMove]) -> None:
        """One transaction; where one of the old slots is gone, the new ones in a transaction and
        then the old ones one by one, since a missing row fails all that go with it."""
        new = {row["RowKey"]: row for row in (_slot_row(move.to) for move in moves if move.to)}
        old = {row["RowKey"]: row for row in (_slot_row(move.entry) for move in moves)}
        puts: list[Operation] = [("upsert", row) for row in new.values()]
        deletions: list[Operation] = [("delete", row) for key, row in old.items() if key not in new]
        with translated(_subject("slot", [move.entry.item for move in moves])):
            try:
                await self._submit([*puts, *deletions])
            except TableTransactionError as error:
                if error.status_code != 404:
                    raise
                await self._submit(puts)
                await self._delete(row for _, row in deletions)

    async def _submit(self, operations: Sequence[Operation]) -> None:
        """Upserts and deletions may be repeated, so a lost answer is no matter."""
        table = await self._tables.table(TABLE)
        if operations:
            await table.submit_transaction(operations, retry_on_methods=["POST"])

    async def _delete(self, rows: Iterable[dict[str, Any]]) -> None:
        """Those that are there."""
        table = await self._tables.table(TABLE)
        for row in rows:
            with suppress(ResourceNotFoundError):
                await table.delete_entity(row["PartitionKey"], row["RowKey"])


def _subject(what: str, items: Sequence[ItemId]) -> str:
    more = f" and {len(items) - 1} others" if len(items) > 1 else ""
    return f"the {what} of '{items[0]}'{more}"


def _slot_row(entry: DueSlot) -> dict[str, Any]:
    return {"PartitionKey": SLOTS, "RowKey": check_key(f"{_stamp(entry.slot)}:{entry.item}")}


def _slot(key: str) -> DueSlot:
    stamp, _, item = key.partition(":")
    return DueSlot(item=ItemId(item), slot=_time(stamp))


def _watch_row(watch: Watch) -> dict[str, Any]:
    return {
        "PartitionKey": WATCHES,
        "RowKey": check_key(watch.item),
        "since": _stamp(watch.since),
        "look_at": _stamp(watch.look_at),
    }


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
