"""A disk image file as blocks: what it holds, and what differs between two of its states."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from shared.model.ranges import Change, ChangedRange, PageRange

BLOCK_BYTES = 4096
"""The file system's block, and so the unit in which the image changes."""
HOLE = b""
"""Stands for a block of zeros; any other block is told by its digest."""

_CHUNK_BYTES = 1024 * BLOCK_BYTES
_ZEROS = bytes(BLOCK_BYTES)


@dataclass(frozen=True)
class Survey:
    """A state of an image: the SHA-256 of all of it, and a digest, or `HOLE`, a block."""

    sha256: str
    blocks: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        return len(self.blocks) * BLOCK_BYTES


def survey(image: Path) -> Survey:
    """The image as it is now; its size is whole blocks."""
    whole = hashlib.sha256()
    blocks: list[bytes] = []
    for chunk in _chunks(image):
        whole.update(chunk)
        blocks += map(_digest, _blocks(chunk))
    return Survey(whole.hexdigest(), tuple(blocks))


def sha256_of(image: Path) -> str:
    """The SHA-256 of the whole image, holes as zeros."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blank(size_bytes: int) -> tuple[bytes, ...]:
    """The blocks of an image of zeros."""
    return (HOLE,) * (size_bytes // BLOCK_BYTES)


def differences(before: Sequence[bytes], after: Sequence[bytes]) -> list[ChangedRange]:
    """What turns the one state's blocks into the other's, in disk order and neighbours joined:
    blocks that became zeros are cleared, others written."""
    changes = enumerate(map(_change, before, after))
    runs = groupby(changes, key=lambda numbered: numbered[1])
    return [
        ChangedRange(_range([number for number, _ in run]), change)
        for change, run in runs
        if change
    ]


def _change(before: bytes, after: bytes) -> Change | None:
    if before == after:
        return None
    return Change.CLEARED if after == HOLE else Change.WRITTEN


def _range(numbers: Sequence[int]) -> PageRange:
    return PageRange(numbers[0] * BLOCK_BYTES, (numbers[-1] + 1) * BLOCK_BYTES)


def _chunks(image: Path) -> Iterator[bytes]:
    with image.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _blocks(chunk: bytes) -> Iterator[bytes]:
    for start in range(0, len(chunk), BLOCK_BYTES):
        yield chunk[start : start + BLOCK_BYTES]


def _digest(block: bytes) -> bytes:
    return HOLE if block == _ZEROS else hashlib.blake2b(block, digest_size=16).digest()
