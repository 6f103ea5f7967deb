"""Samples: even, deterministic, within what was shown, chosen in one pass."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shared.decide.sampling import SAMPLE_BYTES, Sampler
from shared.model.ranges import Span, merge

PAGES = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=30)


def spans(pages: list[tuple[int, int]]) -> list[Span]:
    return list(merge(sorted((512 * start, 512 * (start + size)) for start, size in pages)))


def sampled(seed: str, count: int, ranges: list[Span]) -> list[Span]:
    sampler = Sampler(seed, count)
    sampler.see(ranges)
    return [tuple(each) for each in sampler.chosen]  # type: ignore[misc]


@given(PAGES, st.integers(0, 8))
def test_samples_are_blocks_of_what_was_shown(pages: list[tuple[int, int]], count: int) -> None:
    ranges = spans(pages)
    chosen = sampled("a job", count, ranges)
    assert len(chosen) <= count
    assert bool(chosen) == bool(ranges and count)
    for start, end in chosen:
        assert 0 < end - start <= SAMPLE_BYTES
        assert start // SAMPLE_BYTES == (end - 1) // SAMPLE_BYTES
        assert any(first <= start and end <= last for first, last in ranges)


@given(PAGES)
def test_the_same_job_samples_the_same_however_the_listing_is_cut(
    pages: list[tuple[int, int]],
) -> None:
    ranges = spans(pages)
    by_one = Sampler("a job", 4)
    for each in ranges:
        by_one.see([each])
    assert sampled("a job", 4, ranges) == [tuple(each) for each in by_one.chosen]


def test_every_block_is_as_likely_as_the_others() -> None:
    """1,000 samples over 40 blocks in three ranges: each is met about 25 times."""
    ranges = [(0, 10 * SAMPLE_BYTES), (20 * SAMPLE_BYTES, 49 * SAMPLE_BYTES), (1 << 30, 1 << 30)]
    ranges = [*ranges[:2], (1 << 30, (1 << 30) + SAMPLE_BYTES)]
    met = Counter(start for seed in range(1000) for start, _ in sampled(str(seed), 1, ranges))
    assert len(met) == 40
    assert 8 <= min(met.values()) <= max(met.values()) <= 50


def test_another_job_or_round_samples_elsewhere() -> None:
    ranges = [(0, 1 << 30)]
    assert sampled("job 1", 4, ranges) != sampled("job 2", 4, ranges)


def test_enough_samples_cover_a_small_disk() -> None:
    """What fault 1's test relies on."""
    blocks = 16
    assert len(sampled("a job", 400, [(0, blocks * SAMPLE_BYTES)])) == blocks
