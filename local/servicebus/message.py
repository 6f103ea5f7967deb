"""A message as the broker sees it: the sender's bytes, and the few fields that decide its fate.

Properties, application properties, body and footer leave exactly as they came. Only header and
message annotations are written anew for each delivery; application properties change once, when
a message is dead-lettered.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from local.servicebus.codec import DecodeError, decode, encode, encode_list, encode_map, skip
from local.servicebus.values import Int, Timestamp, UByte, UInt

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = range(0x73, 0x79)

BATCH_FORMAT = 0x80013700

SCHEDULED_ENQUEUE_TIME = "x-opt-scheduled-enqueue-time"
# Written by the broker; whatever a sender put there is not passed on.
_BROKER_ANNOTATIONS = frozenset(
    {
        "x-opt-sequence-number",
        "x-opt-enqueued-time",
        "x-opt-locked-until",
        "x-opt-message-state",
        "x-opt-enqueue-sequence-number",
    }
)
_KEYS = {name: b"\xa3" + bytes((len(name),)) + name.encode() for name in _BROKER_ANNOTATIONS}


class Section(NamedTuple):
    """One section of an encoded message: descriptor code and byte offsets."""

    code: int
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Message:
    """``raw`` is the whole encoded message; the rest is read from it.

    Times are milliseconds since the epoch, durations milliseconds.
    """

    raw: bytes
    message_id: str | None
    ttl_ms: int | None
    scheduled_at: int | None
    durable: bool | None
    priority: int | None
    annotations: bytes
    annotation_count: int
    bare_start: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the broker knows about a message when it hands it out."""

    sequence_number: int
    enqueued_at: int
    delivery_count: int
    state: int
    locked_until: int | None = None


def parse_message(raw: bytes) -> Message:
    """Read one encoded message; DecodeError when it is not one."""
    durable = priority = ttl = message_id = None
    kept, kept_count, scheduled_at, bare_start = b"", 0, None, len(raw)
    for section in sections(raw):
        if section.code >= PROPERTIES:
            bare_start = min(bare_start, section.start)
        if section.code == HEADER:
            durable, priority, ttl = _read_header(raw, section)
        elif section.code == MESSAGE_ANNOTATIONS:
            kept, kept_count, scheduled_at = _read_annotations(raw, section)
        elif section.code == PROPERTIES:
            message_id = _read_message_id(raw, section)
        elif section.code == APPLICATION_PROPERTIES:
            # Dead-lettering will add to them, at a time when nobody can be refused any more.
            _walk(_pairs(raw, section.value))
    return Message(
        raw, message_id, ttl, scheduled_at, durable, priority, kept, kept_count, bare_start
    )


def parse_transfer(payload: bytes, message_format: int | None) -> tuple[Message, ...]:
    """The messages of one delivery: one, or those of a Service Bus batch (one a data section)."""
    if message_format != BATCH_FORMAT:
        return (parse_message(payload),)
    bodies = (decode(payload, s.value)[0] for s in sections(payload) if s.code == DATA)
    messages = tuple(parse_message(body) for body in bodies if isinstance(body, bytes))
    if not messages:
        raise DecodeError("a batch without messages")
    return messages


def render(message: Message, stamp: Stamp) -> bytes:
    """The message as it goes to a receiver."""
    return (
        _encode_header(message, stamp.delivery_count)
        + _encode_annotations(message, stamp)
        + message.raw[message.bare_start :]
    )


def with_application_properties(message: Message, updates: Mapping[str, str]) -> Message:
    """The message with application properties set; all others keep their bytes."""
    raw = message.raw
    existing = next((s for s in sections(raw) if s.code == APPLICATION_PROPERTIES), None)
    kept: list[bytes] = []
    if existing is not None:
        kept = [raw[a:b] for key, a, _, b in _pairs(raw, existing.value) if key not in updates]
    added = [encode(key) + encode(value) for key, value in updates.items()]
    section = _section(
        APPLICATION_PROPERTIES, encode_map(2 * (len(kept) + len(added)), b"".join(kept + added))
    )
    start, end = (existing.start, existing.end) if existing else (_body_start(raw),) * 2
    return parse_message(raw[:start] + section + raw[end:])


