"""The planner against the plainest planner there is: a page at a time, over sets of pages.

Images are a letter a page. Whatever the source, its diff, the replica's strays and the cost model
are: the plan, carried out, leaves the source's bytes *and* the source's allocation (invariants 2,
4 and 17).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide import coalescing
from shared.decide.coalescing import Coalescer, join
from shared.decide.copying import plan_audit, plan_increment, plan_region, plan_whole, strayed
from shared.decide.cost import CostModel, cost_model
from shared.model.extents import SEAT_BYTES
from shared.model.pace import Pace
from shared.model.plan import Op
from shared.model.ranges import Span

PAGES = 40
UNIT = 8
"""The tests' disks are this small, and so is what one copy moves; a page is 1 here."""

Image = dict[int, str]
"""The pages that are allocated, with their content."""

TIME_ALONE = CostModel(break_even_bytes=3, gap_share=float("inf"), listing_gaps=1)
MODELS = [
    TIME_ALONE,
    CostModel(break_even_bytes=3, gap_share=0.25, listing_gaps=1),
    CostModel(break_even_bytes=100, gap_share=1.0, listing_gaps=1),
    CostModel(break_even_bytes=0, gap_share=0, listing_gaps=1),
]

images = st.dictionaries(st.integers(0, PAGES - 1), st.sampled_from("abc\0"))
models = st.sampled_from(MODELS)


@pytest.fixture(autouse=True)
def _small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "TRANSFER_UNIT_BYTES", UNIT)


@dataclass(frozen=True)
class Scene:
    """A base that replica and source started from, the source since, and what strayed."""

    source: Image
    changes: list[Op]
    diverged: list[Op]
    replica: Image


def runs(pages: Iterable[int]) -> list[Span]:
    """The pages as merged ranges, as every listing gives them."""
    grouped = groupby(enumerate(sorted(pages)), key=lambda pair: pair[1] - pair[0])
    found = [[page for _, page in group] for _, group in grouped]
    return [(each[0], each[-1] + 1) for each in found]


def pages_of(spans: Iterable[Span]) -> set[int]:
    return {page for start, end in spans for page in range(start, end)}


