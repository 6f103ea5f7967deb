"""The ledger in memory, with the semantics of Table storage's entity-group transactions.

Records are kept as JSON, as the real table keeps them: what does not survive the codec does not
survive here either.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import count

from shared.codec import from_json, to_json
from shared.memory.faults import Faults
from shared.model.errors import Conflict
from shared.model.ids import ItemId
from shared.model.ledger import Delete, Insert, R, Replace, RowChange, Versioned, row_key
from shared.model.rowkeys import change_key, check_key, check_transaction


@dataclass(frozen=True, slots=True)
class _Row:
    body: str
    etag: str


class MemoryLedger:
    """One dict an item; a commit replaces it whole, or not at all."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._items: dict[ItemId, dict[str, _Row]] = {}
        self._versions = count(1)

    async def get(self, item: ItemId, kind: type[R], id_: str = "") -> Versioned[R] | None:
        async with self._faults.around("ledger.get"):
            row = self._items.get(item, {}).get(check_key(row_key(kind, id_)))
            return None if row is None else Versioned(from_json(kind, row.body), row.etag)

    async def rows(self, item: ItemId, kind: type[R]) -> AsyncIterator[Versioned[R]]:
        async with self._faults.around("ledger.rows"):
            found = sorted(self._items.get(item, {}).items())
        for key, row in found:
            if key.startswith(row_key(kind)):
                yield Versioned(from_json(kind, row.body), row.etag)

    async def commit(self, item: ItemId, changes: Sequence[RowChange]) -> None:
        async with self._faults.around("ledger.commit"):
            check_key(item)
            check_transaction(changes)
            rows = dict(self._items.get(item, {}))
            for change in changes:
                self._apply(rows, change)
            self._items[item] = rows

    def _apply(self, rows: dict[str, _Row], change: RowChange) -> None:
        key = change_key(change)
        match change:
            case Insert(record):
                if key in rows:
                    raise Conflict(f"row '{key}' exists")
                rows[key] = self._row(record)
            case Replace(record, etag):
                _check_version(rows, key, etag)
                rows[key] = self._row(record)
            case Delete(_, None):
                rows.pop(key, None)
            case Delete(_, etag):
                _check_version(rows, key, etag)
                del rows[key]

    def _row(self, record: object) -> _Row:
        return _Row(to_json(record), f'W/"{next(self._versions)}"')


def _check_version(rows: dict[str, _Row], key: str, etag: str | None) -> None:
    row = rows.get(key)
    if row is None or row.etag != etag:
        raise Conflict(f"row '{key}' is not as it was read")
