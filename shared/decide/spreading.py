"""The order in which the parts of a plan go out.

One page blob takes about 60 MiB a second. Parts in disk order would all go to the first extent of
a replica, then all to the second; dealt out over the extents they use every blob at once.
"""

from collections.abc import Iterable
from itertools import chain, groupby, zip_longest

from shared.model.plan import Part

Numbered = tuple[int, Part]


def spread(parts: Iterable[Numbered], extent_bytes: int) -> list[Numbered]:
    """The parts, given in disk order, dealt out: one of each extent, then another of each."""
    piles = [
        list(pile) for _, pile in groupby(parts, key=lambda each: each[1].start // extent_bytes)
    ]
    return [each for each in chain.from_iterable(zip_longest(*piles)) if each is not None]
