"""The tables of a task hub: single statements, to be combined into transactions by the hub."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from local.host.durable.events import Event, format_time, parse_time
from local.host.durable.instances import EpisodeResult, Instance, Parent, Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    input_json TEXT, status TEXT NOT NULL, custom_status_json TEXT, output_json TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    parent_id TEXT, parent_execution_id TEXT, parent_task_id INTEGER,
    traceparent TEXT, tracestate TEXT, revision INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS history (
    instance_id TEXT NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (instance_id, position)
);
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL,
    execution_id TEXT, timer_id INTEGER, visible_at TEXT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS inbox_by_instance ON inbox (instance_id, visible_at);
CREATE INDEX IF NOT EXISTS inbox_by_time ON inbox (visible_at);
CREATE TABLE IF NOT EXISTS activities (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL, name TEXT NOT NULL, payload TEXT
);
CREATE INDEX IF NOT EXISTS activities_by_instance ON activities (instance_id);
"""

_AT_ONCE = ""  # sorts before every time


class HubTables:
    """One SQLite file. Not thread-safe: for one loop."""

    def __init__(self, path: Path | str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.execute(statement, values)

    def one(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(statement, values).fetchone()
        return row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes, or none when it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def send(self, instance_id: str, message: Event, *, execution_id: str | None = None) -> None:
        self._db.execute(
            "INSERT INTO inbox (instance_id, execution_id, visible_at, event)"
            " SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM instances WHERE id = ?)",
            (instance_id, execution_id, _AT_ONCE, json.dumps(message), instance_id),
        )

    def append(self, instance_id: str, items: Sequence[Event]) -> None:
        row = self.one(
            "SELECT COALESCE(MAX(position) + 1, 0) AS next FROM history WHERE instance_id = ?",
            (instance_id,),
        )
        first = row["next"] if row else 0
        self._db.executemany(
            "INSERT INTO history VALUES (?, ?, ?)",
            [(instance_id, first + n, json.dumps(item)) for n, item in enumerate(items)],
        )

    def update(self, instance_id: str, result: EpisodeResult) -> None:
        self._db.execute(
            "UPDATE instances SET status = ?, custom_status_json = ?, output_json = ?,"
            " updated_at = ?, revision = revision + 1 WHERE id = ?",
            (
                result.status,
                result.custom_status_json,
                result.output_json,
                format_time(self._now()),
                instance_id,
            ),
        )

    def set_status(self, instance_id: str, allowed: Sequence[Status], status: Status) -> bool:
        changed = self._db.execute(
            "UPDATE instances SET status = ?, updated_at = ?, revision = revision + 1"
            " WHERE id = ? AND status IN (SELECT value FROM json_each(?))",
            (status, format_time(self._now()), instance_id, json.dumps(allowed)),
        )
        return changed.rowcount > 0

    def delete_messages(self, message_ids: Sequence[int]) -> None:
        self._db.executemany("DELETE FROM inbox WHERE id = ?", [(i,) for i in message_ids])

    def forget(self, instance_id: str) -> None:
        self._db.execute("DELETE FROM instances WHERE id = ?", (instance_id,))
        for table in ("history", "inbox", "activities"):
            self._db.execute(
                f"DELETE FROM {table} WHERE instance_id = ?",  # noqa: S608 (names from above)
                (instance_id,),
            )


def instance_of(row: sqlite3.Row) -> Instance:
    return Instance(
        id=row["id"],
        execution_id=row["execution_id"],
        name=row["name"],
        version=row["version"],
        input_json=row["input_json"],
        status=Status(row["status"]),
        custom_status_json=row["custom_status_json"],
        output_json=row["output_json"],
        created_at=parse_time(row["created_at"]),
        updated_at=parse_time(row["updated_at"]),
        parent=Parent(row["parent_id"], row["parent_execution_id"], row["parent_task_id"])
        if row["parent_id"]
        else None,
        traceparent=row["traceparent"],
        tracestate=row["tracestate"],
        revision=row["revision"],
    )
