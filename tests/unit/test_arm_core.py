"""The fake ARM's core: time, state, routes, rates, faults."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.arm.answers import Answer, throttled
from local.arm.clock import Clock, stamp, ticks
from local.arm.faults import Faults, parse_fault
from local.arm.principals import principal_of
from local.arm.routing import Call, Route, Router, split_path
from local.arm.store import Store
from local.arm.throttling import Bucket, Rate, Throttle, limits_from, take

START = datetime(2024, 8, 26, 8, 2, 17, 876183, tzinfo=UTC)


def test_the_clock_runs_faster_and_goes_on_from_its_origin() -> None:
    wall = START
    clock = Clock(START, factor=60, wall=lambda: wall)
    assert clock.now() == START
    wall = START + timedelta(seconds=2)
    assert clock.now() == START + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("factor", "service_seconds", "wall_seconds"),
    [(1, 2, 2), (60, 60, 1), (60, 61, 2), (100, 0, 1)],
)
def test_retry_after_is_in_the_callers_seconds(
    factor: float, service_seconds: float, wall_seconds: int
) -> None:
    assert Clock(START, factor).to_wall_seconds(service_seconds) == wall_seconds


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (876183, "2024-08-26T08:02:17.876183+00:00"),
        (120000, "2024-08-26T08:02:17.12+00:00"),
        (0, "2024-08-26T08:02:17+00:00"),
    ],
)
def test_a_stamp_drops_its_trailing_zeros(microseconds: int, text: str) -> None:
    assert stamp(START.replace(microsecond=microseconds)) == text


def test_ticks_count_from_year_one() -> None:
    # Recorded beside a startTime of 2024-08-26T08:02:17.88.
    recorded = 638602561379980956
    assert abs(ticks(START) - recorded) < 2_000_000


def test_documents_survive_and_a_torn_line_does_not(tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.put("disks", "/a/D1", {"n": 1})
    first.put("disks", "/a/d1", {"n": 2})
    first.put("disks", "/a/d2", {"n": 3})
    first.delete("disks", "/A/D2")
    first.close()
    journal = tmp_path / "state.jsonl"
    journal.write_text(journal.read_text() + '["disks","/a/d3",{"n"')
    again = Store(tmp_path)
    assert list(again.scan("disks")) == [("/a/d1", {"n": 2})]
    again.put("disks", "/a/d4", {"n": 4})
    again.close()
    assert [key for key, _ in Store(tmp_path).scan("disks")] == ["/a/d1", "/a/d4"]


def test_opening_compacts_the_journal(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(100):
        store.put("disks", "/a", {"n": number})
    store.close()
    Store(tmp_path).close()
    assert len((tmp_path / "state.jsonl").read_text().splitlines()) == 1


def test_a_scan_sees_a_scope_and_not_its_neighbour() -> None:
    store = Store()
    for key in ("/g/one/x", "/g/one/y", "/g/one2/z"):
        store.put("k", key, {})
    assert [key for key, _ in store.scan("k", "/G/ONE/")] == ["/g/one/x", "/g/one/y"]


async def nothing(_: Call) -> Answer:
    return Answer()


def route(method: str, template: str) -> Route:
    return Route(method, template, f"{method} {template}", nothing)


ROUTER = Router(
    [
        route("GET", "/subscriptions/{subscription}/disks/special"),
        route("GET", "/subscriptions/{subscription}/disks/{name}"),
        route("PUT", "/subscriptions/{subscription}/disks/{name}"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/Subscriptions/S1/DISKS/d1", {"subscription": "S1", "name": "d1"}),
        ("GET", "/subscriptions/s/disks/Special", {"subscription": "s"}),
        ("PUT", "/subscriptions/s/disks/a%3Bb%2Fc", {"subscription": "s", "name": "a;b/c"}),
    ],
)
def test_a_path_is_matched_without_regard_to_case(
    method: str, path: str, params: dict[str, str]
) -> None:
    match = ROUTER.match(method, split_path(path))
    assert match is not None
    assert match.params == params


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/subscriptions/s/disks/d"), ("GET", "/subscriptions/s/disks/d/more")],
)
def test_what_fits_no_route_is_not_matched(method: str, path: str) -> None:
    assert ROUTER.match(method, split_path(path)) is None


def test_a_bucket_empties_and_fills() -> None:
    rate = Rate(burst=2, per_second=0.5)
    one = take(Bucket(2, START), rate, START)
    two = take(one.bucket, rate, START)
    refused = take(two.bucket, rate, START + timedelta(seconds=1))
    assert (one.remaining, two.remaining) == (1, 0)
    assert refused.wait_seconds == 1
    later = take(refused.bucket, rate, START + timedelta(seconds=2))
    assert later.wait_seconds == 0
    assert take(later.bucket, rate, START + timedelta(hours=1)).remaining == 1


def test_reads_and_writes_and_callers_have_buckets_of_their_own() -> None:
    throttle = Throttle(limits_from({"reads": (1, 1), "writes": (1, 1)}))
    asked = [("a", "GET"), ("a", "HEAD"), ("a", "PUT"), ("b", "GET")]
    waits = [throttle.take(who, "s", method, START) for who, method in asked]
    assert [bool(taken and taken.wait_seconds) for taken in waits] == [False, True, False, False]
    assert Throttle(None).take("a", "s", "GET", START) is None


def test_a_wait_below_a_second_is_told_as_one() -> None:
    assert "'1' seconds" in throttled("s", "GET/X/", 0.04).message


def faults(*documents: dict[str, Any]) -> Faults:
    found = Faults()
    found.add(list(documents))
    return found


def test_a_fault_waits_its_turn_and_fires_so_often() -> None:
    scripted = faults({"operation": "^Disks_", "skip": 1, "times": 2, "status": 500})
    fired = [scripted.take("Disks_Get", "GET", "/x") is not None for _ in range(4)]
    assert fired == [False, True, True, False]
    assert scripted.take("Snapshots_Get", "GET", "/x") is None
    assert scripted.counts() == [{"seen": 4, "fired": 2}]


def test_the_first_fault_that_fires_decides() -> None:
    scripted = faults({"status": 500}, {"status": 501})
    statuses = [scripted.take("A", "GET", "/") for _ in range(3)]
    assert [each.status if each else None for each in statuses] == [500, 501, None]


def test_a_hidden_resource_shows_after_so_many_looks() -> None:
    scripted = faults()
    scripted.hide("/A", 2)
    assert [scripted.hides("/a") for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("document", [{"explode": 1}, {"path": "("}])
def test_a_fault_that_is_none_is_named(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"explode|path"):
        parse_fault(document)


def test_the_caller_is_the_tokens_object_or_the_token_itself() -> None:
    # {"oid": "me"} without a signature.
    assert principal_of("Bearer h.eyJvaWQiOiAibWUifQ.s") == "me"
    assert principal_of("bearer plain") == principal_of("Bearer plain")
    assert principal_of("Bearer plain") != principal_of("Bearer other")
