"""Queue semantics under a clock that only the test turns."""

from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

import pytest

from local.servicebus.codec import decode, encode
from local.servicebus.deliveries import (
    Abandon,
    Complete,
    Counts,
    DeadLetter,
    Defer,
    Delivery,
    Release,
)
from local.servicebus.entities import QueueSpec
from local.servicebus.errors import LockLostError, MessageNotFoundError
from local.servicebus.faults import Armed, Fault
from local.servicebus.journal import Journal
from local.servicebus.message import Message, parse_message, sections
from local.servicebus.queue import Queue
from local.servicebus.shelf import Shelf
from local.servicebus.values import Symbol, Timestamp, UInt

SECOND = 1000
SPEC = QueueSpec(
    name="q",
    lock_ms=60 * SECOND,
    max_delivery_count=3,
    ttl_ms=3600 * SECOND,
    dedup_window_ms=600 * SECOND,
    dead_letter_expired=True,
)


@dataclass
class ManualClock:
    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now

    def pass_ms(self, amount: int) -> None:
        self.now += amount


@dataclass
class Bench:
    """A queue, its clock, and short words for what tests do."""

    spec: QueueSpec = SPEC
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.queue = Queue(self.spec, self.clock, Journal())

    def send(self, *ids: str | None, ttl: int | None = None, due: int | None = None) -> None:
        self.queue.send([message(i, ttl=ttl, due=due) for i in ids])

    def receive(self, shelf: Shelf | None = None) -> Delivery:
        delivery = self.queue.receive(shelf or self.queue.main, lock=True)
        assert delivery is not None
        return delivery

    def received_ids(self) -> list[str | None]:
        found = []
        while delivery := self.queue.receive(self.queue.main, lock=False):
            found.append(delivery.message.message_id)
        return found

    @property
    def dead_reasons(self) -> list[object]:
        peeked = self.queue.peek(self.queue.dead, 0, 100)
        return [application_properties(d.message).get("DeadLetterReason") for d in peeked]


def message(message_id: str | None, *, ttl: int | None = None, due: int | None = None) -> Message:
    parts: list[tuple[int, object]] = []
    if ttl is not None:
        parts.append((0x70, [None, None, UInt(ttl)]))
    if due is not None:
        parts.append((0x72, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(due)}))
    parts += [(0x73, [message_id]), (0x75, b"body")]
    return parse_message(b"".join(bytes((0, 0x53, code)) + encode(v) for code, v in parts))


def application_properties(of: Message) -> dict[object, object]:
    found = next(decode(of.raw, s.value)[0] for s in sections(of.raw) if s.code == 0x74)
    assert isinstance(found, dict)
    return found


def token_of(delivery: Delivery) -> UUID:
    assert delivery.token is not None
    return delivery.token


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_messages_leave_in_the_order_they_came(bench: Bench) -> None:
    bench.send("a", "b")
    bench.send("c")
    assert bench.received_ids() == ["a", "b", "c"]


def test_a_completed_message_is_gone_and_its_lock_with_it(bench: Bench) -> None:
    bench.send("a")
    token = token_of(bench.receive())
    bench.queue.settle(bench.queue.main, token, Complete())
    assert bench.queue.counts() == Counts(0, 0, 0, 0, 0)
    with pytest.raises(LockLostError):
        bench.queue.settle(bench.queue.main, token, Complete())


def test_an_abandoned_message_comes_again_first_and_counts(bench: Bench) -> None:
    bench.send("a", "b")
    first = bench.receive()
    assert first.stamp.delivery_count == 0
    bench.queue.settle(bench.queue.main, token_of(first), Abandon())
    again = bench.receive()
    assert (again.message.message_id, again.stamp.delivery_count) == ("a", 1)
    assert again.token != first.token


def test_a_released_message_comes_again_and_does_not_count(bench: Bench) -> None:
    bench.send("a")
    for _ in range(10):
        bench.queue.settle(bench.queue.main, token_of(bench.receive()), Release())
    assert bench.receive().stamp.delivery_count == 0


def test_too_many_deliveries_end_in_the_dead_letter_queue(bench: Bench) -> None:
    bench.send("a")
    for _ in range(SPEC.max_delivery_count):
        bench.queue.settle(bench.queue.main, token_of(bench.receive()), Abandon())
    assert bench.queue.receive(bench.queue.main, lock=True) is None
    dead = bench.receive(bench.queue.dead)
    assert application_properties(dead.message) == {
        "DeadLetterReason": "MaxDeliveryCountExceeded",
        "DeadLetterErrorDescription": "Message could not be consumed after 3 delivery attempts.",
    }


