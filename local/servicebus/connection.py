"""One client connection: SASL, open, sessions, close."""

import asyncio
import logging

from local.servicebus.codec import DecodeError
from local.servicebus.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    FramingError,
    encode_frame,
)
from local.servicebus.limits import CHANNEL_MAX, IDLE_TIMEOUT_MS, MAX_FRAME_BYTES
from local.servicebus.namespace import Namespace
from local.servicebus.performatives import (
    AmqpError,
    Begin,
    Close,
    Composite,
    End,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
)
from local.servicebus.session import Session
from local.servicebus.values import Array, Symbol

_LOGGER = logging.getLogger(__name__)
_MECHANISMS = SaslMechanisms(
    Array(Symbol, tuple(map(Symbol, ("ANONYMOUS", "MSSBCBS", "PLAIN", "EXTERNAL"))))
)
_SASL_OK = 0
_SMALLEST_FRAME = 512
_SHORTEST_KEEP_ALIVE_SECONDS = 0.1


class Connection(asyncio.Protocol):
    """Speaks AMQP on one socket. A broken peer costs its own connection, never the server."""

    def __init__(self, namespace: Namespace, connections: set["Connection"]) -> None:
        self.max_frame_out = _SMALLEST_FRAME
        self.is_congested = False
        self._namespace = namespace
        self._connections = connections
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._transport: asyncio.Transport | None = None
        self._unwritten = bytearray()
        self._sessions: dict[int, Session] = {}
        self._authenticated = False
        self._opened = False
        self._closing = False
        self._keep_alive: asyncio.TimerHandle | None = None

    # --- asyncio ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._closing = True
        self._connections.discard(self)
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self._drop_sessions()

    def pause_writing(self) -> None:
        self.is_congested = True

    def resume_writing(self) -> None:
        self.is_congested = False
        for session in self._sessions.values():
            session.wake()

    def data_received(self, data: bytes) -> None:
        try:
            for unit in self._reader.feed(data):
                if self._closing:
                    return
                self._receive(unit)
        except FramingError as error:
            self.close(AmqpError("amqp:connection:framing-error", str(error)))
        except DecodeError as error:
            self.close(AmqpError("amqp:decode-error", str(error)))
        except Exception:
            _LOGGER.exception("A Service Bus connection failed")
            self.close(AmqpError("amqp:internal-error", "The service failed to handle a frame."))

    def write_out(self) -> None:
        """Write what is committed; the socket closes behind a close."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._unwritten:
            self._transport.write(bytes(self._unwritten))
            self._unwritten.clear()
        if self._closing:
            self._transport.close()

    # --- sending ------------------------------------------------------------------------------

    def send(self, channel: int, body: Composite, payload: bytes = b"") -> None:
        if not self._closing:
            self._put(encode_frame(channel, body, payload))

    def close(self, error: AmqpError | None = None) -> None:
        """Say goodbye, once, and hang up after it."""
        if self._closing:
            return
        self._drop_sessions()
        if self._opened:
            self._put(encode_frame(0, Close(error)))
        elif error is not None:
            _LOGGER.info("A client that did not open a connection: %s", error.description)
        self._closing = True
        self._namespace.output(self)

    def abort(self) -> None:
        """Hang up without a word, and without what was not committed."""
        self._closing = True
        self._unwritten.clear()
        if self._transport is not None:
            self._transport.abort()

    def _put(self, octets: bytes) -> None:
        self._unwritten += octets
        self._namespace.output(self)

    # --- receiving ----------------------------------------------------------------------------

    def _receive(self, unit: bytes | Frame) -> None:
        if isinstance(unit, bytes):
            self._on_header(unit)
        elif unit.body is None:
            return
        elif unit.kind == SASL_FRAME:
            self._on_sasl(unit.body)
        elif not self._authenticated:
            raise FramingError("an AMQP frame before SASL")
        else:
            self._on_frame(unit)

    def _on_header(self, header: bytes) -> None:
        expected = AMQP_HEADER if self._authenticated else SASL_HEADER
        self._put(expected)
        if header != expected:
            # The protocol we would speak is said before hanging up (AMQP 1.0, 2.2).
            self.close()
        elif not self._authenticated:
            self._put(encode_frame(0, _MECHANISMS, kind=SASL_FRAME))

    def _on_sasl(self, body: object) -> None:
        if not isinstance(body, SaslInit) or self._authenticated:
            raise FramingError("unexpected SASL frame")
        self._authenticated = True
        self._put(encode_frame(0, SaslOutcome(_SASL_OK), kind=SASL_FRAME))

    def _on_frame(self, frame: Frame) -> None:
        body = frame.body
        if isinstance(body, Open):
            self._on_open(body)
        elif not self._opened:
            raise FramingError("a frame before open")
        elif isinstance(body, Close):
            self.close()
        elif isinstance(body, Begin):
            self._on_begin(frame.channel, body)
        else:
            self._on_session_frame(frame)

    def _on_open(self, client: Open) -> None:
        if self._opened or client.max_frame_size < _SMALLEST_FRAME:
            raise FramingError("a second open, or one with frames too small")
        self._opened = True
        self.max_frame_out = min(client.max_frame_size, MAX_FRAME_BYTES)
        reply = Open(
            "vaultline-servicebus",
            max_frame_size=MAX_FRAME_BYTES,
            channel_max=CHANNEL_MAX,
            idle_time_out=IDLE_TIMEOUT_MS,
            properties={},
        )
        self.send(0, reply)
        if client.idle_time_out:
            half = client.idle_time_out / 2000
            self._keep_alive_every(max(half, _SHORTEST_KEEP_ALIVE_SECONDS))

    def _on_begin(self, channel: int, begin: Begin) -> None:
        session = self._sessions.get(channel)
        if channel > CHANNEL_MAX or (session is not None and not session.ended):
            raise FramingError(f"channel {channel} cannot begin a session")
        self._sessions[channel] = Session(self, channel, self._namespace, begin)

    def _on_session_frame(self, frame: Frame) -> None:
        session = self._sessions.get(frame.channel)
        if session is None:
            raise FramingError(f"a frame on channel {frame.channel}, which has no session")
        # The SDK detaches links behind the end of their session.
        if session.ended:
            return
        if isinstance(frame.body, End):
            session.end()
        else:
            session.receive(frame.body, frame.payload)

    def _keep_alive_every(self, seconds: float) -> None:
        """Empty frames, so that the client's idle time-out never comes."""
        self._put(EMPTY_FRAME)
        loop = asyncio.get_running_loop()
        self._keep_alive = loop.call_later(seconds, self._keep_alive_every, seconds)

    def _drop_sessions(self) -> None:
        for session in self._sessions.values():
            session.drop()
