"""Containers, in memory: which were asked for."""

from shared.memory.faults import Faults
from shared.memory.storage import MemoryStorage


class MemoryContainers:
    """`made` are the containers that exist; the storage itself does not ask for them."""

    def __init__(self, storage: MemoryStorage, faults: Faults | None = None) -> None:
        self.made: set[str] = set()
        self._storage = storage
        self._faults = faults or Faults()

    async def make(self, url: str) -> None:
        async with self._faults.around("containers.make"):
            self._storage.check_url(url)
            self.made.add(url)
