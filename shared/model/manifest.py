"""A point's manifest: what was written into the replica, with the checksums that storage returned.

It lies beside the replica in many small blobs, one for each stretch of a part that was reported as
done (invariant 28), all under the job's prefix. A record has 32 bytes, little-endian: where it
starts on the disk (64 bits); its length in pages (48 bits), its kind and its algorithm (8 each);
its checksum (16 bytes, filled up with zeros).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter

from shared.model.ids import DiskUrl, Epoch, JobId
from shared.model.ranges import PAGE_BYTES, PageRange, Span, subtract, union

RECORD_BYTES = 32
_RECORD = struct.Struct("<QQ16s")


class Algorithm(IntEnum):
    """How storage summed up the bytes that it stored."""

    NONE = 0
    MD5 = 1
    CRC64 = 2


DIGEST_BYTES = {Algorithm.NONE: 0, Algorithm.MD5: 16, Algorithm.CRC64: 8}


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of the bytes of one write, as the storage service returned it."""

    algorithm: Algorithm
    digest: bytes


NO_CHECKSUM = Checksum(Algorithm.NONE, b"")
"""Of a clear, and of a write that was answered without one."""


class Kind(IntEnum):
    """How a range of the replica came to be as it is."""

    CLEARED = 0
    COPIED = 1
    """By the storage service itself."""
    STREAMED = 2
    """Through a worker."""
    COMPARED = 3
    """Nothing was written: source and image were read."""
    DIFFERS = 4
    """Nor here: they were found different."""

    @property
    def written(self) -> bool:
        """Whether it is a write, and so for the manifest."""
        return self <= Kind.STREAMED


@dataclass(frozen=True, slots=True)
class Record:
    """One write that storage has confirmed; the range is of the disk, not of an extent."""

    range: PageRange
    kind: Kind
    checksum: Checksum = NO_CHECKSUM


def manifest_of(replica: DiskUrl, job: JobId | str = "") -> str:
    """Where the manifests of a replica's jobs lie; that of one job where it is named."""
    return f"{replica}.manifests/{job}/" if job else f"{replica}.manifests/"


@dataclass(frozen=True, order=True)
class Leaf:
    """One blob of a manifest: what epoch, part, and operations `[first, last)` of the plan it is
    about. Sorted by the order of writing: what comes later overwrites what came before."""

    epoch: Epoch
    part: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Its own for every stretch, so that no run of a part overwrites what another reported."""
        return f"{self.epoch}-{self.part}-{self.first}-{self.last}"

    @classmethod
    def named(cls, name: str) -> "Leaf":
        """The leaf of that name. Raises `ValueError`."""
        epoch, part, first, last = (int(word) for word in name.split("-"))
        return cls(Epoch(epoch), part, first, last)


def encode(records: Iterable[Record]) -> bytes:
    """The records as a leaf holds them."""
    return b"".join(_packed(record) for record in records)


def decode(leaf: bytes) -> list[Record]:
    """The records of a leaf. Raises `ValueError` where it is none."""
    if len(leaf) % RECORD_BYTES:
        raise ValueError(f"{len(leaf)} bytes are no manifest: records have {RECORD_BYTES} each")
    return [_unpacked(*words) for words in _RECORD.iter_unpack(leaf)]


def standing(leaves: Sequence[Sequence[Record]]) -> list[Record]:
    """Of leaves in the order of writing, the records that nothing overwrote later, by place:
    their checksums hold for what the replica's snapshot has there."""
    written: list[Span] = []
    stands: list[Record] = []
    for leaf in reversed(leaves):
        ranges = sorted(record.range for record in leaf)
        untouched = set(subtract(ranges, written))
        stands += [record for record in leaf if record.range in untouched]
        written = union(written, ranges)
    return sorted(stands, key=attrgetter("range"))


def _packed(record: Record) -> bytes:
    start, end = record.range
    about = (end - start) // PAGE_BYTES << 16 | record.kind << 8 | record.checksum.algorithm
    return _RECORD.pack(start, about, record.checksum.digest)


def _unpacked(start: int, about: int, padded: bytes) -> Record:
    algorithm = Algorithm(about & 0xFF)
    range_ = PageRange(start, start + (about >> 16) * PAGE_BYTES)
    checksum = Checksum(algorithm, padded[: DIGEST_BYTES[algorithm]])
    return Record(range_, Kind(about >> 8 & 0xFF), checksum)
