"""The known disks, in memory."""

from collections.abc import AsyncIterator
from dataclasses import replace

from shared.memory.faults import Faults
from shared.model.ids import DiskUrl, ItemId
from shared.model.inventory import KnownDisk, disk_key


class MemoryInventory:
    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._disks: dict[str, KnownDisk] = {}

    async def disk(self, url: DiskUrl) -> KnownDisk | None:
        async with self._faults.around("inventory.disk"):
            return self._disks.get(disk_key(url))

    async def register(self, disk: KnownDisk) -> bool:
        async with self._faults.around("inventory.register"):
            new = disk_key(disk.url) not in self._disks
            self._disks.setdefault(disk_key(disk.url), disk)
            return new

    async def claim(self, disk: KnownDisk) -> ItemId:
        async with self._faults.around("inventory.claim"):
            assert disk.item is not None
            known = self._disks.setdefault(disk_key(disk.url), disk)
            if known.item is None:
                known = self._disks[disk_key(disk.url)] = replace(known, item=disk.item)
            assert known.item is not None
            return known.item

    async def release(self, url: DiskUrl, item: ItemId) -> None:
        async with self._faults.around("inventory.release"):
            known = self._disks.get(disk_key(url))
            if known is not None and known.item == item:
                self._disks[disk_key(url)] = replace(known, item=None)

    async def disks(self) -> AsyncIterator[KnownDisk]:
        async with self._faults.around("inventory.disks"):
            found = sorted(self._disks.values(), key=lambda disk: disk.url)
        for disk in found:
            yield disk