def sections(raw: bytes) -> Iterator[Section]:
    """Walk the sections without building their values."""
    offset = 0
    while offset < len(raw):
        if raw[offset] != 0x00:
            raise DecodeError("a message section must be a described value")
        descriptor, value = decode(raw, offset + 1)
        if not isinstance(descriptor, int) or not HEADER <= descriptor <= FOOTER:
            raise DecodeError(f"unknown message section {descriptor!r}")
        end = skip(raw, value)
        yield Section(int(descriptor), offset, value, end)
        offset = end


def _body_start(raw: bytes) -> int:
    body = (s.start for s in sections(raw) if s.code > APPLICATION_PROPERTIES)
    return next(body, len(raw))


def _read_list(raw: bytes, section: Section) -> list[object]:
    value, _ = decode(raw, section.value)
    if not isinstance(value, list):
        raise DecodeError("a header or properties section must be a list")
    return value


def _read_header(raw: bytes, section: Section) -> tuple[bool | None, int | None, int | None]:
    durable, priority, ttl = ([*_read_list(raw, section), None, None, None])[:3]
    return (
        durable if isinstance(durable, bool) else None,
        priority if isinstance(priority, UByte) else None,
        ttl if isinstance(ttl, UInt) else None,
    )


def _read_message_id(raw: bytes, section: Section) -> str | None:
    """A key that tells ids of different AMQP types apart; None for no or an empty id."""
    found = ([*_read_list(raw, section), None])[0]
    if isinstance(found, str):
        return found or None
    if isinstance(found, bytes):
        return f"binary:{found.hex()}"
    return f"{type(found).__name__}:{found}" if isinstance(found, UUID | int) else None


def _read_annotations(raw: bytes, section: Section) -> tuple[bytes, int, int | None]:
    kept: list[bytes] = []
    scheduled_at: int | None = None
    for key, start, value, end in _pairs(raw, section.value):
        if key in _BROKER_ANNOTATIONS:
            continue
        if key == SCHEDULED_ENQUEUE_TIME:
            due = decode(raw, value)[0]
            scheduled_at = int(due) if isinstance(due, int) else None
        kept.append(raw[start:end])
    return b"".join(kept), 2 * len(kept), scheduled_at


def _pairs(raw: bytes, offset: int) -> Iterator[tuple[object, int, int, int]]:
    """Key, key offset, value offset and end of each entry of the map at ``offset``."""
    code = raw[offset]
    if code not in (0xC1, 0xD1):
        raise DecodeError("annotations and application properties must be maps")
    width = 1 if code == 0xC1 else 4
    end, offset = skip(raw, offset), offset + 1 + 2 * width
    while offset < end:
        key, value = decode(raw, offset)
        after = skip(raw, value)
        yield key, offset, value, after
        offset = after
    if offset != end:
        raise DecodeError("a map does not fill its size with keys and values")


def _walk(pairs: Iterator[object]) -> None:
    """Let the iterator raise what it has to raise."""
    deque(pairs, maxlen=0)


def _section(code: int, value: bytes) -> bytes:
    return bytes((0x00, 0x53, code)) + value


def _encode_header(message: Message, delivery_count: int) -> bytes:
    parts = [
        encode(message.durable),
        encode(message.priority),
        encode(None if message.ttl_ms is None else UInt(message.ttl_ms)),
        encode(None),
        encode(UInt(delivery_count)),
    ]
    return _section(HEADER, encode_list(parts))


def _encode_annotations(message: Message, stamp: Stamp) -> bytes:
    parts = [
        message.annotations,
        _KEYS["x-opt-sequence-number"] + encode(stamp.sequence_number),
        _KEYS["x-opt-enqueued-time"] + encode(Timestamp(stamp.enqueued_at)),
        _KEYS["x-opt-message-state"] + encode(Int(stamp.state)),
    ]
    if stamp.locked_until is not None:
        parts.append(_KEYS["x-opt-locked-until"] + encode(Timestamp(stamp.locked_until)))
    count = message.annotation_count + 2 * (len(parts) - 1)
    return _section(MESSAGE_ANNOTATIONS, encode_map(count, b"".join(parts)))
