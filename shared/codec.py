"""Frozen dataclasses to JSON and back, validated by pydantic on the way in."""

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.model.errors import Invalid

T = TypeVar("T")


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Built once a type: that is the slow part of pydantic."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(value: Any) -> str:
    """`value`, a frozen dataclass, as compact JSON."""
    return _adapter(type(value)).dump_json(value).decode()


def to_dict(value: Any) -> dict[str, Any]:
    """`value` as JSON-ready plain values."""
    plain: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return plain


def from_json(kind: type[T], text: str | bytes) -> T:
    """The `kind` that `text` holds. Raises `Invalid` with the fields that are wrong."""
    try:
        value: T = _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise Invalid(explain(error)) from None
    return value


def from_plain(kind: type[T], values: Any) -> T:
    """The `kind` that plain values (of JSON) describe. Raises `Invalid`."""
    try:
        value: T = _adapter(kind).validate_python(values)
    except ValidationError as error:
        raise Invalid(explain(error)) from None
    return value


def explain(error: ValidationError) -> str:
    """A validation error as one line for people: each wrong field and why, without its value."""
    rows = [f"{_where(row['loc'])}{_what(row['msg'])}" for row in error.errors(include_url=False)]
    return "; ".join(rows[:5]) + (f"; and {len(rows) - 5} more" if len(rows) > 5 else "")


def _where(loc: tuple[int | str, ...]) -> str:
    path = ".".join(str(part) for part in loc)
    return f"{path}: " if path else ""


def _what(message: str) -> str:
    """What is wrong, without pydantic's word for what our own checks said."""
    return message.removeprefix("Value error, ")
