"""Where two images differ, what of that is remembered, and when a check follows."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.policy import parse_policy
from shared.decide.check import CHECKS_LIMIT, check_checkable, following_check
from shared.decide.comparing import PLACES_KEPT, WHOLE, coarse, differing, joined
from shared.decide.suspicion import must_look
from shared.decide.transfer import choose_base
from shared.model.errors import Invalid
from shared.model.ids import JobId
from shared.model.item import Base
from shared.model.job import Operation
from shared.model.point import Kind
from shared.model.policy import Checks
from shared.model.ranges import Span, subtract
from shared.model.transfer import Transfer
from tests.unit.cli_world import ITEM, NOW, base_of, item, point

TIB = 1024**4
PAGES = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 40)), max_size=300)


def spans(pages: list[tuple[int, int]]) -> list[Span]:
    return [(512 * start, 512 * (start + size)) for start, size in pages]


@given(st.sets(st.integers(0, 4095), max_size=40), st.integers(1, 4096))
def test_differing_pages_are_found_exactly(wrong: set[int], pages: int) -> None:
    ours = Random(1).randbytes(512 * pages)
    theirs = bytearray(ours)
    start, wrong = 1 << 30, {page for page in wrong if page < pages}
    for page in wrong:
        theirs[page * 512 + page % 512] ^= 1
    found = differing(ours, bytes(theirs), start)
    assert {p for a, b in found for p in range((a - start) // 512, (b - start) // 512)} == wrong
    assert all(before[1] < after[0] for before, after in pairwise(found))


@given(PAGES, st.integers(1, 40))
def test_of_many_places_nothing_is_forgotten(pages: list[tuple[int, int]], places: int) -> None:
    """The kept ranges cover all, are few, in order, and exact where there are few."""
    ranges = spans(pages)
    kept = coarse(ranges, places)
    assert len(kept) <= places
    assert list(subtract(sorted(ranges), kept)) == []
    assert list(kept) == sorted(kept)
    exact = coarse(ranges, 10_000)
    if len(exact) <= places:
        assert kept == exact


def test_what_is_joined_are_the_closest() -> None:
    far = [(0, 512), (1024, 1536), (1 << 20, (1 << 20) + 512), (1 << 30, (1 << 30) + 512)]
    assert coarse(far, 3) == ((0, 1536), *far[2:])
    assert coarse(far, 1) == ((0, (1 << 30) + 512),)
    many = [(n * 8192, n * 8192 + 512) for n in range(5000)]
    assert len(coarse(many)) == PLACES_KEPT


@given(PAGES)
def test_what_is_repaired_together_covers_what_differs(pages: list[tuple[int, int]]) -> None:
    ranges = list(coarse(spans(pages), 10_000))
    repairs = list(joined(ranges))
    assert list(subtract(ranges, repairs)) == []
    assert len(repairs) <= len(ranges)


# ---------------------------------------------------------------- when


BACKUP = JobId(f"{ITEM}.backup-20261121t020000z")


def follows(
    wanted: Checks, kind: Kind, days_ago: int | None = None, under_way: tuple[JobId, ...] = ()
) -> str:
    at = None if days_ago is None else NOW - timedelta(days=days_ago)
    known = item(checked_at=at, checks=under_way)
    job = following_check(wanted, known, BACKUP, kind, NOW)
    return f"{job.operation} {job.id}" if job else ""


def test_a_full_copy_is_followed_by_a_verification_unless_the_policy_says_no() -> None:
    wanted = f"{Operation.VERIFY} {ITEM}.verify-20261121t020000z"
    assert follows(Checks(), Kind.FULL) == wanted
    assert follows(Checks(), Kind.INCREMENTAL) == ""
    assert follows(Checks(initial=False), Kind.FULL) == ""


@pytest.mark.parametrize(("days", "due"), [(29, False), (30, True), (None, True)])
def test_a_check_is_due_after_so_many_days(days: int | None, due: bool) -> None:
    """An item that was never checked counts from its protection on, 60 days ago here."""
    checks = Checks(initial=False, every_days=30)
    wanted = f"{Operation.CONSISTENCY_CHECK} {ITEM}.check-20261121t020000z" if due else ""
    assert follows(checks, Kind.INCREMENTAL, days) == wanted
    assert follows(checks, Kind.INCREMENTAL, days, (JobId(f"{ITEM}.check-1"),)) == ""


def test_a_policys_checks() -> None:
    document = {"name": "gold", "schedule": {"frequency": "daily", "at": ["02:00"]}}
    document |= {"retention": {"daily": {"keep": 30}}}
    assert parse_policy(document).checks == Checks(initial=True, every_days=None)
    assert "checks" not in parse_policy(document).document
    given = parse_policy({**document, "checks": {"every_days": 7}})
    assert given.checks == Checks(initial=True, every_days=7)
    assert given.document["checks"] == {"initial": True, "every_days": 7}
    with pytest.raises(Invalid, match=r"every_days must be a whole number from 1 to 366"):
        parse_policy({**document, "checks": {"every_days": 0}})


def test_what_can_be_checked() -> None:
    based = item(base=base_of(point(NOW)))
    assert check_checkable(based) == based.base
    with pytest.raises(Invalid, match="no point in the vault"):
        check_checkable(item())
    busy = tuple(JobId(f"{ITEM}.check-{n}") for n in range(CHECKS_LIMIT))
    with pytest.raises(Invalid, match="checks"):
        check_checkable(replace(based, checks=busy))


# ---------------------------------------------------------------- which base


def transfer(base: Base, size: int) -> Transfer:
    snapshot = replace(base.source, id="later", size_bytes=size)
    return Transfer(
        job_id=BACKUP,
        epoch=1,  # type: ignore[arg-type]
        snapshot=snapshot,
        base=base,
        kind=Kind.INCREMENTAL,
        started_at=NOW,
        progressed_at=NOW,
    )


@pytest.mark.parametrize(
    ("before", "after", "full"),
    [
        (4 * TIB, 4 * TIB + 512, True),
        (5 * TIB, 4 * TIB, True),
        (TIB, 4 * TIB, False),
        (5 * TIB, 6 * TIB, False),
        (6 * TIB, 5 * TIB, False),
    ],
)
def test_a_resize_across_4_tib_wants_a_full_copy(before: int, after: int, full: bool) -> None:
    base = base_of(point(NOW))
    base = replace(base, source=replace(base.source, size_bytes=before))
    choice = choose_base(item(base=base), transfer(base, after))
    assert (choice.base is None) is full
    assert ("4 TiB" in choice.reason) is full


def test_a_suspicion_is_looked_into_once() -> None:
    base = base_of(point(NOW))
    moving = transfer(base, base.source.size_bytes)
    sound, suspect = item(base=base), item(base=base, suspect=((0, 512),))
    assert not must_look(sound, moving)
    assert must_look(suspect, moving)
    assert not must_look(suspect, replace(moving, suspected=((0, 512),)))
    assert must_look(replace(suspect, suspect=WHOLE), replace(moving, suspected=((0, 512),)))
    assert not must_look(suspect, replace(moving, kind=Kind.FULL))
