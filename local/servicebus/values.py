"""AMQP 1.0 primitive types that Python's own types cannot tell apart.

A plain ``int`` is an AMQP ``long``, ``float`` a ``double``, ``str`` a ``string``, ``bytes`` a
``binary``; ``None``, ``bool``, ``UUID``, ``list`` and ``dict`` are what they look like.
Everything else needs one of these names to keep its wire type.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar


class UByte(int):
    """Unsigned, 8 bits."""


class UShort(int):
    """Unsigned, 16 bits."""


class UInt(int):
    """Unsigned, 32 bits."""


class ULong(int):
    """Unsigned, 64 bits."""


class Byte(int):
    """Signed, 8 bits."""


class Short(int):
    """Signed, 16 bits."""


class Int(int):
    """Signed, 32 bits."""


class Timestamp(int):
    """Milliseconds since the Unix epoch, UTC."""


class Float(float):
    """IEEE 754, 32 bits."""


class Char(str):
    """One Unicode code point."""

    __slots__ = ()


class Symbol(str):
    """ASCII name from a constrained domain."""

    __slots__ = ()


class Decimal(bytes):
    """IEEE 754 decimal of 32, 64 or 128 bits, carried opaquely."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value annotated with what it means."""

    descriptor: object
    value: object


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Array(Generic[T]):
    """Values of one wire type; the type is that of ``of`` and holds for an empty array, too."""

    of: type[T]
    items: tuple[T, ...] = ()
