"""The window of a lane: what it does under any answers, and how much gets done through it."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.pacing import (
    LONGEST_REPEAT_SECONDS,
    LOWERED_TO,
    Window,
    opened,
    repeat_seconds,
)

MOST = 16
ROUND_TRIP = 0.05


def refused(window: Window, at: float, sent: float | None = None, under_way: int = MOST) -> Window:
    sent_at = at - ROUND_TRIP if sent is None else sent
    return window.refused(sent_at=sent_at, now=at, under_way=under_way)


answers = st.lists(
    st.one_of(
        st.none(),
        st.tuples(st.integers(1, MOST), st.none() | st.floats(0, 100)),
    ),
    max_size=300,
)


@given(answers)
def test_a_window_stays_within_its_bounds(answers: list[tuple[int, float | None] | None]) -> None:
    """Whatever a service answers: one request may always be sent, and never more than the most."""
    window, now = opened(MOST), 0.0
    for answer in answers:
        now += ROUND_TRIP / MOST
        before = window
        if answer is None:
            window = window.served()
            assert window.size >= before.size
            assert window.size - before.size <= 1 / before.size + 1e-9
        else:
            under_way, wait = answer
            window = window.refused(
                sent_at=now - ROUND_TRIP, now=now, under_way=under_way, wait_seconds=wait
            )
            assert window.size <= before.size
            assert window.open_at >= before.open_at
        assert 1 <= window.size <= MOST
        assert 0 <= window.refusals <= 1
        assert window.has_place(0)


@given(st.integers(2, 200), st.floats(0, 60))
def test_all_refusals_of_one_round_trip_are_one(times: int, wait: float) -> None:
    """However many requests that were under way together are refused, the window shrinks once."""
    window = opened(MOST)
    for number in range(times):
        window = window.refused(sent_at=0, now=1 + number / 1000, under_way=MOST, wait_seconds=wait)
    assert window.size == LOWERED_TO * MOST


def test_a_window_shrinks_from_what_was_really_under_way() -> None:
    window = opened(64).refused(sent_at=0, now=1, under_way=10, wait_seconds=1)
    assert window.size == LOWERED_TO * 10


def test_a_wait_that_is_asked_for_closes_the_window_and_none_shortens_it() -> None:
    window = opened(MOST).refused(sent_at=0, now=1, under_way=1, wait_seconds=30)
    assert window.open_at == 31
    window = window.refused(sent_at=0, now=2, under_way=1, wait_seconds=3)
    assert window.open_at == 31


def test_a_window_grows_by_about_one_a_round_trip() -> None:
    window = opened(MOST).refused(sent_at=0, now=1, under_way=8, wait_seconds=0)
    before = window.size
    for _ in range(int(before)):
        window = window.served()
    assert before + 0.8 <= window.size <= before + 1


def test_an_isolated_refusal_changes_nothing() -> None:
    assert refused(opened(MOST), at=1).size == MOST


def test_a_service_that_refuses_everything_is_asked_one_by_one() -> None:
    window = opened(MOST)
    for round_trip in range(60):
        for _ in range(int(window.size)):
            window = refused(window, at=1.0 + round_trip * ROUND_TRIP * 2)
    assert window.size == 1


def test_repeats_wait_longer_and_longer_and_not_for_ever() -> None:
    waits = [repeat_seconds(n, 0.999) for n in range(1, 60)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] <= LONGEST_REPEAT_SECONDS
    assert all(repeat_seconds(n, 0) >= wait / 2 for n, wait in enumerate(waits, 1))


@dataclass
class Service:
    """Serves in a round trip; refuses at random, and whatever goes beyond what it can serve at
    once or in a second."""

    random: Random
    refuses: float = 0.0
    serves_at_once: int = 10**9
    serves_a_second: float = 1e9
    tokens: float = MOST
    asked_at: float = 0.0

    def takes(self, now: float, under_way: int) -> bool:
        self.tokens = min(MOST, self.tokens + (now - self.asked_at) * self.serves_a_second)
        self.asked_at = now
        if self.random.random() < self.refuses or under_way > self.serves_at_once:
            return False
        served = self.tokens >= 1
        self.tokens -= served
        return served


@dataclass
class Run:
    """So many workers on one lane for some seconds: what they got done."""

    service: Service
    workers: int = MOST
    window: Window = field(default_factory=lambda: opened(MOST))
    done: int = 0
    asked: int = 0
    sizes: list[float] = field(default_factory=list)

    def go(self, seconds: float) -> "Run":
        """A discrete simulation: each worker's next request, in the order of time."""
        ready = [(0.0, worker, 0) for worker in range(self.workers)]
        answers: list[tuple[float, int, int, float, bool]] = []
        under_way, held = 0, list[tuple[int, int]]()
        now = 0.0
        while now < seconds:
            if answers and (not ready or answers[0][0] <= ready[0][0]):
                now, worker, repeat, sent_at, served = heappop(answers)
                self._hear(served, sent_at, now, under_way)
                under_way -= 1
                wait = 0.0 if served else repeat_seconds(repeat + 1, self.service.random.random())
                heappush(ready, (now + wait, worker, 0 if served else repeat + 1))
                while held:
                    heappush(ready, (now, *held.pop()))
            else:
                now, worker, repeat = heappop(ready)
                if not self.window.has_place(under_way):
                    held.append((worker, repeat))
                    continue
                under_way += 1
                served = self.service.takes(now, under_way)
                took = ROUND_TRIP if served else ROUND_TRIP / 10
                heappush(answers, (now + took, worker, repeat, now, served))
        return self

    def _hear(self, served: bool, sent_at: float, now: float, under_way: int) -> None:
        self.asked += 1
        self.done += served
        self.sizes.append(self.window.size)
        if served:
            self.window = self.window.served()
        else:
            self.window = self.window.refused(sent_at=sent_at, now=now, under_way=under_way)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_random_refusals_cost_little_more_than_themselves(seed: int, share: float) -> None:
    """Fault 40: of a service that refuses 30 % at random nine tenths of what is left get done."""
    seconds = 60.0
    clean = Run(Service(Random(seed))).go(seconds).done
    busy = Run(Service(Random(seed), refuses=share)).go(seconds)
    assert busy.done >= 0.9 * (1 - share) * clean
    assert sum(busy.sizes) / len(busy.sizes) > 0.85 * MOST


@pytest.mark.parametrize("seed", range(5))
def test_a_window_finds_what_a_service_serves_at_once(seed: int) -> None:
    """What can be served is served, and most of what is asked is what can be served."""
    run = Run(Service(Random(seed), serves_at_once=5)).go(60.0)
    assert run.done >= 0.75 * 5 / ROUND_TRIP * 60
    assert run.done / run.asked >= 0.85


@pytest.mark.parametrize("seed", range(5))
def test_a_window_finds_what_a_service_serves_a_second(seed: int) -> None:
    run = Run(Service(Random(seed), serves_a_second=100)).go(60.0)
    assert run.done >= 0.9 * 100 * 60
    assert run.done / run.asked >= 0.85
