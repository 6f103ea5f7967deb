"""Frames and performatives: streams are cut right however they arrive."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus import performatives as p
from local.servicebus.codec import DecodeError, decode, encode
from local.servicebus.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    Frame,
    FrameReader,
    FramingError,
    encode_frame,
)
from local.servicebus.performatives import encode_composite, interpret
from local.servicebus.values import Array, Described, Symbol, UInt, ULong

COMPOSITES: list[p.Composite] = [
    p.Open("client", idle_time_out=1000, properties={Symbol("product"): "sdk"}),
    p.Begin(3, 1, 100, 100),
    p.Attach("name", 7, p.RECEIVER, source=Described(ULong(0x28), ["queue"]), properties={}),
    p.Flow(1, 2, 3, 4, 5, 6, 7, drain=True),
    p.Transfer(1, 2, b"tag", 0, settled=False, more=True),
    p.Disposition(p.RECEIVER, 4, 9, state=p.Rejected(p.AmqpError("a:b", "why", {"k": None}))),
    p.Disposition(p.SENDER, 4, settled=True, state=p.Modified(True, False)),
    p.Disposition(p.SENDER, 4, settled=True, state=p.Released()),
    p.Detach(1, closed=True, error=p.AmqpError("amqp:not-found")),
    p.End(),
    p.Close(p.AmqpError("amqp:internal-error", "x")),
    p.SaslMechanisms(Array(Symbol, (Symbol("ANONYMOUS"),))),
    p.SaslInit("ANONYMOUS"),
    p.SaslOutcome(0),
]


def _pieces(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield stream[:size]
        stream = stream[size:]
    yield stream


@pytest.mark.parametrize("value", COMPOSITES, ids=lambda value: type(value).__name__)
def test_a_performative_comes_back(value: p.Composite) -> None:
    assert interpret(decode(encode_composite(value))[0]) == value


@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_stream_is_cut_the_same_however_it_arrives(sizes: list[int]) -> None:
    frames = [encode_frame(3, body, b"payload") for body in COMPOSITES]
    stream = AMQP_HEADER + EMPTY_FRAME + b"".join(frames)
    reader = FrameReader(65536)
    units = [unit for piece in _pieces(stream, sizes) for unit in reader.feed(piece)]
    expected = [Frame(0, 3, body, b"payload") for body in COMPOSITES]
    assert units == [AMQP_HEADER, Frame(0, 0, None), *expected]


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for(garbage: bytes) -> None:
    reader = FrameReader(512)
    try:
        list(reader.feed(garbage))
    except (FramingError, DecodeError):
        return


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("00000004 02000000"),
        bytes.fromhex("7fffffff 02000000"),
        bytes.fromhex("00000008 01000000"),
        bytes.fromhex("00000008 09000000"),
        bytes.fromhex("00000008 02070000"),
    ],
)
def test_impossible_frame_headers_are_refused(octets: bytes) -> None:
    with pytest.raises(FramingError):
        list(FrameReader(65536).feed(octets))


@pytest.mark.parametrize(
    "value",
    [
        Described(ULong(0x12), ["name"]),
        Described(ULong(0x12), [1, UInt(1), True]),
        Described(ULong(0x18), [None, None]),
        Described(ULong(0x14), "not a list"),
        Described(ULong(0x99), []),
        "no performative",
    ],
)
def test_a_frame_body_must_be_a_performative_with_its_fields(value: object) -> None:
    body = encode(value)
    frame = (8 + len(body)).to_bytes(4, "big") + b"\x02\x00\x00\x00" + body
    with pytest.raises(DecodeError):
        list(FrameReader(65536).feed(frame))


def test_errors_and_performatives_are_written_at_full_length() -> None:
    value, _ = decode(encode_composite(p.Close(p.AmqpError("amqp:not-found"))))
    assert isinstance(value, Described)
    assert value.value == [Described(ULong(0x1D), [Symbol("amqp:not-found"), None, {}])]
