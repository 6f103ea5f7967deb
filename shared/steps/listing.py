"""Range listings, read to their end and counted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Tally:
    """Counts the requests of one step."""

    requests: int = 0

    async def all(self, pages: AsyncIterator[list[T]]) -> list[T]:
        """Everything that the pages hold; a request each."""
        found: list[T] = []
        async for page in pages:
            self.requests += 1
            found += page
        return found
