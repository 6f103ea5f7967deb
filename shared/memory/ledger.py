"""The ledger in memory, with the semantics of Table storage's entity-group transactions.

Records are kept as JSON, as the real table keeps them: what does not survive the codec does not
survive here either.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.codec import from_json, to_json
from shared.memory.faults import Faults
from shared.memory.numbers import Numbers
from shared.model.errors import Conflict
from shared.model.ids import ItemId
from shared.model.ledger import Delete, Insert, R, Replace, RowChange, Versioned, row_key
from shared.model.rowkeys import change_key, check_key, check_transaction


@dataclass(slots=True)
class _Row:
    """A row's JSON, and the record that it holds once somebody has read that."""

    body: str
    etag: str
    held: Any = None

    def read(self, kind: type[R]) -> Versioned[R]:
        """Frozen, so all readers can share it; never what was written, which JSON may not bear."""
        if self.held is None:
            self.held = from_json(kind, self.body)
        return Versioned(self.held, self.etag)


class MemoryLedger:
    """One dict an item; a commit checks every condition before it changes anything."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._items: dict[ItemId, dict[str, _Row]] = {}
        self._versions = Numbers()

    async def get(self, item: ItemId, kind: type[R], id_: str = "") -> Versioned[R] | None:
        async with self._faults.around("ledger.get"):
            row = self._items.get(item, {}).get(check_key(row_key(kind, id_)))
            return None if row is None else row.read(kind)

    async def rows(self, item: ItemId, kind: type[R]) -> AsyncIterator[Versioned[R]]:
        async with self._faults.around("ledger.rows"):
            rows, prefix = self._items.get(item, {}), row_key(kind)
            found = [rows[key] for key in sorted(key for key in rows if key.startswith(prefix))]
        for row in found:
            yield row.read(kind)

    async def commit(self, item: ItemId, changes: Sequence[RowChange]) -> None:
        async with self._faults.around("ledger.commit"):
            check_key(item)
            check_transaction(changes)
            rows = self._items.setdefault(item, {})
            for change in changes:
                _check(rows, change)
            for change in changes:
                self._apply(rows, change)

    def _apply(self, rows: dict[str, _Row], change: RowChange) -> None:
        key = change_key(change)
        if isinstance(change, Delete):
            rows.pop(key, None)
        else:
            rows[key] = self._row(change.record)

    def _row(self, record: object) -> _Row:
        return _Row(to_json(record), f'W/"{next(self._versions)}"')


def _check(rows: dict[str, _Row], change: RowChange) -> None:
    """A transaction names no row twice, so each condition is about the rows as they were."""
    key = change_key(change)
    row = rows.get(key)
    match change:
        case Insert() if row is not None:
            raise Conflict(f"row '{key}' exists")
        case Replace(_, etag) | Delete(_, str() as etag) if row is None or row.etag != etag:
            raise Conflict(f"row '{key}' is not as it was read")
