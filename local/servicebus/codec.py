"""AMQP 1.0 type system: values to bytes and back (OASIS AMQP 1.0, part 1).

``encode`` chooses the shortest constructor that fits. ``decode`` raises :class:`DecodeError`
for anything that is not a complete, well-formed value; it never returns a partial one.
"""

import struct
from collections.abc import Callable
from uuid import UUID

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


class DecodeError(ValueError):
    """The bytes are not what AMQP allows here."""


# --- decoding ---------------------------------------------------------------------------------

Decoder = Callable[[bytes, int], tuple[object, int]]
Decoded = tuple[object, int]


def decode(buffer: bytes, offset: int = 0) -> Decoded:
    """The value that starts at ``offset`` and the offset behind it."""
    try:
        return _decode(buffer, offset)
    except DecodeError:
        raise
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, OverflowError) as error:
        raise DecodeError(f"malformed AMQP value: {error}") from error
    except RecursionError as error:
        raise DecodeError("AMQP value is nested too deeply") from error


def skip(buffer: bytes, offset: int) -> int:
    """The offset behind the value at ``offset``, without building the value."""
    if offset >= len(buffer):
        raise DecodeError("AMQP value is truncated")
    code = buffer[offset]
    if code == 0x00:
        return skip(buffer, skip(buffer, offset + 1))
    width = _WIDTHS.get(code >> 4)
    if width is None:
        raise DecodeError(f"unknown AMQP constructor 0x{code:02x}")
    end = offset + 1 + width
    if code >= 0xA0:
        end += int.from_bytes(buffer[offset + 1 : end], "big")
    if end > len(buffer):
        raise DecodeError("AMQP value is truncated")
    return end


# High nibble of a constructor -> bytes of fixed data, or of the size that precedes the data.
_WIDTHS = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16, 0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}


def _decode(buffer: bytes, offset: int) -> Decoded:
    return _decoder(buffer[offset])(buffer, offset + 1)


def _decoder(code: int) -> Decoder:
    try:
        return _DECODERS[code]
    except KeyError:
        raise DecodeError(f"unknown AMQP constructor 0x{code:02x}") from None


def _constant(value: object) -> Decoder:
    return lambda _buffer, offset: (value, offset)


def _fixed(layout: str, wrap: Callable[[int], object] | Callable[[float], object]) -> Decoder:
    unpack = struct.Struct(layout)

    def read(buffer: bytes, offset: int) -> Decoded:
        return wrap(unpack.unpack_from(buffer, offset)[0]), offset + unpack.size

    return read


def _opaque(width: int, wrap: Callable[[bytes], object]) -> Decoder:
    def read(buffer: bytes, offset: int) -> Decoded:
        return wrap(_take(buffer, offset, width)), offset + width

    return read


def _variable(layout: str, wrap: Callable[[bytes], object]) -> Decoder:
    size = struct.Struct(layout)

    def read(buffer: bytes, offset: int) -> Decoded:
        start = offset + size.size
        length = size.unpack_from(buffer, offset)[0]
        return wrap(_take(buffer, start, length)), start + length

    return read


