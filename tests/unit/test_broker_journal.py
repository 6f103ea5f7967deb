"""What a broker is told survives it; locks do not."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.servicebus.broker import Broker
from local.servicebus.deliveries import Counts, DeadLetter, Defer
from local.servicebus.errors import EntityNotFoundError
from local.servicebus.journal import Journal
from local.servicebus.queue import Queue
from tests.unit.test_broker_queue import SPEC, ManualClock, message, token_of

Restart = Callable[[], Queue]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def restart(tmp_path: Path, clock: ManualClock) -> Iterator[Restart]:
    """A new broker on the journal that the one before left behind; the first one begins it."""
    journals: list[Journal] = []

    def begin() -> Queue:
        while journals:
            journals.pop().close()
        journals.append(Journal(tmp_path))
        return Broker([SPEC], clock, journals[-1]).queue("Q")

    yield begin
    journals.pop().close()


def test_every_state_survives(restart: Restart, clock: ManualClock) -> None:
    queue = restart()
    queue.send([message(name) for name in ("deferred", "dead", "done", "active")])
    queue.send([message("scheduled", due=clock.now + 5000)])
    for settlement in (Defer(), DeadLetter("reason", "text")):
        delivery = queue.receive(queue.main, lock=True)
        assert delivery is not None
        queue.settle(queue.main, token_of(delivery), settlement)
    queue.receive(queue.main, lock=False)
    queue = restart()
    assert queue.counts() == Counts(active=1, scheduled=1, deferred=1, dead_letter=1, locked=0)
    clock.pass_ms(5000)
    assert queue.counts().active == 2


def test_a_lock_is_lost_and_counts_as_a_delivery(restart: Restart) -> None:
    queue = restart()
    queue.send([message("a")])
    for expected in range(SPEC.max_delivery_count):
        delivery = queue.receive(queue.main, lock=True)
        assert delivery is not None
        assert delivery.stamp.delivery_count == expected
        queue = restart()
    assert queue.counts().dead_letter == 1


def test_duplicates_are_known_across_a_restart(restart: Restart, clock: ManualClock) -> None:
    restart().send([message("a")])
    queue = restart()
    queue.send([message("a")])
    assert queue.counts().active == 1
    clock.pass_ms(SPEC.dedup_window_ms or 0)
    queue.send([message("a")])
    assert queue.counts().active == 2


def test_sequence_numbers_are_never_used_twice(restart: Restart) -> None:
    seen: list[int] = []
    for _ in range(3):
        queue = restart()
        queue.send([message(None)])
        delivery = queue.receive(queue.main, lock=False)
        assert delivery is not None
        seen.append(delivery.stamp.sequence_number)
    assert seen == sorted(set(seen))


def test_a_lifetime_goes_on_while_the_broker_is_away(restart: Restart, clock: ManualClock) -> None:
    restart().send([message("a", ttl=5000)])
    clock.pass_ms(5000)
    assert restart().counts().dead_letter == 1


def test_a_directory_has_one_broker(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        Journal(tmp_path)
    journal.close()


def test_queues_are_found_without_regard_to_case() -> None:
    broker = Broker([SPEC], ManualClock(), Journal())
    assert broker.queue("Q") is broker.queue("q")
    with pytest.raises(EntityNotFoundError, match="nope"):
        broker.queue("nope")