def diff(before: Image, written: Iterable[int], cleared: Iterable[int]) -> list[Op]:
    gone = set(cleared) & set(before)
    return sorted([(*r, False) for r in runs(written)] + [(*r, True) for r in runs(gone)])


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Writes and clears by the source, others by a transfer that died, sizes that change."""
    size, old_size = draw(st.integers(1, PAGES)), draw(st.integers(1, PAGES))
    base = {page: letter for page, letter in draw(images).items() if page < old_size}
    inherited = {page: letter for page, letter in base.items() if page < size}
    within = st.sets(st.integers(0, size - 1))
    written, stray_written = draw(within), draw(within)
    cleared, stray_cleared = draw(within) - written, draw(within) - stray_written
    source = _changed(inherited, written, cleared, "N")
    replica = _changed(inherited, stray_written, stray_cleared, "?")
    return Scene(
        source=source,
        changes=diff(inherited, written, cleared),
        diverged=diff(inherited, stray_written, stray_cleared),
        replica=replica,
    )


def _changed(image: Image, written: set[int], cleared: set[int], letter: str) -> Image:
    kept = {page: old for page, old in image.items() if page not in cleared}
    return kept | dict.fromkeys(written, letter)


def carried_out(ops: Iterable[Op], source: Image, image: Image) -> Image:
    """What the image is once the storage service has done them: a copy allocates all its pages."""
    done = dict(image)
    for start, end, clear in ops:
        for page in range(start, end):
            done.pop(page, None)
            if not clear:
                done[page] = source.get(page, "\0")
    return done


def check_form(ops: Sequence[Op]) -> None:
    """In disk order, disjoint, not empty, no copy across a mark; neighbours of one kind are one
    request where they may be."""
    for (_, end, clear), (start, _, clears) in pairwise(ops):
        assert end <= start
        assert end < start or clear is not clears or (not clear and start % UNIT == 0)
    for start, end, clear in ops:
        assert start < end
        assert clear or start // UNIT == (end - 1) // UNIT


def simple_increment(scene: Scene) -> dict[int, bool]:
    """Page by page: whether it is cleared (True) or copied (False)."""
    told = {page: clear for *span, clear in scene.changes for page in range(*span)}
    stray = {page for *span, _ in scene.diverged for page in range(*span)} - set(told)
    return told | {page: page not in scene.source for page in stray}


@given(scenes(), models, st.booleans())
def test_an_increment_leaves_the_source(scene: Scene, cost: CostModel, asked: bool) -> None:
    stray = strayed(scene.diverged, scene.changes)
    source = runs(scene.source) if asked or stray else None
    work = plan_increment(scene.changes, stray, source or ())
    ops = list(join(work, source, cost))
    check_form(ops)
    assert carried_out(ops, scene.source, scene.replica) == scene.source
    wanted = simple_increment(scene)
    touched = {page: clear for *span, clear in ops for page in range(*span)}
    assert wanted.items() <= touched.items()
    for page in touched.keys() - wanted.keys():
        assert asked or stray
        assert touched[page] == (page not in scene.source)
    if source is not None:
        assert ops == list(join(canonical(work), source, cost))


def canonical(work: Sequence[Op]) -> list[Op]:
    """The same work, neighbours of one kind as one operation."""
    kinds = {
        c: runs(page for *span, clear in work if clear is c for page in range(*span))
        for c in (False, True)
    }
    return sorted((*span, clear) for clear, spans in kinds.items() for span in spans)


@given(scenes(), models)
def test_a_whole_copy_leaves_the_source(scene: Scene, cost: CostModel) -> None:
    source, image = runs(scene.source), runs(scene.replica)
    ops = list(join(plan_whole(source, image), source, cost))
    check_form(ops)
    assert carried_out(ops, scene.source, scene.replica) == scene.source
    assert sum(end - start for start, end, clear in ops if not clear) == len(scene.source)


@given(scenes(), models)
def test_an_audit_makes_the_allocation_alike(scene: Scene, cost: CostModel) -> None:
    """It finds something exactly where the allocation differs."""
    source, image = runs(scene.source), runs(scene.replica)
    work = plan_audit(source, image)
    assert bool(work) == (source != image)
    ops = list(join(work, source, cost))
    check_form(ops)
    assert carried_out(ops, scene.source, scene.replica).keys() == scene.source.keys()


@given(scenes(), st.sets(st.integers(0, PAGES - 1)), models)
def test_a_region_becomes_like_the_source(scene: Scene, more: set[int], cost: CostModel) -> None:
    """Where the region covers all that differs, everything is as in the source."""
    region = more | {
        page
        for page in scene.source.keys() | scene.replica.keys()
        if scene.source.get(page) != scene.replica.get(page)
    }
    source = runs(scene.source)
    ops = list(join(plan_region(runs(region), source), source, cost))
    check_form(ops)
    assert carried_out(ops, scene.source, scene.replica) == scene.source


@given(scenes(), models)
def test_the_plan_is_the_cheapest(scene: Scene, cost: CostModel) -> None:
    """Of all ways to move some of the gaps along, none needs fewer requests by the model's rule,
    nor the same number with fewer bytes."""
    source = runs(scene.source)
    work = plan_region(runs(page for *span, _ in scene.changes for page in range(*span)), source)
    ops = list(join(work, source, cost))
    gaps = [*allowed_gaps(work, source, cost)]
    requests, moved = measure(ops)
    for some in chain.from_iterable(combinations(gaps[:6], n) for n in range(len(gaps[:6]) + 1)):
        other_requests, other_moved = measure(merged(work, (*some, *gaps[6:])))
        assert (requests, moved) <= (other_requests, other_moved)


def allowed_gaps(work: Sequence[Op], source: Sequence[Span], cost: CostModel) -> Iterator[Op]:
    """The gaps that may be moved along, found page by page."""
    held = pages_of(source)
    pieces = [*cut(work)]
    for (a, b, clear), (c, d, clears) in pairwise(pieces):
        gap = set(range(b, c))
        if clear is not clears or not gap:
            continue
        if clear and not gap & held:
            yield b, c, True
        if not clear and gap <= held and a // UNIT == c // UNIT and cost.joins(c - b, b - a, d - c):
            yield b, c, False


def cut(work: Iterable[Op]) -> Iterator[Op]:
    """The work in pieces that no copy would exceed."""
    for start, end, clear in work:
        marks = [] if clear else range((start // UNIT + 1) * UNIT, end, UNIT)
        for first, last in pairwise([start, *marks, end]):
            yield first, last, clear


def merged(work: Iterable[Op], gaps: Iterable[Op]) -> list[Op]:
    """The pieces with these gaps moved along."""
    done: list[Op] = []
    for start, end, clear in sorted([*cut(work), *gaps]):
        before = done[-1] if done else None
        together = before and before[1] == start and before[2] is clear
        if before and together and (clear or before[0] // UNIT == start // UNIT):
            done[-1] = (before[0], end, clear)
        else:
            done.append((start, end, clear))
    return done


def measure(ops: Sequence[Op]) -> tuple[int, int]:
    return len(ops), sum(end - start for start, end, clear in ops if not clear)


@given(scenes(), st.sampled_from([model for model in MODELS if model is not TIME_ALONE]))
def test_gaps_stay_within_their_share(scene: Scene, cost: CostModel) -> None:
    source = runs(scene.source)
    work = plan_region(runs(page for *span, _ in scene.changes for page in range(*span)), source)
    _, wanted = measure(work)
    _, moved = measure(list(join(work, source, cost)))
    assert moved <= wanted * (1 + cost.gap_share)


@given(scenes(), st.sets(st.integers(1, PAGES // UNIT)), models)
def test_windows_change_nothing(scene: Scene, seams: set[int], cost: CostModel) -> None:
    """Planned window by window the copies are the same, and clears take at most one request more
    a window."""
    source = runs(scene.source)
    differing = (*scene.changes, *scene.diverged)
    region = runs(page for *span, _ in differing for page in range(*span))
    whole = list(join(plan_region(region, source), source, cost))
    coalescer, ops = Coalescer(cost), list[Op]()
    ends = sorted({seam * UNIT for seam in seams} | {PAGES})
    for start, end in pairwise([0, *ends]):
        ours = within(source, start, end)
        ops += coalescer.requests(plan_region(within(region, start, end), ours), ours)
    ops += coalescer.rest()
    check_form(ops)
    assert [op for op in ops if not op[2]] == [op for op in whole if not op[2]]
    assert carried_out(ops, scene.source, scene.replica) == scene.source
    assert len(ops) <= len(whole) + len(ends) - 1


def within(spans: Iterable[Span], first: int, last: int) -> list[Span]:
    return runs(pages_of(spans) & set(range(first, last)))


def test_a_run_in_two_pieces_vouches_for_its_gap_as_one() -> None:
    """As where a stray lies beside a change."""
    work: list[Op] = [(0, 2, False), (2, 4, False), (5, 8, False)]
    generous = CostModel(break_even_bytes=3, gap_share=0.3, listing_gaps=1)
    strict = CostModel(break_even_bytes=3, gap_share=0.28, listing_gaps=1)
    assert list(join(work, [(0, 8)], generous)) == [(0, 8, False)]
    assert list(join(work, [(0, 8)], strict)) == [(0, 4, False), (5, 8, False)]


def test_the_default_model_is_the_limits_page() -> None:
    """500 requests and 60 MiB a second: a request costs about 123 KiB."""
    cost = cost_model(Pace())
    assert round(cost.break_even_bytes / 1024) == 123
    large = 4 * 1024 * 1024
    assert cost.joins(122 * 1024, large, large)
    assert not cost.joins(124 * 1024, large, large)
    assert cost.joins(1024, 4096, 4096)
    assert not cost.joins(1536, 4096, 4096)


@dataclass
class Many:
    """Ranges of one length and one gap, and how many of the latter are worth a listing."""

    run: int
    gap: int
    clear: bool = False
    ops: list[Op] = field(default_factory=list)

    def made(self, count: int) -> list[Op]:
        step = self.run + self.gap
        return [(at * step, at * step + self.run, self.clear) for at in range(count)]


def test_a_listing_is_asked_for_where_it_saves_more_than_it_costs() -> None:
    cost = cost_model(Pace())
    kib = 1024
    assert cost.worth_listing(Many(64 * kib, 8 * kib).made(51))
    assert not cost.worth_listing(Many(64 * kib, 8 * kib).made(50))
    assert not cost.worth_listing(Many(64 * kib, 32 * kib).made(500))
    assert not cost.worth_listing(Many(4 * kib, 4 * kib).made(500))
    assert cost.worth_listing(Many(4 * kib, 4 * kib, clear=True).made(500))
    assert not cost.worth_listing([])


def test_clears_of_two_disks_of_a_machine_are_two() -> None:
    """What is between them is none of either: it is neither cleared nor counted as that."""
    clears = [(SEAT_BYTES - 1024, SEAT_BYTES - 512, True), (SEAT_BYTES, SEAT_BYTES + 512, True)]
    assert list(join(clears, [], TIME_ALONE)) == clears
