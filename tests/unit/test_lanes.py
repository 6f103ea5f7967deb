"""Lanes: who gets a place when, and what becomes of those who wait."""

import asyncio
from dataclasses import replace

import pytest

from shared.memory import ManualClock, busy, memory_ports
from shared.model.errors import GrantOver, StaleEpoch, Transient
from shared.steps.lanes import LONGEST_WAIT_SECONDS, Lane, Traffic, lane_to

URL = "https://vlvault.blob.core.windows.net/vault/replica"


class Requests:
    """Requests that end when they are told to, and how many of them were under way at once."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.most = self.under_way = self.done = 0
        self.end = asyncio.Event()

    async def one(self, error: Exception | None = None) -> None:
        async with self.lane.place():
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await self.end.wait()
            self.under_way -= 1
            self.done += 1
            if error:
                raise error


async def turn_over() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_the_window_is_under_way_and_nobody_is_forgotten() -> None:
    requests = Requests(Lane(ManualClock(), most=3))
    tasks = [asyncio.create_task(requests.one()) for _ in range(20)]
    await turn_over()
    assert requests.under_way == 3
    requests.end.set()
    await asyncio.gather(*tasks)
    assert (requests.done, requests.most) == (20, 3)


async def test_who_is_called_off_while_waiting_takes_no_place_along() -> None:
    requests = Requests(Lane(ManualClock(), most=1))
    tasks = [asyncio.create_task(requests.one()) for _ in range(6)]
    await turn_over()
    for task in tasks[1:4]:
        task.cancel()
    requests.end.set()
    await turn_over()
    for task in tasks[4:5]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert requests.done >= 2
    async with asyncio.timeout(1):
        await requests.one()


async def test_a_place_is_given_back_however_its_request_ends() -> None:
    requests = Requests(Lane(ManualClock(), most=1))
    requests.end.set()
    for error in (StaleEpoch("over"), busy()(), Transient("cut"), RuntimeError("ours")):
        with pytest.raises(type(error)):
            await requests.one(error)
    await requests.one()


async def test_a_lane_that_is_told_to_wait_waits() -> None:
    clock = ManualClock()
    requests = Requests(Lane(clock, most=4))
    requests.end.set()
    with pytest.raises(Transient):
        await requests.one(busy(3.0)())
    began = clock.now()
    await requests.one()
    assert (clock.now() - began).total_seconds() == 3


async def test_nobody_waits_in_a_function_for_a_long_pause() -> None:
    clock = ManualClock()
    requests = Requests(Lane(clock, most=4))
    requests.end.set()
    with pytest.raises(Transient):
        await requests.one(busy(LONGEST_WAIT_SECONDS + 20)())
    began = clock.now()
    with pytest.raises(Transient) as refusal:
        await requests.one()
    assert refusal.value.retry_after == LONGEST_WAIT_SECONDS + 20
    clock.advance(15)
    with pytest.raises(Transient) as refusal:
        await requests.one()
    assert refusal.value.retry_after == LONGEST_WAIT_SECONDS + 5
    clock.advance(5)
    await requests.one()
    assert (clock.now() - began).total_seconds() == LONGEST_WAIT_SECONDS + 20


async def test_a_lane_that_closes_for_long_sends_everybody_away() -> None:
    """Those who wait for a place as well: nobody is left behind to wake them."""
    requests = Requests(Lane(ManualClock(), most=1))
    first = asyncio.create_task(requests.one(busy(60.0)()))
    others = [asyncio.create_task(requests.one()) for _ in range(4)]
    await turn_over()
    requests.end.set()
    async with asyncio.timeout(1):
        answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert [getattr(answer, "retry_after", None) for answer in answers] == [60.0] * 5
    assert requests.done == 1


def traffic(seconds: float = 60.0) -> tuple[Traffic, ManualClock]:
    ports = memory_ports()
    return Traffic(ports, ports.clock.now().timestamp() + seconds), ports.clock


async def test_what_is_transient_is_repeated_until_there_is_an_answer() -> None:
    sending, clock = traffic()
    failures: list[Exception] = [busy()(), Transient("cut"), busy(2.0)(), Transient("cut")]
    began = clock.now()

    async def request() -> str:
        if failures:
            raise failures.pop(0)
        return "answer"

    assert await sending.send(URL, request) == "answer"
    assert sending.requests == 5
    assert 2 <= (clock.now() - began).total_seconds() < 3


@pytest.mark.parametrize("error", [StaleEpoch("over"), GrantOver("over")])
async def test_what_repeating_cannot_help_is_raised(error: Exception) -> None:
    sending, _ = traffic()

    async def request() -> None:
        raise error

    with pytest.raises(type(error)):
        await sending.send(URL, request)
    assert sending.requests == 1


async def test_repeating_ends_with_the_time_for_it() -> None:
    sending, clock = traffic(10)
    began = clock.now()

    async def request() -> None:
        raise Transient("cut")

    with pytest.raises(Transient, match="cut"):
        await sending.send(URL, request)
    assert 7 < (clock.now() - began).total_seconds() <= 10
    assert 8 <= sending.requests <= 20


async def test_a_process_has_one_lane_to_an_account() -> None:
    ports, others = memory_ports(), memory_ports()
    again = replace(ports)
    assert lane_to(ports, URL) is lane_to(again, f"{URL}.extents/1")
    assert lane_to(ports, URL) is not lane_to(ports, "https://vlsource.blob.core.windows.net/d/x")
    assert lane_to(ports, URL) is not lane_to(others, URL)
