"""The AMQP type system: what is written is read back, and nothing else gets in."""

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.codec import DecodeError, decode, encode, skip
from local.servicebus.values import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)


def _integers(wrap: type, bits: int, *, signed: bool) -> st.SearchStrategy[object]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(wrap)


SYMBOLS = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
KEYS = st.one_of(st.text(max_size=20), _integers(int, 64, signed=True))
ARRAYS = st.one_of(
    st.lists(_integers(int, 64, signed=True)).map(lambda v: Array(int, tuple(v))),
    st.lists(_integers(Timestamp, 64, signed=True)).map(lambda v: Array(Timestamp, tuple(v))),
    st.lists(st.uuids()).map(lambda v: Array(UUID, tuple(v))),
    st.lists(SYMBOLS).map(lambda v: Array(Symbol, tuple(v))),
    st.lists(st.text()).map(lambda v: Array(str, tuple(v))),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    _integers(UByte, 8, signed=False),
    _integers(UShort, 16, signed=False),
    _integers(UInt, 32, signed=False),
    _integers(ULong, 64, signed=False),
    _integers(Byte, 8, signed=True),
    _integers(Short, 16, signed=True),
    _integers(Int, 32, signed=True),
    _integers(int, 64, signed=True),
    _integers(Timestamp, 64, signed=True),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Float),
    st.characters(exclude_categories=["Cs"]).map(Char),
    st.sampled_from([4, 8, 16]).flatmap(lambda n: st.binary(min_size=n, max_size=n)).map(Decimal),
    st.uuids(),
    st.binary(max_size=600),
    st.text(max_size=300),
    SYMBOLS,
    ARRAYS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(KEYS, inner, max_size=6),
        st.builds(Described, _integers(ULong, 64, signed=False), inner),
    ),
    max_leaves=20,
)


def _typed(value: object) -> object:
    """The value with the type of every part, as ``UInt(1) == Int(1) == 1 == True`` in Python."""
    match value:
        case list():
            return [_typed(item) for item in value]
        case dict():
            return [(_typed(key), _typed(item)) for key, item in value.items()]
        case Described(descriptor, inner):
            return "described", _typed(descriptor), _typed(inner)
        case Array(of, items):
            return of, [_typed(item) for item in items]
    return type(value), value


@given(VALUES)
def test_a_value_comes_back_with_its_type(value: object) -> None:
    encoded = encode(value)
    decoded, end = decode(encoded)
    assert end == len(encoded)
    assert _typed(decoded) == _typed(value)


@given(VALUES, st.binary(max_size=8))
def test_skip_and_decode_agree_on_the_end(value: object, behind: bytes) -> None:
    encoded = encode(value)
    assert skip(encoded + behind, 0) == len(encoded)
    assert decode(encoded + behind)[1] == len(encoded)


@given(VALUES, st.data())
def test_a_truncated_value_is_refused(value: object, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with pytest.raises(DecodeError):
        decode(cut)


@given(st.binary(max_size=200))
def test_garbage_is_a_decode_error_or_a_value_within_the_bytes(garbage: bytes) -> None:
    try:
        _, end = decode(garbage)
    except DecodeError:
        return
    assert 0 < end <= len(garbage)


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("40", None),
        ("5601", True),
        ("43", UInt(0)),
        ("7000000100", UInt(256)),
        ("5403", Int(3)),
        ("55ff", -1),
        ("8300000000000003e8", Timestamp(1000)),
        ("a10141", "A"),
        ("c0050254015402", [Int(1), Int(2)]),
        ("00534045", Described(ULong(0x40), [])),
    ],
)
def test_wire_forms_of_the_specification(octets: str, value: object) -> None:
    assert _typed(decode(bytes.fromhex(octets))[0]) == _typed(value)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00" * 5000,
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xc1\x02\x01\x40",
        b"\xc0\x03\x01\x40\x40",
        b"\xa1\x01\xff",
        b"\x56\x02",
        b"\x3f",
        b"",
    ],
)
def test_hostile_values_are_refused_at_once(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(octets)


def test_a_type_amqp_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        encode({1, 2})
    with pytest.raises(struct.error):
        encode(UShort(70_000))
