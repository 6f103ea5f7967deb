"""The ledger's rows: everything that changes together about one item, in one partition.

| row key | record |
|---|---|
| `item` | `Item` |
| `job:<id>` | `Job` |
| `point:<id>` | `Point` |
| `transfer:<job id>` | `Transfer` |
| `outbox:<message id>` | `Outbox` |
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.model.item import Item
from shared.model.job import Job
from shared.model.outbox import Outbox
from shared.model.point import Point
from shared.model.transfer import Transfer

Record = Item | Job | Point | Transfer | Outbox
R = TypeVar("R", Item, Job, Point, Transfer, Outbox)
T = TypeVar("T")

TRANSACTION_ROWS = 100
"""Most rows that one transaction changes (Table storage's limit)."""

_KEYS: dict[type, tuple[str, Callable[[Any], str]]] = {
    Item: ("item", lambda _: ""),
    Job: ("job:", lambda record: record.id),
    Point: ("point:", lambda record: record.id),
    Transfer: ("transfer:", lambda record: record.job_id),
    Outbox: ("outbox:", lambda record: record.message.message_id),
}


def row_key(kind: type[Record], id_: str = "") -> str:
    """The row of the `kind` with that id; the item's row has none."""
    return _KEYS[kind][0] + id_


def key_of(record: Record) -> str:
    """The row that holds `record`."""
    prefix, identify = _KEYS[type(record)]
    return prefix + identify(record)


@dataclass(frozen=True)
class Versioned(Generic[R]):
    """A record as read, with the etag that a later conditional write names."""

    record: R
    etag: str


@dataclass(frozen=True)
class Insert:
    """Refused with `Conflict` where the row exists."""

    record: Record


@dataclass(frozen=True)
class Replace:
    """Refused with `Conflict` where the row is not as it was read."""

    record: Record
    etag: str


@dataclass(frozen=True)
class Delete:
    """Refused with `Conflict` where the row is not as it was read; a missing row is no error
    when no etag is named."""

    record: Record
    etag: str | None = None


RowChange = Insert | Replace | Delete


def update(row: Versioned[Any], record: Record) -> Replace:
    """`record` in the place of the row it was decided from."""
    return Replace(record, row.etag)


def chunks(changes: Iterable[T], size: int = TRANSACTION_ROWS) -> list[list[T]]:
    """The changes in lists of at most `size`."""
    every = list(changes)
    return [every[i : i + size] for i in range(0, len(every), size)]