def test_dead_letters_may_fail_any_number_of_times(bench: Bench) -> None:
    bench.send("a")
    bench.queue.settle(bench.queue.main, token_of(bench.receive()), DeadLetter("bad"))
    for failures in range(2 * SPEC.max_delivery_count):
        dead = bench.receive(bench.queue.dead)
        assert dead.stamp.delivery_count == failures
        bench.queue.settle(bench.queue.dead, token_of(dead), Abandon())
    assert bench.dead_reasons == ["bad"]
    dead = bench.receive(bench.queue.dead)
    bench.queue.settle(bench.queue.dead, token_of(dead), Complete())
    assert bench.queue.counts().dead_letter == 0


def test_a_lock_expires_to_the_millisecond_and_counts(bench: Bench) -> None:
    bench.send("a")
    token = token_of(bench.receive())
    bench.clock.pass_ms(SPEC.lock_ms - 1)
    assert bench.queue.receive(bench.queue.main, lock=True) is None
    assert bench.queue.next_deadline() == bench.clock.now + 1
    bench.clock.pass_ms(1)
    with pytest.raises(LockLostError):
        bench.queue.settle(bench.queue.main, token, Complete())
    assert bench.receive().stamp.delivery_count == 1


def test_a_renewed_lock_lives_on_from_now(bench: Bench) -> None:
    bench.send("a")
    token = token_of(bench.receive())
    bench.clock.pass_ms(SPEC.lock_ms - 1)
    assert bench.queue.renew(bench.queue.main, [token]) == [bench.clock.now + SPEC.lock_ms]
    bench.clock.pass_ms(SPEC.lock_ms - 1)
    bench.queue.settle(bench.queue.main, token, Complete())


def test_an_expired_lock_cannot_be_renewed(bench: Bench) -> None:
    bench.send("a")
    token = token_of(bench.receive())
    bench.clock.pass_ms(SPEC.lock_ms)
    with pytest.raises(LockLostError):
        bench.queue.renew(bench.queue.main, [token])
    with pytest.raises(LockLostError):
        bench.queue.renew(bench.queue.main, [uuid4()])


def test_dead_lettering_keeps_what_was_stated(bench: Bench) -> None:
    bench.send("a", "b")
    for settlement in (DeadLetter("bad-json", "line 1"), DeadLetter(None, None)):
        bench.queue.settle(bench.queue.main, token_of(bench.receive()), settlement)
    assert bench.dead_reasons == ["bad-json", None]


def test_duplicates_within_the_window_are_forgotten(bench: Bench) -> None:
    bench.send("a", "a", None, None)
    bench.clock.pass_ms(600 * SECOND - 1)
    bench.send("a")
    assert bench.received_ids() == ["a", None, None]
    bench.clock.pass_ms(1)
    bench.send("a")
    assert bench.received_ids() == ["a"]


def test_without_duplicate_detection_everything_counts() -> None:
    bench = Bench(replace(SPEC, dedup_window_ms=None))
    bench.send("a", "a")
    assert bench.received_ids() == ["a", "a"]


def test_an_expired_message_is_dead_lettered(bench: Bench) -> None:
    bench.send("a", ttl=5 * SECOND)
    bench.send("b")
    bench.clock.pass_ms(5 * SECOND)
    assert bench.received_ids() == ["b"]
    assert bench.dead_reasons == ["TTLExpiredException"]
    bench.clock.pass_ms(10 * SPEC.ttl_ms)
    assert bench.queue.counts().dead_letter == 1  # dead letters do not expire


def test_the_queues_lifetime_bounds_the_messages() -> None:
    bench = Bench(replace(SPEC, dead_letter_expired=False))
    bench.send("a", ttl=2 * SPEC.ttl_ms)
    bench.clock.pass_ms(SPEC.ttl_ms)
    assert bench.queue.counts() == Counts(0, 0, 0, 0, 0)


def test_a_locked_message_expires_only_when_its_lock_ends(bench: Bench) -> None:
    bench.send("a", "b", ttl=5 * SECOND)
    kept, failed = token_of(bench.receive()), token_of(bench.receive())
    bench.clock.pass_ms(6 * SECOND)
    bench.queue.settle(bench.queue.main, kept, Complete())
    bench.queue.settle(bench.queue.main, failed, Abandon())
    assert bench.dead_reasons == ["TTLExpiredException"]


