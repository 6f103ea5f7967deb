"""Where accepted messages outlive the process.

Nothing that depends on a change leaves the server before ``commit`` returned, so a message whose
sender was told "accepted" is found again after a crash of the process. (A power cut is out of
scope: SQLite does not wait for the disk.)
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """A stored message. ``shelf`` 0 is the queue, 1 its dead letters; times in milliseconds."""

    queue: str
    sequence_number: int
    shelf: int
    state: int
    enqueued_at: int
    due_at: int | None
    delivery_count: int
    locked: bool
    raw: bytes


_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    queue TEXT, sequence_number INTEGER, shelf INTEGER, state INTEGER, enqueued_at INTEGER,
    due_at INTEGER, delivery_count INTEGER, locked INTEGER, raw BLOB,
    PRIMARY KEY (queue, sequence_number)
);
CREATE TABLE IF NOT EXISTS seen (
    queue TEXT, message_id TEXT, seen_at INTEGER, PRIMARY KEY (queue, message_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserved (queue TEXT PRIMARY KEY, sequence_number INTEGER);
"""


class Journal:
    """Changes become durable together, at ``commit``.

    One process at a time may hold the journal of a directory: a second one gets
    ``sqlite3.OperationalError``. Without a directory nothing survives the process.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._db = sqlite3.connect(_place(directory), isolation_level=None, timeout=0.5)
        # An exclusive lock keeps two brokers from sharing one journal.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    def put(self, record: Record) -> None:
        self._write(
            "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            record.queue,
            record.sequence_number,
            record.shelf,
            record.state,
            record.enqueued_at,
            record.due_at,
            record.delivery_count,
            record.locked,
            record.raw,
        )

    def mark(self, queue: str, sequence_number: int, delivery_count: int, locked: bool) -> None:
        self._write(
            "UPDATE message SET delivery_count = ?, locked = ?"
            " WHERE queue = ? AND sequence_number = ?",
            delivery_count,
            locked,
            queue,
            sequence_number,
        )

    def remove(self, queue: str, sequence_number: int) -> None:
        self._write(
            "DELETE FROM message WHERE queue = ? AND sequence_number = ?", queue, sequence_number
        )

    def remember(self, queue: str, message_id: str, seen_at: int) -> None:
        self._write("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", queue, message_id, seen_at)

    def forget(self, queue: str, message_id: str) -> None:
        self._write("DELETE FROM seen WHERE queue = ? AND message_id = ?", queue, message_id)

    def reserve(self, queue: str, sequence_number: int) -> None:
        self._write("INSERT OR REPLACE INTO reserved VALUES (?, ?)", queue, sequence_number)

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def records(self) -> Iterator[Record]:
        rows = self._db.execute("SELECT * FROM message ORDER BY queue, sequence_number")
        return (Record(*row) for row in rows.fetchall())

    def remembered(self) -> Iterator[tuple[str, str, int]]:
        yield from self._db.execute("SELECT queue, message_id, seen_at FROM seen ORDER BY seen_at")

    def reserved(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT queue, sequence_number FROM reserved").fetchall())

    def close(self) -> None:
        self.commit()
        self._db.close()

    def _write(self, statement: str, *values: object) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        self._db.execute(statement, values)


def _place(directory: Path | None) -> str:
    if directory is None:
        return ":memory:"
    directory.mkdir(parents=True, exist_ok=True)
    return str(directory / "servicebus.sqlite3")
