"""Run one function once: decode its inputs, call it, encode what it returns."""

import asyncio
import contextvars
import os
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from azure.functions.meta import Datum

from local.host.context import InvocationContext, OutValue, RetryContext
from local.host.converters import converter
from local.host.loading import IndexedFunction
from local.host.log import current_function, current_invocation, log
from local.host.tracing import Span, new_span
from local.host.validation import GENERIC, Binding, Parameter

_T = TypeVar("_T")


class InvocationError(Exception):
    """The function raised, or returned what it must not; ``__cause__`` is the reason."""


@dataclass(frozen=True)
class Call:
    """One call to make: what the trigger's parameter receives, and what comes with it."""

    trigger: Datum
    metadata: Mapping[str, Datum] = field(default_factory=dict)
    span: Span = field(default_factory=new_span)
    retry: RetryContext = field(default_factory=RetryContext)


class FunctionLoop:
    """The one event loop of all async functions, on a thread of its own, with the pool for sync.

    SDK clients that an app keeps between invocations are bound to their loop, so there is
    exactly one; and a function that blocks it must not stop the host's listeners.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threads = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._pool = ThreadPoolExecutor(
            int(threads) if threads else None, thread_name_prefix="function"
        )
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="functions", daemon=True
        )
        self._thread.start()

    async def run(self, function: IndexedFunction, arguments: Mapping[str, Any]) -> Any:
        """Await the function on its loop, from the caller's loop, with the caller's context."""
        if function.is_async:
            return await self._await(function.call(**arguments))
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: context.run(function.call, **arguments)
        )

    def close(self) -> None:
        """Stop the loop and the pool; what still runs is abandoned."""
        # The SDKs leave clients open, having no hook to close them, and would complain of it.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _await(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))


class Invoker:
    """Invokes functions, logs each outcome, and knows how many are in flight."""

    def __init__(self, loop: FunctionLoop, companion: Callable[[Binding], Datum]) -> None:
        """``companion`` gives the datum of an input binding beside the trigger."""
        self._loop = loop
        self._companion = companion
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    async def invoke(self, function: IndexedFunction, call: Call) -> Datum | None:
        """Call the function; its encoded return value, or None when it has no return binding.

        Raises InvocationError. The failure is logged here, with its traceback.
        """
        invocation_id = str(uuid.uuid4())
        names = (current_function.set(function.name), current_invocation.set(invocation_id))
        started = time.monotonic()
        self.in_flight += 1
        self._idle.clear()
        try:
            result = await self._call(function, call, invocation_id)
        except Exception as error:
            log.error("outcome=Failed ms=%d", _milliseconds(started), exc_info=error)
            raise InvocationError(f"{type(error).__name__}: {error}") from error
        else:
            log.info("outcome=Succeeded ms=%d", _milliseconds(started))
            return result
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()
            current_function.reset(names[0])
            current_invocation.reset(names[1])

    async def _call(
        self, function: IndexedFunction, call: Call, invocation_id: str
    ) -> Datum | None:
        signature = function.signature
        bindings = {binding.name: binding for binding in function.bindings}
        arguments: dict[str, Any] = {
            name: decode(parameter, self._datum(bindings[name], call), call.metadata)
            for name, parameter in signature.inputs.items()
        }
        arguments |= {name: OutValue() for name in signature.outputs}
        if signature.requires_context:
            arguments["context"] = InvocationContext(
                invocation_id, function.name, str(function.directory), call.span, call.retry
            )
        result = await self._loop.run(function, arguments)
        outputs = {name: arguments[name].get() for name in signature.outputs}
        return _encode_result(function, result, outputs)

    def _datum(self, binding: Binding, call: Call) -> Datum:
        return call.trigger if binding.is_trigger else self._companion(binding)


def decode(parameter: Parameter, datum: Datum, metadata: Mapping[str, Datum]) -> Any:
    """What the parameter receives; the library's converters do the work, as in the worker."""
    if parameter.codec == GENERIC:
        return datum.value
    try:
        return converter(parameter.codec).decode(datum, trigger_metadata=metadata)
    except NotImplementedError:
        raise TypeError(
            f"'{parameter.codec}' cannot decode {datum.type} for parameter '{parameter.name}'"
        ) from None


def encode(codec: str, value: Any) -> Datum:
    """The datum of a returned or output value; raises TypeError where the worker does."""
    try:
        encoded: Datum = converter(codec).encode(value, expected_type=None)
    except NotImplementedError:
        raise TypeError(f"a '{codec}' binding cannot take a {type(value).__name__}") from None
    return encoded


def _encode_result(
    function: IndexedFunction, result: Any, outputs: Mapping[str, Any]
) -> Datum | None:
    codec = function.signature.return_codec
    if codec is not None:
        return encode(codec, result)
    if result is not None:
        raise RuntimeError(
            f"function '{function.name}' has no $return binding but returned a value"
        )
    # An HTTP response may also be set through an Out parameter.
    for name, value in outputs.items():
        if value is not None:
            return encode(function.signature.outputs[name].codec, value)
    return None


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