def test_a_scheduled_message_is_appended_when_its_time_comes(bench: Bench) -> None:
    bench.send("later", due=bench.clock.now + 10 * SECOND)
    (number,) = bench.queue.schedule([message("cancelled", due=bench.clock.now + 10 * SECOND)])
    bench.send("now")
    assert bench.queue.counts().scheduled == 2
    bench.queue.cancel([number])
    bench.clock.pass_ms(10 * SECOND)
    assert bench.received_ids() == ["now", "later"]
    with pytest.raises(MessageNotFoundError):
        bench.queue.cancel([number])


def test_activation_gives_a_new_number_and_starts_the_lifetime(bench: Bench) -> None:
    (number,) = bench.queue.schedule([message("a", ttl=5 * SECOND, due=bench.clock.now + SECOND)])
    bench.clock.pass_ms(SECOND)
    stamp = bench.queue.peek(bench.queue.main, 0, 1)[0].stamp
    assert (stamp.enqueued_at, stamp.state) == (bench.clock.now, 0)
    assert stamp.sequence_number > number
    bench.clock.pass_ms(5 * SECOND - 1)
    assert bench.queue.counts().active == 1
    bench.clock.pass_ms(1)
    assert bench.queue.counts().dead_letter == 1


def test_a_deferred_message_is_received_by_number_and_never_expires(bench: Bench) -> None:
    bench.send("a", ttl=5 * SECOND)
    first = bench.receive()
    bench.queue.settle(bench.queue.main, token_of(first), Defer())
    bench.clock.pass_ms(6 * SECOND)
    assert bench.queue.receive(bench.queue.main, lock=True) is None
    number = first.stamp.sequence_number
    (again,) = bench.queue.receive_deferred(bench.queue.main, [number], lock=True)
    assert again.stamp.state == 1
    bench.queue.settle(bench.queue.main, token_of(again), Abandon())
    assert bench.queue.counts().deferred == 1
    with pytest.raises(MessageNotFoundError):
        bench.queue.receive_deferred(bench.queue.main, [number, 999], lock=True)
    bench.queue.receive_deferred(bench.queue.main, [number], lock=False)
    assert bench.queue.counts() == Counts(0, 0, 0, 0, 0)


def test_peek_sees_every_state_and_touches_nothing(bench: Bench) -> None:
    bench.send("deferred", "locked", "active")
    bench.send("scheduled", due=bench.clock.now + SECOND)
    bench.queue.settle(bench.queue.main, token_of(bench.receive()), Defer())
    bench.receive()
    peeked = bench.queue.peek(bench.queue.main, 0, 10)
    assert [(d.message.message_id, d.stamp.state) for d in peeked] == [
        ("deferred", 1),
        ("locked", 0),
        ("active", 0),
        ("scheduled", 2),
    ]
    second = peeked[1].stamp.sequence_number
    assert [d.message.message_id for d in bench.queue.peek(bench.queue.main, second, 2)] == [
        "locked",
        "active",
    ]
    assert bench.queue.counts() == Counts(2, 1, 1, 0, 1)


@pytest.mark.parametrize(
    ("armed", "expected"),
    [
        (Armed(Fault.DROP, count=2), ["c"]),
        (Armed(Fault.DUPLICATE), ["a", "a", "b", "c"]),
        (Armed(Fault.DELAY, delay_ms=50), ["b", "c", "a"]),
        (Armed(Fault.REORDER, count=3, delay_ms=10), ["c", "b", "a"]),
    ],
    ids=lambda value: value.fault.value if isinstance(value, Armed) else "",
)
def test_faults_strike_the_next_messages_and_are_counted(
    bench: Bench, armed: Armed, expected: list[str]
) -> None:
    bench.queue.faults.arm(armed)
    bench.send("a", "b", "c")
    seen = bench.received_ids()
    for _ in range(10):
        bench.clock.pass_ms(10)
        seen += bench.received_ids()
    assert seen == expected
    assert bench.queue.faults.fired == {armed.fault: armed.count}


def test_locks_can_be_ended_at_once(bench: Bench) -> None:
    bench.send("a", "b")
    token = token_of(bench.receive())
    bench.receive()
    assert bench.queue.expire_locks() == 2
    with pytest.raises(LockLostError):
        bench.queue.settle(bench.queue.main, token, Complete())
    assert bench.receive().stamp.delivery_count == 1
    assert bench.queue.faults.fired[Fault.EXPIRE_LOCK] == 2


def test_deadlines_of_messages_long_gone_do_not_pile_up(bench: Bench) -> None:
    for _ in range(5000):
        bench.send(None)
        bench.queue.receive(bench.queue.main, lock=False)
    assert len(bench.queue._deadlines) < 2000
