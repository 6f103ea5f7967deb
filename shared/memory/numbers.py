"""Numbers that never come again."""

from dataclasses import dataclass


@dataclass
class Numbers:
    """1, 2, 3, …: as `itertools.count`, but copied with what it belongs to, in every Python."""

    last: int = 0

    def __next__(self) -> int:
        self.last += 1
        return self.last
