"""What differs between two states of a disk image, block by block."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.demo.image import BLOCK_BYTES, HOLE, blank, differences, sha256_of, survey
from shared.model.ranges import Change, ChangedRange, PageRange

BLOCKS = st.sampled_from([HOLE, b"a", b"b"])


def _written(first: int, end: int) -> ChangedRange:
    return ChangedRange(PageRange(first * BLOCK_BYTES, end * BLOCK_BYTES), Change.WRITTEN)


def _cleared(first: int, end: int) -> ChangedRange:
    return ChangedRange(PageRange(first * BLOCK_BYTES, end * BLOCK_BYTES), Change.CLEARED)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("abc", "abc", []),
        ("abc", "axc", [_written(1, 2)]),
        ("abcd", "axyd", [_written(1, 3)]),
        ("abcd", "a..d", [_cleared(1, 3)]),
        ("ab.d", "ax.y", [_written(1, 2), _written(3, 4)]),
        ("abcd", "x.y.", [_written(0, 1), _cleared(1, 2), _written(2, 3), _cleared(3, 4)]),
        ("....", ".ab.", [_written(1, 3)]),
        ("", "", []),
    ],
)
def test_differences(before: str, after: str, changes: list[ChangedRange]) -> None:
    assert differences(_blocks(before), _blocks(after)) == changes


@given(st.lists(st.tuples(BLOCKS, BLOCKS), max_size=40))
def test_differences_turn_the_one_into_the_other(pairs: list[tuple[bytes, bytes]]) -> None:
    before, after = [old for old, _ in pairs], [new for _, new in pairs]
    changed = list(before)
    for each in differences(before, after):
        first, end = (at // BLOCK_BYTES for at in (each.range.start, each.range.end))
        assert before[first:end] != after[first:end]
        cleared = each.change is Change.CLEARED
        changed[first:end] = [HOLE] * (end - first) if cleared else after[first:end]
    assert changed == after


def test_a_survey_finds_holes_and_hashes_the_whole(tmp_path: Path) -> None:
    content = b"x" * BLOCK_BYTES + bytes(BLOCK_BYTES) + b"y" * (BLOCK_BYTES - 1) + b"\0"
    image = _image(tmp_path, content)
    found = survey(image)
    assert found.sha256 == sha256_of(image) == hashlib.sha256(content).hexdigest()
    assert [block == HOLE for block in found.blocks] == [False, True, False]
    assert found.blocks[0] != found.blocks[2]
    assert found.size_bytes == 3 * BLOCK_BYTES


def test_a_survey_of_more_than_one_chunk(tmp_path: Path) -> None:
    """The image is read in pieces; what lies behind the first keeps its place."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(2000 * BLOCK_BYTES)
        file.seek(1500 * BLOCK_BYTES)
        file.write(b"far")
    assert differences(blank(2000 * BLOCK_BYTES), survey(image).blocks) == [_written(1500, 1501)]


def _image(folder: Path, content: bytes) -> Path:
    image = folder / "image"
    image.write_bytes(content)
    return image


def _blocks(text: str) -> list[bytes]:
    return [HOLE if letter == "." else letter.encode() for letter in text]
