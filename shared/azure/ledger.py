"""The ledger in Table storage: a partition an item, an entity a record, a transaction a commit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.azure.errors import reason, translate, translated
from shared.azure.http import REPEATS, wait_seconds
from shared.azure.tables import Tables, body_columns, body_of, etag_of, prefix_end
from shared.codec import from_json, to_json
from shared.model.errors import Conflict, Transient, VaultlineError
from shared.model.ids import ItemId
from shared.model.ledger import (
    Delete,
    Insert,
    R,
    Record,
    Replace,
    RowChange,
    Versioned,
    row_key,
)
from shared.model.rowkeys import change_key, check_key, check_transaction, unconditional

TABLE = "ledger"
_REFUSED = frozenset({404, 409, 412})
"""How a transaction ends whose condition does not hold."""

Operation = tuple[str, dict[str, Any], dict[str, Any]]


class AzureLedger:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, item: ItemId, kind: type[R], id_: str = "") -> Versioned[R] | None:
        key = check_key(row_key(kind, id_))
        table = await self._tables.table(TABLE)
        with translated(f"row '{key}' of '{item}'"):
            try:
                entity = await table.get_entity(check_key(item), key)
            except ResourceNotFoundError:
                return None
        return Versioned(from_json(kind, body_of(entity)), etag_of(entity))

    async def rows(self, item: ItemId, kind: type[R]) -> AsyncIterator[Versioned[R]]:
        prefix = row_key(kind)
        where = "PartitionKey eq @item and RowKey ge @first and RowKey lt @end"
        parameters = {"item": item, "first": prefix, "end": prefix_end(prefix)}
        async for entity in self._tables.query(TABLE, where, parameters):
            yield Versioned(from_json(kind, body_of(entity)), etag_of(entity))

    async def commit(self, item: ItemId, changes: Sequence[RowChange]) -> None:
        check_key(item)
        check_transaction(changes)
        if changes:
            await _Commit(await self._tables.table(TABLE), item, list(changes)).run()


class _Commit:
    """One transaction, repeated while the service is busy.

    A transaction whose answer was lost may have taken effect: then its repeat is refused, and the
    refusal is a success where every row stands as the transaction leaves it (fault 53). Only
    then: a refusal without such a doubt is somebody else's doing.
    """

    def __init__(self, table: TableClient, item: ItemId, changes: list[RowChange]) -> None:
        self._table = table
        self._item = item
        self._changes = changes
        self._in_doubt = False

    async def run(self) -> None:
        for repeat in range(1, REPEATS + 1):
            try:
                await self._attempt()
            except Transient:
                await asyncio.sleep(wait_seconds(repeat))
            else:
                return
        await self._attempt()

    async def _attempt(self) -> None:
        """Raises `Conflict`; `Transient` leaves the transaction in doubt."""
        try:
            await self._submit()
        except Conflict:
            if not (self._in_doubt and await self._stands()):
                raise
        except Transient:
            self._in_doubt = True
            raise

    async def _submit(self) -> None:
        """Sends the transaction; without the deletions that turn out to have nothing to delete."""
        changes = list(self._changes)
        while changes:
            try:
                operations = [_operation(self._item, change) for change in changes]
                await self._table.submit_transaction(operations, retry_total=0)
            except TableTransactionError as error:
                if not _nothing_to_delete(error, changes):
                    raise self._refusal(error, changes) from None
                del changes[error.index]
            except (AzureError, OSError) as error:
                raise translate(error, f"a change of '{self._item}'") from None
            else:
                return

    def _refusal(self, error: TableTransactionError, changes: list[RowChange]) -> VaultlineError:
        key = change_key(changes[min(error.index, len(changes) - 1)])
        if error.status_code in _REFUSED:
            return Conflict(f"row '{key}' of '{self._item}' is not as it was read: {reason(error)}")
        return translate(error, f"row '{key}' of '{self._item}'")

    async def _stands(self) -> bool:
        """Whether every row is as the transaction leaves it."""
        return all([await self._is_done(change) for change in self._changes])

    async def _is_done(self, change: RowChange) -> bool:
        with translated(f"row '{change_key(change)}' of '{self._item}'"):
            try:
                entity = await self._table.get_entity(self._item, change_key(change))
            except ResourceNotFoundError:
                return isinstance(change, Delete)
        return not isinstance(change, Delete) and body_of(entity) == to_json(change.record)


def _nothing_to_delete(error: HttpResponseError, changes: list[RowChange]) -> bool:
    index = getattr(error, "index", 0)
    return error.status_code == 404 and index < len(changes) and unconditional(changes[index])


def _operation(item: ItemId, change: RowChange) -> Operation:
    """The change as the SDK's transactions take it."""
    keys = {"PartitionKey": item, "RowKey": change_key(change)}
    match change:
        case Insert(record):
            return "create", {**keys, **_columns(record)}, {}
        case Replace(record, etag):
            return (
                "update",
                {**keys, **_columns(record)},
                {"mode": UpdateMode.REPLACE, **_if_matches(etag)},
            )
        case Delete(_, etag):
            return "delete", keys, _if_matches(etag) if etag else {}


def _if_matches(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _columns(record: Record) -> dict[str, str]:
    """The record, and what a person wants to see of it at a glance."""
    seen = {
        "kind": type(record).__name__,
        "status": _first(record, "status", "state", "phase"),
        "at": _first(record, "progressed_at", "created_at", "protected_at"),
    }
    return {**body_columns(to_json(record)), **{k: v for k, v in seen.items() if v}}


def _first(record: Record, *names: str) -> str:
    """The first of the fields that the record has, as text."""
    return next((str(getattr(record, name)) for name in names if hasattr(record, name)), "")
