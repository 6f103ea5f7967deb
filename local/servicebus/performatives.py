"""AMQP 1.0 performatives, outcomes and errors as frozen values.

Field types name their wire type once; it serves both directions. Performatives are always
written at full length with explicit nulls, and errors with all three fields: the Python SDK
indexes them without looking at their length.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from local.servicebus.codec import DecodeError, encode, encode_list
from local.servicebus.values import Array, Described, Symbol, UByte, UInt, ULong, UShort

U8 = Annotated[int, UByte]
U16 = Annotated[int, UShort]
U32 = Annotated[int, UInt]
U64 = Annotated[int, ULong]
Name = Annotated[str, Symbol]
Fields = Mapping[object, object]

SENDER, RECEIVER = False, True
SETTLED_BY_SENDER = 1
UNLIMITED = 0xFFFF_FFFF


class Composite(Protocol):
    """A described list."""

    CODE: ClassVar[int]


_BY_CODE: dict[int, type] = {}
C = TypeVar("C", bound=type)


def composite(cls: C) -> C:
    """Register a dataclass as the described list of its ``CODE``."""
    _BY_CODE[cls.CODE] = cls  # type: ignore[attr-defined]
    return cls


@composite
@dataclass(frozen=True, slots=True)
class AmqpError:
    """Why a link, session, connection or delivery failed."""

    CODE: ClassVar = 0x1D
    condition: Name
    description: str | None = None
    info: Fields = field(default_factory=dict)


@composite
@dataclass(frozen=True, slots=True)
class Accepted:
    CODE: ClassVar = 0x24


@composite
@dataclass(frozen=True, slots=True)
class Rejected:
    CODE: ClassVar = 0x25
    error: AmqpError | None = None


@composite
@dataclass(frozen=True, slots=True)
class Released:
    CODE: ClassVar = 0x26


@composite
@dataclass(frozen=True, slots=True)
class Modified:
    CODE: ClassVar = 0x27
    delivery_failed: bool | None = None
    undeliverable_here: bool | None = None
    message_annotations: Fields | None = None


@composite
@dataclass(frozen=True, slots=True)
class Open:
    CODE: ClassVar = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: U32 = UNLIMITED
    channel_max: U16 = 65535
    idle_time_out: U32 | None = None
    outgoing_locales: object = None
    incoming_locales: object = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: Fields | None = None


@composite
@dataclass(frozen=True, slots=True)
class Begin:
    CODE: ClassVar = 0x11
    remote_channel: U16 | None = None
    next_outgoing_id: U32 = 0
    incoming_window: U32 = 0
    outgoing_window: U32 = 0
    handle_max: U32 = UNLIMITED
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: Fields | None = None


@composite
@dataclass(frozen=True, slots=True)
class Attach:
    CODE: ClassVar = 0x12
    name: str
    handle: U32
    role: bool
    snd_settle_mode: U8 = 2
    rcv_settle_mode: U8 = 0
    source: object = None
    target: object = None
    unsettled: Fields | None = None
    incomplete_unsettled: bool = False
    initial_delivery_count: U32 | None = None
    max_message_size: U64 | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: Fields | None = None


@composite
@dataclass(frozen=True, slots=True)
class Flow:
    CODE: ClassVar = 0x13
    next_incoming_id: U32 | None = None
    incoming_window: U32 = 0
    next_outgoing_id: U32 = 0
    outgoing_window: U32 = 0
    handle: U32 | None = None
    delivery_count: U32 | None = None
    link_credit: U32 | None = None
    available: U32 | None = None
    drain: bool = False
    echo: bool = False
    properties: Fields | None = None


@composite
@dataclass(frozen=True, slots=True)
class Transfer:
    CODE: ClassVar = 0x14
    handle: U32
    delivery_id: U32 | None = None
    delivery_tag: bytes | None = None
    message_format: U32 | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: U8 | None = None
    state: object = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@composite
@dataclass(frozen=True, slots=True)
class Disposition:
    CODE: ClassVar = 0x15
    role: bool
    first: U32
    last: U32 | None = None
    settled: bool = False
    state: object = None
    batchable: bool = False


@composite
@dataclass(frozen=True, slots=True)
class Detach:
    CODE: ClassVar = 0x16
    handle: U32
    closed: bool = False
    error: AmqpError | None = None


@composite
@dataclass(frozen=True, slots=True)
class End:
    CODE: ClassVar = 0x17
    error: AmqpError | None = None


@composite
@dataclass(frozen=True, slots=True)
class Close:
    CODE: ClassVar = 0x18
    error: AmqpError | None = None


@composite
@dataclass(frozen=True, slots=True)
class SaslMechanisms:
    CODE: ClassVar = 0x40
    mechanisms: Array[Symbol]


@composite
@dataclass(frozen=True, slots=True)
class SaslInit:
    CODE: ClassVar = 0x41
    mechanism: Name
    initial_response: bytes | None = None
    hostname: str | None = None


@composite
@dataclass(frozen=True, slots=True)
class SaslOutcome:
    CODE: ClassVar = 0x44
    code: U8
    additional_data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field travels: its Python type to check, its wire type to write, its default."""

    name: str
    accepts: tuple[type, ...]
    wire: type | None
    default: object
    required: bool


