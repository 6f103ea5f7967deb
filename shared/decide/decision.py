"""What a decision is: the rows to change, the messages that follow from it, and its result."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.model.ledger import RowChange
from shared.model.messages import Outgoing

T = TypeVar("T")


@dataclass(frozen=True)
class Decision(Generic[T]):
    """Rows and messages are stored in one transaction (invariant 7). No rows: nothing to do."""

    result: T
    changes: tuple[RowChange, ...] = ()
    messages: tuple[Outgoing, ...] = ()
