"""Load the real ``function_app.py`` and index its functions."""

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from azure.functions.decorators.function_app import Function, FunctionRegister

from local.host.validation import Binding, FunctionLoadError, Signature, check_signature

SCRIPT = "function_app.py"
SUPPORTED_TRIGGERS = (
    "timerTrigger",
    "serviceBusTrigger",
    "httpTrigger",
    "orchestrationTrigger",
    "activityTrigger",
)
_NAME = re.compile(r"(?!host$)[a-z][a-z0-9_-]{0,127}", re.IGNORECASE)
_SUPPORTED_OTHERS = ("http", "durableClient")


class AppLoadError(Exception):
    """The app cannot be indexed; each line of the message is one reason."""


@dataclass(frozen=True)
class IndexedFunction:
    """One function, ready to be invoked."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    directory: Path
    bindings: tuple[Binding, ...]
    signature: Signature
    retry: Mapping[str, Any] | None

    @property
    def trigger(self) -> Binding:
        return next(binding for binding in self.bindings if binding.is_trigger)


def load_app(root: Path) -> tuple[IndexedFunction, ...]:
    """Import ``function_app`` from ``root`` and index it.

    Raises AppLoadError with every reason found. To be called once a process: the registry
    answers only once, and modules stay imported.
    """
    module = _import_app(root)
    return index_app(module, root)


def index_app(module: ModuleType, root: Path) -> tuple[IndexedFunction, ...]:
    """Index the one function registry found at the top level of ``module``."""
    try:
        functions = _registry(module).get_functions()
    except ValueError as error:
        raise AppLoadError(str(error)) from error
    indexed: list[IndexedFunction] = []
    reasons: list[str] = []
    for function in functions:
        try:
            indexed.append(_index(function, root))
        except FunctionLoadError as error:
            reasons.append(str(error))
    if reasons:
        raise AppLoadError("\n".join(reasons))
    return tuple(indexed)


def _import_app(root: Path) -> ModuleType:
    if not (root / SCRIPT).is_file():
        raise AppLoadError(f"no {SCRIPT} in {root}")
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(Path(SCRIPT).stem)
    except Exception as error:
        raise AppLoadError(f"{SCRIPT} cannot be imported: {error!r}") from error


def _registry(module: ModuleType) -> FunctionRegister:
    found = {id(v): v for v in vars(module).values() if isinstance(v, FunctionRegister)}
    if not found:
        raise AppLoadError(f"{SCRIPT} has no function app at its top level")
    if len(found) > 1:
        raise AppLoadError(f"{SCRIPT} has more than one function app at its top level")
    return next(iter(found.values()))


def _index(function: Function, root: Path) -> IndexedFunction:
    name = str(function.get_function_name())
    call = function.get_user_function()
    bindings = tuple(map(_binding, json.loads(function.get_function_json())["bindings"]))
    if not _NAME.fullmatch(name):
        raise FunctionLoadError(
            name, "its name must be letters, digits, '-' and '_', begin with a letter, at most 128"
        )
    _check_supported(name, bindings)
    return IndexedFunction(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        directory=root,
        bindings=bindings,
        signature=check_signature(name, call, bindings),
        retry=function.get_settings_dict("retry_policy"),
    )


def _binding(document: Mapping[str, Any]) -> Binding:
    return Binding(
        name=str(document["name"]),
        kind=str(document["type"]),
        direction=str(document["direction"]).casefold(),
        options={key: value for key, value in document.items() if value is not None},
    )


def _check_supported(name: str, bindings: tuple[Binding, ...]) -> None:
    for binding in bindings:
        known = SUPPORTED_TRIGGERS if binding.is_trigger else _SUPPORTED_OTHERS
        if binding.kind not in known:
            raise FunctionLoadError(
                name, f"the local host does not support '{binding.kind}' bindings"
            )
