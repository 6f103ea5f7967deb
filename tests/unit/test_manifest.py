"""Manifests: 32 bytes a record, and which records still hold where rounds overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.ids import DiskUrl, Epoch
from shared.model.manifest import (
    DIGEST_BYTES,
    RECORD_BYTES,
    Algorithm,
    Checksum,
    Kind,
    Leaf,
    Record,
    decode,
    encode,
    manifest_of,
    standing,
)
from shared.model.ranges import PAGE_BYTES, PageRange

PAGES = 40


@st.composite
def checksums(draw: st.DrawFn) -> Checksum:
    algorithm = draw(st.sampled_from(Algorithm))
    size = DIGEST_BYTES[algorithm]
    return Checksum(algorithm, draw(st.binary(min_size=size, max_size=size)))


def spans(most: int) -> st.SearchStrategy[PageRange]:
    pairs = st.tuples(st.integers(0, most - 1), st.integers(1, most))
    return pairs.map(lambda p: PageRange(p[0] * PAGE_BYTES, (p[0] + p[1]) * PAGE_BYTES))


records = st.builds(Record, spans(2**33), st.sampled_from(Kind), checksums())


@given(st.lists(records, max_size=20))
def test_what_is_written_is_read(written: list[Record]) -> None:
    body = encode(written)
    assert len(body) == RECORD_BYTES * len(written)
    assert decode(body) == written


def test_a_torn_leaf_is_refused() -> None:
    with pytest.raises(ValueError, match="no manifest"):
        decode(b"\0" * 33)


def test_a_leaf_s_name_says_what_it_is_about() -> None:
    leaf = Leaf(Epoch(7), 3, 0, 2000)
    assert leaf.name == "7-3-0-2000"
    assert Leaf.named(leaf.name) == leaf
    assert sorted([Leaf(Epoch(10), 0, 0, 1), Leaf(Epoch(9), 5, 7, 8), leaf])[0] == leaf


def test_manifests_lie_beside_the_replica() -> None:
    replica = DiskUrl("https://vault.example/vault/os")
    assert manifest_of(replica) == f"{replica}.manifests/"
    assert manifest_of(replica, "os.backup-1") == f"{replica}.manifests/os.backup-1/"


leaves = st.lists(
    st.lists(spans(PAGES), max_size=5).map(
        lambda ranges: [
            each
            for n, each in enumerate(sorted(ranges))
            if all(before.end <= each.start for before in sorted(ranges)[:n])
        ]
    ),
    max_size=6,
)


@given(leaves)
def test_what_stands_is_what_nothing_overwrote(ranges: list[list[PageRange]]) -> None:
    """Against a model of who wrote each page last."""
    every = [
        [
            Record(each, Kind.COPIED, Checksum(Algorithm.CRC64, bytes([number, at] * 4)))
            for at, each in enumerate(leaf)
        ]
        for number, leaf in enumerate(ranges)
    ]
    last: dict[int, Record] = {}
    for leaf in every:
        for record in leaf:
            last.update(dict.fromkeys(range(*record.range, PAGE_BYTES), record))
    whole = {
        record
        for leaf in every
        for record in leaf
        if all(last[page] is record for page in range(*record.range, PAGE_BYTES))
    }
    found = standing(every)
    assert set(found) == whole
    assert [each.range for each in found] == sorted(each.range for each in found)
