"""The azure.functions library's own converters and type inspection, behind typed functions."""

from typing import Any

# The worker carries this very module to tell generic annotations from types; its answers
# differ from those of `typing.get_origin` (for `list[X]` and `X | None`, for example).
from azure.functions._thirdparty import typing_inspect
from azure.functions.meta import get_binding_registry


def converter(kind: str) -> Any:
    """The converter of a binding type, or None when the library has none."""
    return get_binding_registry().get(kind)  # type: ignore[no-untyped-call]


def is_generic(annotation: Any) -> bool:
    """Whether the worker takes ``annotation`` for a generic type."""
    return bool(typing_inspect.is_generic_type(annotation))  # type: ignore[no-untyped-call]


def generic_origin(annotation: Any) -> Any:
    """The unsubscripted type of a generic annotation, or None."""
    return typing_inspect.get_origin(annotation)  # type: ignore[no-untyped-call]
