"""Messages pass through the broker with every byte that is not the broker's own."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.codec import DecodeError, decode, encode
from local.servicebus.message import (
    BATCH_FORMAT,
    Stamp,
    parse_message,
    parse_transfer,
    render,
    sections,
    with_application_properties,
)
from local.servicebus.values import Symbol, Timestamp, UByte, UInt, ULong

STAMP = Stamp(sequence_number=5, enqueued_at=1000, delivery_count=2, state=0, locked_until=9000)


def section(code: int, value: object) -> bytes:
    return bytes((0x00, 0x53, code)) + encode(value)


def value_of(raw: bytes, code: int) -> object:
    return next(decode(raw, s.value)[0] for s in sections(raw) if s.code == code)


HEADER = section(0x70, [True, UByte(7), UInt(60_000), None, UInt(3)])
ANNOTATIONS = section(
    0x72,
    {
        Symbol("x-opt-partition-key"): "p",
        Symbol("x-opt-scheduled-enqueue-time"): Timestamp(5000),
        Symbol("x-opt-sequence-number"): 999,
    },
)
PROPERTIES = section(0x73, ["id-1", None, None, "subject", None, ULong(7), Symbol("a/b")])
APPLICATION = section(0x74, {"traceparent": "00-1", "DeadLetterReason": "old"})
BODY = section(0x75, b"\x00\xff")
FOOTER = section(0x78, {Symbol("f"): 1})


def test_what_decides_a_messages_fate_is_read() -> None:
    message = parse_message(HEADER + ANNOTATIONS + PROPERTIES + APPLICATION + BODY + FOOTER)
    assert message.message_id == "id-1"
    assert message.ttl_ms == 60_000
    assert message.scheduled_at == 5000


def test_only_header_and_annotations_are_rewritten() -> None:
    bare = PROPERTIES + APPLICATION + BODY + FOOTER
    raw = render(parse_message(HEADER + ANNOTATIONS + bare), STAMP)
    assert raw.endswith(bare)
    assert raw.count(b"x-opt-sequence-number") == 1
    assert value_of(raw, 0x70) == [True, 7, 60_000, None, 2]
    assert value_of(raw, 0x72) == {
        "x-opt-partition-key": "p",
        "x-opt-scheduled-enqueue-time": 5000,
        "x-opt-sequence-number": 5,
        "x-opt-enqueued-time": 1000,
        "x-opt-locked-until": 9000,
        "x-opt-message-state": 0,
    }


@pytest.mark.parametrize("application", [APPLICATION, b""])
def test_dead_letter_reasons_are_added_to_the_application_properties(application: bytes) -> None:
    message = parse_message(HEADER + PROPERTIES + application + BODY)
    added = with_application_properties(message, {"DeadLetterReason": "new"})
    kept = {"traceparent": "00-1"} if application else {}
    assert value_of(added.raw, 0x74) == {**kept, "DeadLetterReason": "new"}
    assert added.raw.count(b"DeadLetterReason") == 1
    assert added.raw.startswith(HEADER + PROPERTIES)
    assert added.raw.endswith(BODY)


@pytest.mark.parametrize(
    ("message_id", "key"),
    [
        ("", None),
        (None, None),
        (ULong(7), "ULong:7"),
        (b"\x01", "binary:01"),
        (UUID(int=1), f"UUID:{UUID(int=1)}"),
    ],
)
def test_message_ids_of_every_type_make_distinct_keys(message_id: object, key: str | None) -> None:
    assert parse_message(section(0x73, [message_id]) + BODY).message_id == key


def test_a_batch_holds_one_message_a_data_section() -> None:
    payload = section(0x75, PROPERTIES + BODY) + section(0x75, BODY)
    assert [m.message_id for m in parse_transfer(payload, BATCH_FORMAT)] == ["id-1", None]
    assert len(parse_transfer(payload, 0)) == 1


ODD_MAP = b"\x00\x53\x74\xc1\x04\x01\xa1\x01k"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01",
        section(0x60, []),
        section(0x73, "x"),
        BODY[:-1],
        section(0x74, ["no map"]) + BODY,
        ODD_MAP + BODY,
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_message(raw)


@given(st.binary(max_size=100))
def test_garbage_never_escapes_as_another_error(garbage: bytes) -> None:
    for message_format in (0, BATCH_FORMAT):
        try:
            parse_transfer(garbage, message_format)
        except DecodeError:
            continue
