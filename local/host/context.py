"""What a function sees of its invocation: ``context``, ``Out`` parameters."""

import threading
from typing import Any

from azure.functions import Context, Out
from azure.functions import _abc as contracts

from local.host.tracing import Span


class TraceContext(contracts.TraceContext):
    """``context.trace_context``; both spellings that the real worker offers."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def trace_parent(self) -> str:
        return self._span.traceparent

    @property
    def trace_state(self) -> str:
        return self._span.state

    @property
    def attributes(self) -> dict[str, str]:
        return {}

    Traceparent = trace_parent
    Tracestate = trace_state
    Attributes = attributes


class RetryContext(contracts.RetryContext):
    """``context.retry_context``: which attempt this is, and why there is another."""

    def __init__(self, count: int = 0, most: int = 0, error: BaseException | None = None) -> None:
        self._count, self._most, self._error = count, most, error

    @property
    def retry_count(self) -> int:
        return self._count

    @property
    def max_retry_count(self) -> int:
        return self._most

    @property
    def exception(self) -> Any:
        return self._error


class InvocationContext(Context):
    """The ``context`` parameter of a function."""

    def __init__(
        self, invocation_id: str, function: str, directory: str, span: Span, retry: RetryContext
    ) -> None:
        self._invocation_id = invocation_id
        self._function = function
        self._directory = directory
        self._trace_context = TraceContext(span)
        self._retry_context = retry
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def function_name(self) -> str:
        return self._function

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> TraceContext:
        return self._trace_context

    @property
    def retry_context(self) -> RetryContext:
        return self._retry_context

    @property
    def thread_local_storage(self) -> Any:
        self._local.invocation_id = self._invocation_id
        return self._local


class OutValue(Out[Any]):
    """An output parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value
