"""What is due when, in memory."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from shared.memory.faults import Faults
from shared.memory.numbers import Numbers
from shared.model.ids import ItemId
from shared.model.ledger import TRANSACTION_ROWS, chunks
from shared.model.rowkeys import check_key
from shared.ports import DueSlot, SlotMove, Watch


class MemoryDueIndex:
    """Slots are a set; watches are one an item."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._slots: set[tuple[datetime, ItemId]] = set()
        self._watches: dict[ItemId, Watch] = {}
        self._versions = Numbers()

    async def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        async with self._faults.around("due.slots"):
            found = sorted(row for row in self._slots if row[0] <= until)
        for slot, item in found:
            yield DueSlot(item=item, slot=slot)

    async def put_slot(self, entry: DueSlot) -> None:
        async with self._faults.around("due.put_slot"):
            self._slots.add((entry.slot, ItemId(check_key(entry.item))))

    async def move_slots(self, moves: Sequence[SlotMove]) -> None:
        # A move changes two rows. Each transaction is a call of its own, for faults to part them.
        for some in chunks(moves, TRANSACTION_ROWS // 2):
            async with self._faults.around("due.move_slots"):
                self._slots -= {(move.entry.slot, move.entry.item) for move in some}
                self._slots |= {
                    (move.to.slot, ItemId(check_key(move.to.item))) for move in some if move.to
                }

    async def watches(self, until: datetime) -> AsyncIterator[Watch]:
        async with self._faults.around("due.watches"):
            due = [watch for watch in self._watches.values() if watch.look_at <= until]
        for watch in sorted(due, key=lambda watch: (watch.look_at, watch.item)):
            yield watch

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        async with self._faults.around("due.watch"):
            self._put(Watch(item=item, since=since, look_at=look_at))

    async def watch_all(self, watches: Sequence[Watch]) -> None:
        for some in chunks(watches):
            async with self._faults.around("due.watch_all"):
                for watch in some:
                    self._put(watch)

    async def unwatch(self, watch: Watch) -> None:
        async with self._faults.around("due.unwatch"):
            if self._watches.get(watch.item) == watch:
                del self._watches[watch.item]

    def _put(self, watch: Watch) -> None:
        self._watches[ItemId(check_key(watch.item))] = replace(
            watch, etag=f'W/"{next(self._versions)}"'
        )

    def next_at(self) -> datetime | None:
        """When the earliest slot or watch is due: where a simulation moves its clock to."""
        times = [slot for slot, _ in self._slots]
        times += [watch.look_at for watch in self._watches.values()]
        return min(times, default=None)
