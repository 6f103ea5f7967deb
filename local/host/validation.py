"""The checks that the real Python worker makes before it accepts a function.

A function that passes here is accepted by `func start` and Azure; one that fails there must fail
here, with the function and the reason named.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.host.converters import converter, generic_origin, is_generic

GENERIC = "generic"
RETURN = "$return"


class FunctionLoadError(Exception):
    """A function that the worker would refuse."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"function '{function}' cannot be loaded: {reason}")
        self.function = function
        self.reason = reason


@dataclass(frozen=True)
class Binding:
    """One binding of a function; ``options`` is its JSON without the absent keys."""

    name: str
    kind: str
    direction: str
    options: Mapping[str, Any]

    @property
    def is_trigger(self) -> bool:
        return self.kind.endswith("Trigger")

    @property
    def is_binary(self) -> bool:
        return str(self.options.get("dataType", "")).casefold() == "binary"


@dataclass(frozen=True)
class Parameter:
    """How one parameter is decoded: ``codec`` is a binding type, or ``generic``."""

    name: str
    codec: str
    annotation: Any


@dataclass(frozen=True)
class Signature:
    """What the worker learns from a function's signature."""

    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Parameter]
    requires_context: bool
    return_codec: str | None


def check_signature(
    function: str, call: Callable[..., Any], bindings: tuple[Binding, ...]
) -> Signature:
    """Match parameters with bindings; raises FunctionLoadError at the first disagreement."""
    parameters = dict(inspect.signature(call).parameters)
    annotations = _annotations(function, call)
    bound = {binding.name: binding for binding in bindings if binding.name != RETURN}
    for binding in bindings:
        _check_direction(function, binding)
    requires_context = _takes_context(function, parameters, bound, annotations)
    names = [name for name in parameters if not (requires_context and name == "context")]
    _check_names(function, set(names), set(bound))
    decoded = {
        name: _check_parameter(function, bound[name], annotations, name in annotations)
        for name in names
    }
    return Signature(
        inputs={n: p for n, p in decoded.items() if bound[n].direction == "in"},
        outputs={n: p for n, p in decoded.items() if bound[n].direction == "out"},
        requires_context=requires_context,
        return_codec=_return_codec(function, bindings, annotations),
    )


def has_implicit_output(kind: str) -> bool:
    """Whether a trigger of this kind may return a value without a ``$return`` binding."""
    return bool(getattr(converter(kind), "has_implicit_output", lambda: False)())


def _annotations(function: str, call: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(call)
    except Exception as error:
        raise FunctionLoadError(function, f"its annotations cannot be read: {error}") from error


def _check_direction(function: str, binding: Binding) -> None:
    if binding.direction == "inout":
        raise FunctionLoadError(function, '"inout" bindings are not supported')
    if binding.name == RETURN and binding.direction != "out":
        raise FunctionLoadError(function, 'the "$return" binding must have direction "out"')


def _takes_context(
    function: str,
    parameters: Mapping[str, inspect.Parameter],
    bound: Mapping[str, Binding],
    annotations: Mapping[str, Any],
) -> bool:
    if "context" not in parameters or "context" in bound:
        return False
    annotation = annotations.get("context")
    is_context = isinstance(annotation, type) and annotation.__name__ == "Context"
    if "context" in annotations and not is_context:
        raise FunctionLoadError(
            function, f'parameter "context" must be azure.functions.Context, not {annotation!r}'
        )
    return True


def _check_names(function: str, parameters: set[str], bound: set[str]) -> None:
    if unbound := sorted(parameters - bound):
        raise FunctionLoadError(function, f"parameters without a binding: {', '.join(unbound)}")
    if unused := sorted(bound - parameters):
        raise FunctionLoadError(function, f"bindings without a parameter: {', '.join(unused)}")


def _check_parameter(
    function: str, binding: Binding, annotations: Mapping[str, Any], annotated: bool
) -> Parameter:
    if not annotated:
        return Parameter(binding.name, binding.kind, None)
    annotation = annotations[binding.name]
    is_out = _is_out(annotation)
    pytype = _out_type(function, binding, annotation) if is_out else annotation
    if not isinstance(pytype, type) and not is_generic(pytype):
        raise FunctionLoadError(
            function, f"parameter '{binding.name}' has the non-type annotation {annotation!r}"
        )
    if is_out != (binding.direction == "out"):
        expected = "azure.functions.Out" if binding.direction == "out" else "an input type"
        raise FunctionLoadError(
            function,
            f"parameter '{binding.name}' is bound with direction '{binding.direction}', "
            f"so its annotation must be {expected}, not {annotation!r}",
        )
    plain = pytype in (str, bytes) and not has_implicit_output(binding.kind)
    codec = GENERIC if plain else binding.kind
    if not _accepts(codec, pytype, output=is_out):
        raise FunctionLoadError(
            function,
            f"parameter '{binding.name}' is bound to '{binding.kind}', "
            f"which does not fit its annotation {_name(pytype)}",
        )
    return Parameter(binding.name, codec, pytype)


def _is_out(annotation: Any) -> bool:
    candidate = annotation
    if is_generic(annotation):
        candidate = generic_origin(annotation) or annotation
    return isinstance(candidate, type) and candidate.__name__ == "Out"


def _out_type(function: str, binding: Binding, annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    if len(arguments) != 1:
        raise FunctionLoadError(
            function, f"parameter '{binding.name}' has the invalid Out annotation {annotation!r}"
        )
    return arguments[0]


def _return_codec(
    function: str, bindings: tuple[Binding, ...], annotations: Mapping[str, Any]
) -> str | None:
    explicit = next((b.kind for b in bindings if b.name == RETURN), None)
    if explicit is None:
        return next((b.kind for b in bindings if has_implicit_output(b.kind)), None)
    if "return" in annotations:
        _check_return(function, explicit, annotations["return"])
    return explicit


def _check_return(function: str, kind: str, annotation: Any) -> None:
    if _is_out(annotation):
        raise FunctionLoadError(function, "its return annotation must not be azure.functions.Out")
    if not isinstance(annotation, type):
        raise FunctionLoadError(function, f"it has the non-type return annotation {annotation!r}")
    if not _accepts(kind, annotation, output=True):
        raise FunctionLoadError(
            function,
            f"its return annotation {_name(annotation)} does not fit the '{kind}' binding",
        )


def _accepts(codec: str, pytype: Any, *, output: bool) -> bool:
    found = converter(codec)
    if found is None:
        allowed = (str, bytes, bytearray) if output else (str, bytes)
        return isinstance(pytype, type) and issubclass(pytype, allowed)
    check = "check_output_type_annotation" if output else "check_input_type_annotation"
    try:
        return bool(getattr(found, check)(pytype))
    except (AttributeError, TypeError):
        # The library's checks call issubclass() on whatever they are given.
        return False


def _name(pytype: Any) -> str:
    return getattr(pytype, "__name__", repr(pytype))
