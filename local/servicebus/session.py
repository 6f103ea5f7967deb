"""An AMQP session: its links, windows and unsettled deliveries."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from local.servicebus.attaching import echo_of, open_link, refusal_of
from local.servicebus.errors import LockLostError, ServiceBusError
from local.servicebus.limits import HANDLE_MAX, SESSION_WINDOW
from local.servicebus.links import (
    ConsumerLink,
    IncomingLink,
    Link,
    ReplyLink,
    amqp_error,
    reply_link_of,
)
from local.servicebus.namespace import Namespace
from local.servicebus.performatives import (
    RECEIVER,
    SENDER,
    AmqpError,
    Attach,
    Begin,
    Composite,
    Detach,
    Disposition,
    End,
    Flow,
    Rejected,
    Transfer,
)

_WORD = 0x1_0000_0000


class Wire(Protocol):
    """What a session needs of its connection."""

    max_frame_out: int

    @property
    def is_congested(self) -> bool: ...

    def send(self, channel: int, body: Composite, payload: bytes = b"") -> None: ...


class Session:
    """One channel of a connection. ``ended`` is set once no frame may follow."""

    def __init__(self, wire: Wire, channel: int, namespace: Namespace, begin: Begin) -> None:
        self.ended = False
        self._wire = wire
        self._channel = channel
        self._namespace = namespace
        self._next_incoming_id = begin.next_outgoing_id
        self._incoming_left = SESSION_WINDOW
        self._next_outgoing_id = 0
        self._outgoing_left = begin.incoming_window
        self._held: deque[tuple[Transfer, bytes]] = deque()
        self._next_delivery_id = 0
        self._links: dict[int, Link] = {}
        self._leaving: set[int] = set()
        self._unsettled: dict[int, tuple[ConsumerLink, UUID]] = {}
        self._wire.send(channel, self._begin_reply())

    def _begin_reply(self) -> Begin:
        return Begin(
            remote_channel=self._channel,
            next_outgoing_id=self._next_outgoing_id,
            incoming_window=SESSION_WINDOW,
            outgoing_window=SESSION_WINDOW,
            handle_max=HANDLE_MAX,
        )

    # --- frames from the client ---------------------------------------------------------------

    def receive(self, body: object, payload: bytes) -> None:
        match body:
            case Transfer():
                self._on_transfer(body, payload)
            case Disposition():
                self._on_disposition(body)
            case Flow():
                self._on_flow(body)
            case Attach():
                self._on_attach(body)
            case Detach():
                self._on_detach(body)
            case _:
                self.end(AmqpError("amqp:not-allowed", "This frame may not come on a session."))

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle in self._links:
            self.end(AmqpError("amqp:session:handle-in-use", f"Handle {attach.handle} is in use."))
            return
        self._leaving.discard(attach.handle)
        try:
            link = open_link(self, self._namespace, attach)
        except ServiceBusError as error:
            self._send(refusal_of(attach))
            self.detach(attach.handle, amqp_error(error))
            return
        self._links[attach.handle] = link
        self._send(echo_of(attach, sends_messages=isinstance(link, IncomingLink)))
        link.opened()

    def _on_detach(self, detach: Detach) -> None:
        if self._forget(detach.handle):
            self._send(Detach(detach.handle, closed=detach.closed))
        self._leaving.discard(detach.handle)

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) % _WORD
        self._incoming_left -= 1
        if self._incoming_left <= SESSION_WINDOW // 2:
            self._incoming_left = SESSION_WINDOW
            self._send(self._session_flow())
        if link := self._link(transfer.handle):
            link.transfer(transfer, payload)

    def _on_flow(self, flow: Flow) -> None:
        self._open_window(flow)
        if flow.handle is None:
            if flow.echo:
                self._send(self._session_flow())
        elif link := self._link(flow.handle):
            link.flow(flow)
        self.wake()

    def _open_window(self, flow: Flow) -> None:
        known = flow.next_incoming_id
        in_flight = 0 if known is None else (self._next_outgoing_id - known) % _WORD
        self._outgoing_left = max(0, flow.incoming_window - in_flight)
        self._transmit()

    def _on_disposition(self, disposition: Disposition) -> None:
        if disposition.role is not RECEIVER or disposition.state is None:
            return
        for delivery_id in self._named(disposition):
            outcome = self._settle(delivery_id, disposition.state)
            if not disposition.settled and outcome is not None:
                self.send_outcome(delivery_id, outcome, as_sender=True)

    def _named(self, disposition: Disposition) -> Iterable[int]:
        """The delivery ids a disposition is about; ids of a range that we never used are not."""
        if disposition.last is None or disposition.last == disposition.first:
            return (disposition.first,)
        return [i for i in self._unsettled if disposition.first <= i <= disposition.last]

    def _settle(self, delivery_id: int, state: object) -> object:
        found = self._unsettled.pop(delivery_id, None)
        if found is None:
            return Rejected(amqp_error(LockLostError()))
        link, token = found
        return link.settle(token, state)

    def _link(self, handle: int) -> Link | None:
        """The link of a frame; frames may still be under way to one that we detached."""
        link = self._links.get(handle)
        if link is None and handle not in self._leaving:
            self.end(AmqpError("amqp:session:unattached-handle", f"No link has handle {handle}."))
        return link

    # --- what links do ------------------------------------------------------------------------

    @property
    def can_send(self) -> bool:
        return self._outgoing_left > 0 and not self._held and not self._wire.is_congested

    def send_flow(
        self, handle: int, delivery_count: int, credit: int, *, drain: bool = False
    ) -> None:
        self._send(
            self._session_flow(
                handle=handle, delivery_count=delivery_count, link_credit=credit, drain=drain
            )
        )

    def send_message(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """One delivery in as many frames as it takes; returns its delivery id."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) % _WORD
        chunk = self._wire.max_frame_out - 128
        pieces = [payload[i : i + chunk] for i in range(0, len(payload), chunk)] or [b""]
        head: dict[str, Any] = {
            "delivery_id": delivery_id,
            "delivery_tag": tag,
            "message_format": 0,
            "settled": settled,
        }
        for index, piece in enumerate(pieces):
            more = index + 1 < len(pieces)
            self._held.append((Transfer(handle, more=more, **(head if index == 0 else {})), piece))
        self._transmit()
        return delivery_id

    def _transmit(self) -> None:
        """Send what the client's window has room for; the rest is held until it opens."""
        while self._held and self._outgoing_left > 0:
            transfer, piece = self._held.popleft()
            self._wire.send(self._channel, transfer, piece)
            self._next_outgoing_id = (self._next_outgoing_id + 1) % _WORD
            self._outgoing_left -= 1

    def send_outcome(self, delivery_id: int, outcome: object, *, as_sender: bool) -> None:
        role = SENDER if as_sender else RECEIVER
        self._send(Disposition(role, delivery_id, delivery_id, settled=True, state=outcome))

    def expect_settlement(self, delivery_id: int, link: ConsumerLink, token: UUID) -> None:
        self._unsettled[delivery_id] = (link, token)

    def reply_link(self, node: str) -> ReplyLink | None:
        return reply_link_of(self._links.values(), node)

    def detach(self, handle: int, error: AmqpError) -> None:
        self._leaving.add(handle)
        self._forget(handle)
        self._send(Detach(handle, closed=True, error=error))

    def _forget(self, handle: int) -> bool:
        """Take the link out; whether there was one. What is held for it will not be sent."""
        link = self._links.pop(handle, None)
        if link is None:
            return False
        link.closed()
        self._held = deque(held for held in self._held if held[0].handle != handle)
        return True

    # --- the end ------------------------------------------------------------------------------

    def end(self, error: AmqpError | None = None) -> None:
        if not self.ended:
            self.drop()
            self._wire.send(self._channel, End(error))

    def drop(self) -> None:
        """Leave the queues; locks stay until they expire."""
        self.ended = True
        self._held.clear()
        links, self._links = self._links, {}
        for link in links.values():
            link.closed()

    def wake(self) -> None:
        """The client can take more again."""
        for link in self._links.values():
            if isinstance(link, ConsumerLink):
                link.wake()

    def _session_flow(self, **link: Any) -> Flow:
        return Flow(
            next_incoming_id=self._next_incoming_id,
            incoming_window=self._incoming_left,
            next_outgoing_id=self._next_outgoing_id,
            outgoing_window=SESSION_WINDOW,
            **link,
        )

    def _send(self, body: Composite) -> None:
        if not self.ended:
            self._wire.send(self._channel, body)