def _plan(cls: type) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_plan_field(f.name, hints[f.name], _default(f)) for f in fields(cls))


def _default(f: Any) -> object:
    if f.default_factory is not MISSING:
        return f.default_factory()
    return f.default


def _plan_field(name: str, hint: object, default: object) -> _Field:
    wire: type | None = None
    accepts: list[type] = []
    for alternative in _alternatives(hint):
        part = alternative
        if get_origin(alternative) is Annotated:
            part, wire = get_args(alternative)
        accepts.append(dict if part == Fields else get_origin(part) or part)
    required = default is MISSING
    return _Field(name, tuple(accepts), wire, None if required else default, required)


def _alternatives(hint: object) -> tuple[Any, ...]:
    if get_origin(hint) in (Annotated, Array) or hint == Fields or isinstance(hint, type):
        return (hint,)
    return get_args(hint) or (hint,)


_PLANS: dict[type, tuple[_Field, ...]] = {cls: _plan(cls) for cls in _BY_CODE.values()}


def encode_composite(value: Composite) -> bytes:
    """A performative, outcome or error at full field length."""
    parts = [_encode_field(f, getattr(value, f.name)) for f in _PLANS[type(value)]]
    return bytes((0x00, 0x53, value.CODE)) + encode_list(parts)


def _encode_field(f: _Field, value: Any) -> bytes:
    if value is None:
        return b"\x40"
    if f.wire is not None:
        return encode(f.wire(value))
    return encode_composite(value) if type(value) in _PLANS else encode(value)


def interpret(value: object) -> Any:
    """The performative, outcome or error that a decoded described list stands for.

    A described value of another kind (a terminus, a filter) is returned as it is.
    """
    if not isinstance(value, Described):
        return value
    cls = _BY_CODE.get(value.descriptor) if isinstance(value.descriptor, int) else None
    if cls is None:
        return value
    if not isinstance(value.value, list):
        raise DecodeError(f"{cls.__name__} is not a list")
    return _build(cls, value.value)


def _build(cls: type, items: list[object]) -> object:
    plan = _PLANS[cls]
    if len(items) > len(plan):
        raise DecodeError(f"{cls.__name__} has {len(items)} fields, at most {len(plan)} exist")
    padded = [*items, *[None] * (len(plan) - len(items))]
    return cls(*(_read_field(cls, f, item) for f, item in zip(plan, padded, strict=True)))


def _read_field(cls: type, f: _Field, item: object) -> object:
    if item is None:
        if f.required:
            raise DecodeError(f"{cls.__name__} lacks {f.name}")
        return f.default
    value = interpret(item)
    if f.accepts == (object,) or isinstance(value, f.accepts):
        return value
    raise DecodeError(f"{cls.__name__}.{f.name} has a wrong type")
