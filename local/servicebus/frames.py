"""AMQP 1.0 framing: a byte stream to protocol headers and frames, and back."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.servicebus.codec import DecodeError, decode
from local.servicebus.performatives import Composite, encode_composite, interpret

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1

_HEAD = struct.Struct(">IBBH")


class FramingError(ValueError):
    """No frame can be formed from these bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``body`` is a performative, or None in an empty (keep-alive) frame."""

    kind: int
    channel: int
    body: Any
    payload: bytes = b""


def encode_frame(
    channel: int, body: Composite, payload: bytes = b"", kind: int = AMQP_FRAME
) -> bytes:
    """One frame. The caller keeps it within the peer's max-frame-size."""
    performative = encode_composite(body)
    size = _HEAD.size + len(performative) + len(payload)
    return _HEAD.pack(size, 2, kind, channel) + performative + payload


class FrameReader:
    """Cuts a stream into protocol headers (``bytes``) and :class:`Frame` values.

    ``feed`` yields what is complete and keeps the rest. It raises FramingError or DecodeError
    at the first bytes that cannot be AMQP; the stream has no meaning after that.
    """

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes | Frame]:
        self._pending += chunk
        while (length := self._next_length()) is not None:
            unit = bytes(self._pending[:length])
            del self._pending[:length]
            yield unit if unit.startswith(b"AMQP") else _parse(unit)

    def _next_length(self) -> int | None:
        if len(self._pending) < _HEAD.size:
            return None
        if self._pending.startswith(b"AMQP"):
            return len(AMQP_HEADER)
        size = _HEAD.unpack_from(self._pending)[0]
        if not _HEAD.size <= size <= self._max_frame_size:
            raise FramingError(f"frame size {size} is outside 8..{self._max_frame_size}")
        return size if len(self._pending) >= size else None


def _parse(unit: bytes) -> Frame:
    size, data_offset, kind, channel = _HEAD.unpack_from(unit)
    start = data_offset * 4
    if data_offset < 2 or start > size or kind not in (AMQP_FRAME, SASL_FRAME):
        raise FramingError(f"bad frame header: data offset {data_offset}, type {kind}")
    if start == size:
        return Frame(kind, channel, None)
    value, end = decode(unit, start)
    body = interpret(value)
    if body is value:
        raise DecodeError("frame body is not a known performative")
    return Frame(kind, channel, body, unit[end:])
