"""A few pages out of many, each as likely as the others, chosen while they are listed.

An increment trusts a diff. So before its commit a few of the pages that source and replica both
have are read from both (invariant 32). Which ones is chosen in one pass, without remembering what
has been seen: of a stretch of `n` bytes that grows, a byte chosen evenly stays chosen until
`n / u` have been seen, for `u` even in (0, 1]; the one seen then takes its place.
"""

from collections.abc import Iterable
from random import Random

from shared.model.ranges import PageRange, Span

SAMPLE_BYTES = 4096
"""How much is read at a chosen place: a file system's block."""


class Sampler:
    """Chooses `count` places out of ranges that come in disk order; the same ones for the same
    `seed` and ranges."""

    def __init__(self, seed: str, count: int) -> None:
        self._random = Random(seed)  # noqa: S311
        self._seen = 0
        self._next = [0.0] * count
        self._chosen: list[PageRange | None] = [None] * count

    def see(self, ranges: Iterable[Span]) -> None:
        """Takes the next ranges into account."""
        for start, end in ranges:
            seen, self._seen = self._seen, self._seen + end - start
            for place, reached in enumerate(self._next):
                if reached < self._seen:
                    self._choose(place, start, end, seen)

    def _choose(self, place: int, start: int, end: int, seen: int) -> None:
        at = self._next[place]
        while at < self._seen:
            chosen = start + int(at) - seen
            at = max(at, 1.0) / (1.0 - self._random.random())
        self._next[place] = at
        block = chosen // SAMPLE_BYTES * SAMPLE_BYTES
        self._chosen[place] = PageRange(max(start, block), min(end, block + SAMPLE_BYTES))

    @property
    def chosen(self) -> list[PageRange]:
        """The places as they stand, in disk order, each once; fewer where there is less."""
        return sorted({each for each in self._chosen if each is not None})
