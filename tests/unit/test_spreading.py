"""Parts are dealt out over the extents of a replica."""

from hypothesis import given
from hypothesis import strategies as st

from shared.decide.spreading import spread
from shared.model.plan import Draft, Part, decode_index

MIB = 1024 * 1024


def parts(*starts: int) -> list[tuple[int, Part]]:
    return [(n, Part(n, n + 1, start)) for n, start in enumerate(starts)]


def test_one_of_each_extent_then_another_of_each() -> None:
    dealt = spread(parts(0, 1, 2, 10, 11, 20), extent_bytes=10)
    assert [part.start for _, part in dealt] == [0, 10, 20, 1, 11, 2]


@given(st.lists(st.integers(0, 99), unique=True).map(sorted), st.integers(1, 120))
def test_every_part_goes_out_once(starts: list[int], extent_bytes: int) -> None:
    given_parts = parts(*starts)
    assert sorted(spread(given_parts, extent_bytes)) == given_parts


def test_the_index_says_where_parts_begin() -> None:
    draft = Draft()
    draft.add((n * 4 * MIB, (n + 1) * 4 * MIB, False) for n in range(10, 150))
    blob = b"".join([*draft.blocks(), draft.rest()])
    offset, length = draft.reference("plan").index_slice
    index = decode_index(blob[offset : offset + length])
    assert len(index) == 3
    assert [part.start for part in index] == [4 * MIB * (10 + part.first) for part in index]
