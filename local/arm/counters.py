"""What was asked of the fake, by operation: benchmarks and budgets are read off these."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class _Key:
    operation: str
    method: str
    status: int


class Counters:
    """Requests since the start, by operation, method and status."""

    def __init__(self) -> None:
        self._counts: Counter[_Key] = Counter()

    def count(self, operation: str, method: str, status: int) -> None:
        self._counts[_Key(operation, method, status)] += 1

    def as_json(self) -> list[dict[str, str | int]]:
        """Rows in order of operation, method and status."""
        return [
            {**vars(key), "requests": number}
            for key, number in sorted(self._counts.items(), key=lambda row: row[0])
        ]

    def clear(self) -> None:
        self._counts.clear()
