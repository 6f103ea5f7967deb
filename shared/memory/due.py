"""What is due when, in memory."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from itertools import count

from shared.memory.faults import Faults
from shared.model.ids import ItemId
from shared.model.rowkeys import check_key
from shared.ports import DueSlot, Watch


class MemoryDueIndex:
    """Slots are a set; watches are one an item."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._slots: set[tuple[datetime, ItemId]] = set()
        self._watches: dict[ItemId, Watch] = {}
        self._versions = count(1)

    async def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        async with self._faults.around("due.slots"):
            found = sorted(row for row in self._slots if row[0] <= until)
        for slot, item in found:
            yield DueSlot(item=item, slot=slot)

    async def put_slot(self, entry: DueSlot) -> None:
        async with self._faults.around("due.put_slot"):
            self._slots.add((entry.slot, ItemId(check_key(entry.item))))

    async def move_slot(self, entry: DueSlot, to: DueSlot | None) -> None:
        async with self._faults.around("due.move_slot"):
            self._slots.discard((entry.slot, entry.item))
            if to is not None:
                self._slots.add((to.slot, ItemId(check_key(to.item))))

    async def watches(self, until: datetime) -> AsyncIterator[Watch]:
        async with self._faults.around("due.watches"):
            due = [watch for watch in self._watches.values() if watch.look_at <= until]
        for watch in sorted(due, key=lambda watch: (watch.look_at, watch.item)):
            yield watch

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        async with self._faults.around("due.watch"):
            watch = Watch(item=ItemId(check_key(item)), since=since, look_at=look_at)
            self._watches[item] = replace(watch, etag=f'W/"{next(self._versions)}"')

    async def unwatch(self, watch: Watch) -> None:
        async with self._faults.around("due.unwatch"):
            if self._watches.get(watch.item) == watch:
                del self._watches[watch.item]

    def next_at(self) -> datetime | None:
        """When the earliest slot or watch is due: where a simulation moves its clock to."""
        times = [slot for slot, _ in self._slots]
        times += [watch.look_at for watch in self._watches.values()]
        return min(times, default=None)
