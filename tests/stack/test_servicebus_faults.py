"""Ordered failures strike the real SDK, and each can prove that it did."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from local.servicebus.control import Control, ControlError, open_control
from local.servicebus.faults import Armed, Fault
from tests.stack.test_servicebus_async import Bus, bus_with

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

QUEUES = 10
DECLARATION = {
    "defaults": {"requiresDuplicateDetection": True},
    "queues": [{"name": f"q-{number}"} for number in range(QUEUES)],
}


@dataclass(frozen=True)
class Line:
    """A queue of a test's own, and short words for what strikes it."""

    bus: Bus
    queue: str

    async def ends(self) -> tuple[Any, ...]:
        return await self.bus.ends(self.queue)

    def order(self, armed: Armed) -> None:
        self.bus.server.faults(self.queue).arm(armed)

    @property
    def fired(self) -> Counter[Fault]:
        return self.bus.server.faults(self.queue).fired

    @property
    def active(self) -> int:
        return self.bus.server.counts()[self.queue].active


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter([f"q-{number}" for number in range(QUEUES)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus() -> AsyncIterator[Bus]:
    async with bus_with(DECLARATION, retry_backoff_factor=0.05) as running:
        yield running


@pytest.fixture
def line(bus: Bus, names: Iterator[str]) -> Line:
    return Line(bus, next(names))


def text(body: str) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id=body)


async def bodies(receiver: ServiceBusReceiver, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        got = await receiver.receive_messages(count - len(found), max_wait_time=2)
        assert got, f"only {found} came"
        for message in got:
            await receiver.complete_message(message)
            found.append(str(message))
    return found


async def test_arrivals_are_dropped_duplicated_delayed_and_reordered(line: Line) -> None:
    sender, receiver = await line.ends()
    line.order(Armed(Fault.DROP))
    await sender.send_messages(text("dropped"))
    line.order(Armed(Fault.DUPLICATE))
    await sender.send_messages(text("twice"))
    assert await bodies(receiver, 2) == ["twice", "twice"]
    line.order(Armed(Fault.DELAY, delay_ms=300))
    await sender.send_messages([text("late"), text("early")])
    assert await bodies(receiver, 2) == ["early", "late"]
    line.order(Armed(Fault.REORDER, count=3, delay_ms=50))
    await sender.send_messages([text("1"), text("2"), text("3")])
    assert await bodies(receiver, 3) == ["3", "2", "1"]
    assert line.fired == {Fault.DROP: 1, Fault.DUPLICATE: 1, Fault.DELAY: 1, Fault.REORDER: 3}
    assert line.active == 0


async def test_a_lost_settlement_that_was_applied_is_found_done(line: Line) -> None:
    sender, receiver = await line.ends()
    await sender.send_messages(text("a"))
    (message,) = await receiver.receive_messages(max_wait_time=2)
    line.order(Armed(Fault.LOSE_SETTLEMENT, applied=True))
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(message)
    assert line.fired[Fault.LOSE_SETTLEMENT] == 1
    assert line.active == 0


async def test_a_lost_settlement_that_was_not_applied_is_repeated(line: Line) -> None:
    sender, receiver = await line.ends()
    await sender.send_messages(text("a"))
    (message,) = await receiver.receive_messages(max_wait_time=2)
    line.order(Armed(Fault.LOSE_SETTLEMENT, applied=False))
    await receiver.complete_message(message)
    assert line.fired[Fault.LOSE_SETTLEMENT] == 1
    assert line.active == 0


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_answer_to_a_send_is_an_error_and_a_repeat_counts_once(
    line: Line, applied: bool
) -> None:
    sender, receiver = await line.ends()
    line.order(Armed(Fault.LOSE_SEND, applied=applied))
    with pytest.raises(ServiceBusError):
        await sender.send_messages(text("a"))
    assert line.active == int(applied)
    await sender.send_messages(text("a"))
    assert await bodies(receiver, 1) == ["a"]
    assert line.fired[Fault.LOSE_SEND] == 1
    assert line.active == 0


async def test_detached_links_fail_once_and_are_attached_again(line: Line) -> None:
    sender, receiver = await line.ends()
    assert line.bus.server.detach_links(line.queue) == 2
    with pytest.raises(ServiceBusError):
        await sender.send_messages(text("a"))
    await sender.send_messages(text("a"))
    with pytest.raises(ServiceBusError):
        await receiver.receive_messages(max_wait_time=2)
    assert await bodies(receiver, 1) == ["a"]
    assert line.fired[Fault.DETACH] == 2


async def test_the_control_port_does_it_all_from_another_process(line: Line) -> None:
    sender, receiver = await line.ends()
    async with await open_control(line.bus.server, 0) as listening:
        control = Control(listening.sockets[0].getsockname()[1])

        async def ask(operation: str, **arguments: Any) -> Any:
            return await asyncio.to_thread(control.call, operation, **arguments)

        await asyncio.to_thread(control.arm, line.queue, Fault.DUPLICATE, count=1)
        await sender.send_messages(text("a"))
        (message,) = await receiver.receive_messages(max_wait_time=2)
        counts = (await asyncio.to_thread(control.counts))[line.queue]
        assert (counts["active"], counts["locked"], counts["dead_letter"]) == (2, 1, 0)
        assert await ask("expire-locks", queue=line.queue) == 1
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(message)
        assert await asyncio.to_thread(control.fired, line.queue, Fault.DUPLICATE) == 1
        assert await asyncio.to_thread(control.fired, line.queue, Fault.EXPIRE_LOCK) == 1
        await asyncio.to_thread(control.arm, line.queue, Fault.DROP)
        await ask("disarm", queue=line.queue)
        await sender.send_messages(text("b"))
        assert await asyncio.to_thread(control.fired, line.queue, Fault.DROP) == 0
        assert await ask("detach", queue=line.queue) == 2
        with pytest.raises(ServiceBusError):
            await sender.send_messages(text("c"))


@pytest.mark.parametrize(
    "request_fields",
    [
        {"op": "nonsense"},
        {"op": "arm", "queue": "q-0", "fault": "nonsense"},
        {"op": "arm", "queue": "nowhere", "fault": "drop"},
        {"op": "arm", "queue": "q-0", "fault": "drop", "colour": "red"},
        {"op": "counts", "queue": "q-0"},
    ],
)
async def test_a_bad_control_request_is_refused(bus: Bus, request_fields: dict[str, Any]) -> None:
    async with await open_control(bus.server, 0) as listening:
        control = Control(listening.sockets[0].getsockname()[1])
        with pytest.raises(ControlError):
            await asyncio.to_thread(lambda: control.call(**request_fields))
