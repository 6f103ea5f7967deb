"""What the steps need to know what is due, and what is to be watched."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.model.ids import ItemId


@dataclass(frozen=True, kw_only=True)
class DueSlot:
    """A backup that the schedule wants at `slot`."""

    item: ItemId
    slot: datetime


@dataclass(frozen=True, kw_only=True)
class Watch:
    """An item that is not at rest, to be looked at from `look_at` on."""

    item: ItemId
    since: datetime
    look_at: datetime
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class SlotMove:
    """A slot, and the one that comes in its place; None where nothing is due any more."""

    entry: DueSlot
    to: DueSlot | None


class DueIndex(Protocol):
    """What is due when, ordered by time, so that a tick reads only what is due."""

    def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        """Slots due at or before `until`, earliest first, read as they are asked for. Slots that
        were given may be moved meanwhile."""
        ...

    async def put_slot(self, entry: DueSlot) -> None: ...

    async def move_slots(self, moves: Sequence[SlotMove]) -> None:
        """In as few transactions as the service takes; a new slot is there before the old one is
        gone. A slot that is gone already is no error."""
        ...

    def watches(self, until: datetime) -> AsyncIterator[Watch]: ...

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        """Looks at the item from `look_at` on. Written *before* the item leaves its rest, so
        that no work is ever unwatched."""
        ...

    async def watch_all(self, watches: Sequence[Watch]) -> None:
        """The same for many items, each named once, in as few transactions as the service takes;
        their etags do not matter."""
        ...

    async def unwatch(self, watch: Watch) -> None:
        """Conditional on the watch being as read; nothing happens where it is not."""
        ...
