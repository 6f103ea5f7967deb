"""Operations that look before they write, or look alone: both sides are read and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import ClassVar

from shared.decide.comparing import differing, joined
from shared.model.extents import Image, piece
from shared.model.manifest import Kind, Record
from shared.model.ranges import PageRange
from shared.steps.side_by_side import side_by_side
from shared.steps.ways import Copy, Site, StreamedCopy


class Looks(Enum):
    """Whether an errand's copies read both sides."""

    NEVER = auto()
    FIRST = auto()
    """Only what differs is copied."""
    ONLY = auto()
    """Nothing is written."""


@dataclass(frozen=True)
class Repair:
    """Puts a range right whose bytes at the source are at hand: by the storage service, or, where
    that does not read this source, with these bytes."""

    copy: Copy
    streamed: StreamedCopy

    async def __call__(self, range_: PageRange, body: bytes) -> Sequence[Record]:
        if self.copy.streams:
            return await self.streamed.put(range_, body)
        return await self.copy(range_)


@dataclass(frozen=True)
class Compare:
    """Two reads at the same time, and, with a repair, a write for each place that differs: memory
    for both blocks."""

    holds_bytes: ClassVar[bool] = True
    site: Site
    repair: Repair | None

    async def __call__(self, range_: PageRange) -> Sequence[Record]:
        images = (self.site.source, self.site.target)
        ours, theirs = await side_by_side(images, lambda image: self._read(image, range_))
        places = [PageRange(*span) for span in differing(ours, theirs, range_.start)]
        records = [Record(range_, Kind.COMPARED)]
        records += [Record(place, Kind.DIFFERS) for place in places]
        if self.repair is not None:
            for start, end in joined(places):
                body = ours[start - range_.start : end - range_.start]
                records += await self.repair(PageRange(start, end), body)
        return records

    async def _read(self, image: Image, range_: PageRange) -> bytes:
        extent, local = piece(image, range_)
        read = partial(self.site.ports.disks.read, extent.held, local)
        return await self.site.traffic.send(extent.url, read)
