"""Plans in memory, as the bytes that a blob would hold."""

from collections.abc import AsyncIterable

from shared.memory.faults import Faults
from shared.model.errors import Conflict, NotFound


class MemoryPlans:
    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._blobs: dict[str, bytes] = {}

    async def put(self, url: str, blocks: AsyncIterable[bytes]) -> None:
        body = b"".join([block async for block in blocks])
        async with self._faults.around("plans.put"):
            if self._blobs.setdefault(url, body) != body:
                raise Conflict(f"another plan lies at {url}")

    async def slice(self, url: str, offset: int, length: int) -> bytes:
        async with self._faults.around("plans.slice"):
            if url not in self._blobs:
                raise NotFound(f"there is no plan at {url}")
            return self._blobs[url][offset : offset + length]

    async def delete(self, prefix: str) -> None:
        async with self._faults.around("plans.delete"):
            for url in [url for url in self._blobs if url.startswith(prefix)]:
                del self._blobs[url]

    async def urls(self, prefix: str = "") -> list[str]:
        async with self._faults.around("plans.urls"):
            return sorted(url for url in self._blobs if url.startswith(prefix))
