"""What a consistency check found: kept in its job, for people to read."""

from dataclasses import dataclass

from shared.model.ids import PointId
from shared.model.ranges import Span


@dataclass(frozen=True, kw_only=True)
class Findings:
    """`point` is the one whose copy in the vault was compared with its source. `ranges` are where
    they differed, exactly or, where that is many places, including what lies between.
    `dirty` ranges are those where only the replica itself had been written to: no point's bytes.
    `suspects` are the points that still hold damaged pages."""

    point: PointId
    compared_bytes: int = 0
    differing_bytes: int = 0
    ranges: tuple[Span, ...] = ()
    dirty: bool = False
    suspects: tuple[PointId, ...] = ()
    healed: bool = False
