"""The links of a session: senders to and receivers from a queue, and request/response pairs."""

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from local.servicebus.codec import DecodeError
from local.servicebus.deliveries import (
    Abandon,
    Complete,
    DeadLetter,
    Defer,
    Delivery,
    Release,
    Settlement,
)
from local.servicebus.errors import MalformedError, MessageTooLargeError, ServiceBusError
from local.servicebus.faults import Fault
from local.servicebus.limits import LINK_CREDIT, MAX_MESSAGE_BYTES
from local.servicebus.management import (
    Reply,
    Request,
    answer,
    answer_cbs,
    encode_reply,
    parse_request,
    text_or_none,
)
from local.servicebus.message import parse_transfer, render
from local.servicebus.namespace import DETACH_FORCED, Namespace
from local.servicebus.performatives import (
    Accepted,
    AmqpError,
    Flow,
    Modified,
    Rejected,
    Released,
    Transfer,
)
from local.servicebus.queue import Queue
from local.servicebus.shelf import Shelf


class Channel(Protocol):
    """What a link needs of its session."""

    @property
    def can_send(self) -> bool: ...

    def send_flow(
        self, handle: int, delivery_count: int, credit: int, *, drain: bool = False
    ) -> None: ...

    def send_message(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int: ...

    def send_outcome(self, delivery_id: int, outcome: object, *, as_sender: bool) -> None: ...

    def detach(self, handle: int, error: AmqpError) -> None: ...

    def reply_link(self, node: str) -> "ReplyLink | None": ...

    def expect_settlement(self, delivery_id: int, link: "ConsumerLink", token: UUID) -> None: ...


def amqp_error(error: ServiceBusError) -> AmqpError:
    return AmqpError(error.condition, error.description)


class Link:
    """One end of a link. ``flow`` and ``transfer`` are what a client may do to it."""

    def __init__(self, channel: Channel, handle: int) -> None:
        self.channel = channel
        self.handle = handle

    def opened(self) -> None:
        """The attach has been answered."""

    def closed(self) -> None:
        """The link is gone, whoever ended it."""

    def flow(self, flow: Flow) -> None:
        """The client's view of the link's credit."""

    def transfer(self, _part: Transfer, _payload: bytes, /) -> None:
        raise DecodeError("a transfer on a link that the service sends on")

    def detach(self, error: AmqpError) -> None:
        """End the link from our side."""
        self.channel.detach(self.handle, error)


class IncomingLink(Link):
    """A link that the client sends on: grants credit and puts multi-frame deliveries together.

    A delivery above the size limit is counted, not kept.
    """

    def __init__(self, channel: Channel, handle: int) -> None:
        super().__init__(channel, handle)
        self._received = 0
        self._granted = LINK_CREDIT
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def opened(self) -> None:
        self.channel.send_flow(self.handle, self._received, self._granted)

    def transfer(self, part: Transfer, payload: bytes, /) -> None:
        if self._first is None:
            self._first = part
        self._size += len(payload)
        if self._size <= MAX_MESSAGE_BYTES:
            self._parts.append(payload)
        if part.aborted or not part.more:
            self._finish(part)

    def _finish(self, last: Transfer) -> None:
        first, payload, size = self._first, b"".join(self._parts), self._size
        self._first, self._parts, self._size = None, [], 0
        self._replenish()
        if first is None or first.delivery_id is None:
            raise DecodeError("a delivery without a delivery-id")
        if last.aborted:
            return
        outcome = self._outcome(first, payload, size)
        if outcome is not None and not (first.settled or last.settled):
            self.channel.send_outcome(first.delivery_id, outcome, as_sender=False)

    def _replenish(self) -> None:
        self._received += 1
        self._granted -= 1
        if self._granted <= LINK_CREDIT // 2:
            self._granted = LINK_CREDIT
            self.channel.send_flow(self.handle, self._received, self._granted)

    def _outcome(self, first: Transfer, payload: bytes, size: int) -> object:
        """The outcome to tell the sender; None to say nothing."""
        try:
            if size > MAX_MESSAGE_BYTES:
                raise MessageTooLargeError(first.delivery_id or 0, size, MAX_MESSAGE_BYTES)
            return self.accept(first, payload)
        except ServiceBusError as error:
            return Rejected(amqp_error(error))
        except DecodeError as error:
            return Rejected(amqp_error(MalformedError(str(error))))

    def accept(self, first: Transfer, payload: bytes, /) -> object:
        raise NotImplementedError


class ProducerLink(IncomingLink):
    """A client sends messages to a queue."""

    def __init__(self, channel: Channel, handle: int, namespace: Namespace, queue: Queue) -> None:
        super().__init__(channel, handle)
        self._namespace = namespace
        self._queue = queue
        namespace.add_link(queue, self)

    def closed(self) -> None:
        self._namespace.remove_link(self._queue, self)

    def accept(self, first: Transfer, payload: bytes, /) -> object:
        messages = parse_transfer(payload, first.message_format)
        lost = self._queue.faults.take(Fault.LOSE_SEND)
        if lost is None or lost.applied:
            self._queue.send(messages)
        if lost is None:
            return Accepted()
        if not lost.silent:
            self.detach(AmqpError(DETACH_FORCED, "The answer to a send was lost by request."))
        return None


class ConsumerLink(Link):
    """A client receives from a queue or its dead letters, under locks or for good."""

    def __init__(
        self,
        channel: Channel,
        handle: int,
        namespace: Namespace,
        place: tuple[Queue, Shelf],
        *,
        locks: bool,
    ) -> None:
        super().__init__(channel, handle)
        self.locks = locks
        self._namespace = namespace
        self._queue, self._shelf = place
        self._credit = 0
        self._delivered = 0
        namespace.add_link(self._queue, self)
        namespace.add_consumer(self._queue, self._shelf, self)

    def closed(self) -> None:
        self._namespace.remove_consumer(self._queue, self._shelf, self)
        self._namespace.remove_link(self._queue, self)

    @property
    def is_ready(self) -> bool:
        return self._credit > 0 and self.channel.can_send

    def wake(self) -> None:
        self._namespace.wake(self._queue, self._shelf)

    def flow(self, flow: Flow) -> None:
        if flow.link_credit is None:
            return
        known = flow.delivery_count or 0
        self._credit = max(0, known + flow.link_credit - self._delivered)
        if flow.drain:
            self._drain()
        else:
            if flow.echo:
                self.channel.send_flow(self.handle, self._delivered, self._credit)
            self.wake()

    def _drain(self) -> None:
        """Use the credit now or give it up, and say so."""
        self._namespace.pump(self._queue, self._shelf)
        self._delivered += self._credit
        self._credit = 0
        self.channel.send_flow(self.handle, self._delivered, 0, drain=True)

    def deliver(self, delivery: Delivery) -> None:
        self._credit -= 1
        self._delivered += 1
        payload = render(delivery.message, delivery.stamp)
        if delivery.token is None:
            tag = self._delivered.to_bytes(8, "big")
            self.channel.send_message(self.handle, tag, payload, settled=True)
            return
        # Service Bus's lock token is the delivery tag, in .NET's byte order.
        tag = delivery.token.bytes_le
        delivery_id = self.channel.send_message(self.handle, tag, payload, settled=False)
        self.channel.expect_settlement(delivery_id, self, delivery.token)

    def settle(self, token: UUID, state: object) -> object:
        """Apply the client's outcome; the outcome to answer with, or None for no answer."""
        settlement = settlement_of(state)
        if settlement is None:
            return Rejected(AmqpError("amqp:not-implemented", "Unsupported delivery state."))
        lost = self._queue.faults.take(Fault.LOSE_SETTLEMENT)
        outcome = state if not isinstance(state, Rejected) else Rejected()
        if lost is None or lost.applied:
            try:
                self._queue.settle(self._shelf, token, settlement)
            except ServiceBusError as error:
                outcome = Rejected(amqp_error(error))
        if lost is None:
            return outcome
        if not lost.silent:
            self.detach(AmqpError(DETACH_FORCED, "A settlement's answer was lost by request."))
        return None


def settlement_of(state: object) -> Settlement | None:
    """What an AMQP outcome means to Service Bus; None for what is not supported here.

    That is a transactional state, and an outcome that changes the message.
    """
    match state:
        case Accepted():
            return Complete()
        case Released():
            return Release()
        case Modified(message_annotations=annotations) if annotations:
            return None
        case Modified(undeliverable_here=True):
            return Defer()
        case Modified():
            return Abandon()
        case Rejected(error):
            info = error.info if error else {}
            return DeadLetter(
                text_or_none(info.get("DeadLetterReason")),
                text_or_none(info.get("DeadLetterErrorDescription")),
            )
    return None


class RequestLink(IncomingLink):
    """Requests to ``$cbs`` (no place) or to an entity's ``$management``."""

    def __init__(
        self, channel: Channel, handle: int, node: str, place: tuple[Queue, Shelf] | None
    ) -> None:
        super().__init__(channel, handle)
        self._node = node
        self._place = place

    def accept(self, _first: Transfer, payload: bytes, /) -> object:
        request = parse_request(payload)
        link = self.channel.reply_link(self._node)
        if link is None:
            return Rejected(
                AmqpError("amqp:not-allowed", "No link of this session receives the replies.")
            )
        link.send(encode_reply(request, self._answer(request), cbs=self._place is None))
        return Accepted()

    def _answer(self, request: Request) -> Reply:
        if self._place is None:
            return answer_cbs(request)
        return answer(*self._place, request)


class ReplyLink(Link):
    """Replies of a node. They do not wait for credit: the client asked for each."""

    def __init__(self, channel: Channel, handle: int, node: str) -> None:
        super().__init__(channel, handle)
        self.node = node
        self._sent = 0

    def send(self, payload: bytes) -> None:
        self._sent += 1
        self.channel.send_message(self.handle, self._sent.to_bytes(4, "big"), payload, settled=True)

    def flow(self, flow: Flow) -> None:
        if flow.drain:
            self.channel.send_flow(self.handle, self._sent, 0, drain=True)


def reply_link_of(links: Iterable[Link], node: str) -> ReplyLink | None:
    """The session's link that receives the replies of ``node``."""
    return next((ln for ln in links if isinstance(ln, ReplyLink) and ln.node == node), None)