def _take(buffer: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(buffer):
        raise DecodeError("AMQP value is truncated")
    return bytes(buffer[offset : offset + length])


def _compound(layout: str, build: Callable[[bytes, int, int], Decoded]) -> Decoder:
    """Lists, maps and arrays: size, count, then items that must fill the size exactly."""
    head = struct.Struct(layout)
    size_width = head.size // 2

    def read(buffer: bytes, offset: int) -> Decoded:
        size, count = head.unpack_from(buffer, offset)
        end = offset + size_width + size
        if end > len(buffer) or size < size_width:
            raise DecodeError("AMQP compound value is truncated")
        if count > size and build is not _array_items:
            raise DecodeError("AMQP compound value declares more items than bytes")
        value, reached = build(buffer, offset + head.size, count)
        if reached != end:
            raise DecodeError("AMQP compound value does not fill its size")
        return value, end

    return read


def _list_items(buffer: bytes, offset: int, count: int) -> Decoded:
    items = []
    for _ in range(count):
        item, offset = _decode(buffer, offset)
        items.append(item)
    return items, offset


def _map_items(buffer: bytes, offset: int, count: int) -> Decoded:
    if count % 2:
        raise DecodeError("AMQP map has a key without a value")
    entries: dict[object, object] = {}
    for _ in range(count // 2):
        key, offset = _decode(buffer, offset)
        entries[key], offset = _decode(buffer, offset)
    return entries, offset


def _array_items(buffer: bytes, offset: int, count: int) -> Decoded:
    code, offset = buffer[offset], offset + 1
    descriptor: object = None
    if code == 0x00:
        descriptor, offset = _decode(buffer, offset)
        code, offset = buffer[offset], offset + 1
    if count > len(buffer) - offset and code in (0x41, 0x42, 0x43, 0x44, 0x45, 0x40):
        raise DecodeError("AMQP array of empty values is implausibly long")
    read, items = _decoder(code), []
    for _ in range(count):
        item, offset = read(buffer, offset)
        items.append(Described(descriptor, item) if descriptor is not None else item)
    of: type[object] = Described if descriptor is not None else _ARRAY_TYPES.get(code, object)
    return Array(of, tuple(items)), offset


def _described(buffer: bytes, offset: int) -> Decoded:
    descriptor, offset = _decode(buffer, offset)
    value, offset = _decode(buffer, offset)
    return Described(descriptor, value), offset


def _boolean(octet: int) -> bool:
    if octet not in (0, 1):
        raise DecodeError("AMQP boolean is neither 0 nor 1")
    return octet == 1


def _char(code_point: int) -> Char:
    try:
        return Char(chr(code_point))
    except ValueError as error:
        raise DecodeError("AMQP char is not a code point") from error


def _string(octets: bytes) -> str:
    return octets.decode("utf-8")


def _symbol(octets: bytes) -> Symbol:
    return Symbol(octets.decode("ascii"))


def _uuid(octets: bytes) -> UUID:
    return UUID(bytes=octets)


_DECODERS: dict[int, Decoder] = {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(UInt(0)),
    0x44: _constant(ULong(0)),
    0x45: lambda _buffer, offset: ([], offset),
    0x50: _fixed(">B", UByte),
    0x51: _fixed(">b", Byte),
    0x52: _fixed(">B", UInt),
    0x53: _fixed(">B", ULong),
    0x54: _fixed(">b", Int),
    0x55: _fixed(">b", int),
    0x56: _fixed(">B", _boolean),
    0x60: _fixed(">H", UShort),
    0x61: _fixed(">h", Short),
    0x70: _fixed(">I", UInt),
    0x71: _fixed(">i", Int),
    0x72: _fixed(">f", Float),
    0x73: _fixed(">I", _char),
    0x74: _opaque(4, Decimal),
    0x80: _fixed(">Q", ULong),
    0x81: _fixed(">q", int),
    0x82: _fixed(">d", float),
    0x83: _fixed(">q", Timestamp),
    0x84: _opaque(8, Decimal),
    0x94: _opaque(16, Decimal),
    0x98: _opaque(16, _uuid),
    0xA0: _variable(">B", bytes),
    0xA1: _variable(">B", _string),
    0xA3: _variable(">B", _symbol),
    0xB0: _variable(">I", bytes),
    0xB1: _variable(">I", _string),
    0xB3: _variable(">I", _symbol),
    0xC0: _compound(">BB", _list_items),
    0xC1: _compound(">BB", _map_items),
    0xD0: _compound(">II", _list_items),
    0xD1: _compound(">II", _map_items),
    0xE0: _compound(">BB", _array_items),
    0xF0: _compound(">II", _array_items),
}


# --- encoding ---------------------------------------------------------------------------------


def encode(value: object) -> bytes:
    """The shortest encoding of ``value``; TypeError when AMQP has no such type."""
    try:
        encoder = _ENCODERS[type(value)]
    except KeyError:
        raise TypeError(f"AMQP cannot carry {type(value).__name__}") from None
    return encoder(value)


def encode_list(items: list[bytes]) -> bytes:
    """An AMQP list of values that are encoded already."""
    if not items:
        return b"\x45"
    return _sized_compound(0xC0, len(items), b"".join(items))


def encode_map(count: int, body: bytes) -> bytes:
    """An AMQP map from its encoded keys and values; ``count`` counts both."""
    return _sized_compound(0xC1, count, body)


def _sized_compound(short_code: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return struct.pack(">BBB", short_code, len(body) + 1, count) + body
    return struct.pack(">BII", short_code + 0x10, len(body) + 4, count) + body


def _packer(code: int, layout: str) -> Callable[[object], bytes]:
    pack = struct.Struct(">B" + layout).pack
    return lambda value: pack(code, value)


def _unsigned(zero: int, small: int, large: int, layout: str) -> Callable[[int], bytes]:
    pack = struct.Struct(">B" + layout).pack

    def write(value: int) -> bytes:
        if value == 0:
            return bytes((zero,))
        return bytes((small, value)) if 0 < value < 256 else pack(large, value)

    return write


def _signed(small: int, large: int, layout: str) -> Callable[[int], bytes]:
    pack = struct.Struct(">B" + layout).pack

    def write(value: int) -> bytes:
        return bytes((small, value & 0xFF)) if -128 <= value < 128 else pack(large, value)

    return write


def _sized(short_code: int, octets: bytes) -> bytes:
    if len(octets) < 256:
        return bytes((short_code, len(octets))) + octets
    return struct.pack(">BI", short_code + 0x10, len(octets)) + octets


def _encode_dict(entries: dict[object, object]) -> bytes:
    body = b"".join(encode(part) for pair in entries.items() for part in pair)
    return encode_map(2 * len(entries), body)


def _encode_described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


def _encode_array(array: Array[object]) -> bytes:
    """Items keep the widest constructor of their type, as an array has only one."""
    try:
        code, write = _ARRAY_FORMS[array.of]
    except KeyError:
        raise TypeError(f"AMQP arrays of {array.of.__name__} are not supported") from None
    body = bytes((code,)) + b"".join(write(item) for item in array.items)
    return _sized_compound(0xE0, len(array.items), body)


def _raw(layout: str) -> Callable[[object], bytes]:
    return struct.Struct(">" + layout).pack


def _prefixed(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


def _encode_decimal(value: Decimal) -> bytes:
    return bytes(({4: 0x74, 8: 0x84, 16: 0x94}[len(value)],)) + value


_ENCODERS: dict[type, Callable[..., bytes]] = {
    type(None): lambda _value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _packer(0x50, "B"),
    Byte: _packer(0x51, "b"),
    UShort: _packer(0x60, "H"),
    Short: _packer(0x61, "h"),
    UInt: _unsigned(0x43, 0x52, 0x70, "I"),
    ULong: _unsigned(0x44, 0x53, 0x80, "Q"),
    Int: _signed(0x54, 0x71, "i"),
    int: _signed(0x55, 0x81, "q"),
    Timestamp: _packer(0x83, "q"),
    Float: _packer(0x72, "f"),
    float: _packer(0x82, "d"),
    Char: lambda value: struct.pack(">BI", 0x73, ord(value)),
    Decimal: _encode_decimal,
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _sized(0xA0, value),
    bytearray: lambda value: _sized(0xA0, bytes(value)),
    str: lambda value: _sized(0xA1, value.encode()),
    Symbol: lambda value: _sized(0xA3, value.encode("ascii")),
    list: lambda value: encode_list([encode(item) for item in value]),
    dict: _encode_dict,
    Described: _encode_described,
    Array: _encode_array,
}

_ARRAY_FORMS: dict[type, tuple[int, Callable[..., bytes]]] = {
    UInt: (0x70, _raw("I")),
    ULong: (0x80, _raw("Q")),
    Int: (0x71, _raw("i")),
    int: (0x81, _raw("q")),
    Timestamp: (0x83, _raw("q")),
    UUID: (0x98, lambda value: value.bytes),
    bytes: (0xB0, _prefixed),
    str: (0xB1, lambda value: _prefixed(value.encode())),
    Symbol: (0xB3, lambda value: _prefixed(value.encode("ascii"))),
}

_ARRAY_TYPES: dict[int, type] = {
    **{code: of for of, (code, _) in _ARRAY_FORMS.items()},
    0x52: UInt,
    0x53: ULong,
    0x54: Int,
    0x55: int,
    0xA0: bytes,
    0xA1: str,
    0xA3: Symbol,
}
