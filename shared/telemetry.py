"""Spans and metrics of the pipeline, by OpenTelemetry's API alone.

Where they go is decided once, in `shared/wiring.py`; without an exporter all of this costs next
to nothing. Context travels as a W3C `traceparent` with every message, and in the input of every
orchestration, so that a backup is one trace from its timer to its commit.

Attributes: `vaultline.item`, `vaultline.job`. Never a URL with a query, a key or a token
(invariant 10).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import Span, Status, StatusCode

from shared.model.errors import VaultlineError

_tracer = trace.get_tracer("vaultline")
_log = logging.getLogger("vaultline")
_meter = metrics.get_meter("vaultline")

planned_bytes = _meter.create_counter("vaultline.bytes.planned", "By", "page data planned to move")
moved_bytes = _meter.create_counter("vaultline.bytes.moved", "By", "moved by the storage service")
worker_bytes = _meter.create_counter("vaultline.bytes.worker", "By", "disk bytes through a worker")
requests = _meter.create_counter("vaultline.requests", "1", "storage requests of transfers")
refusals = _meter.create_counter("vaultline.requests.refused", "1", "by a service that was busy")
samples = _meter.create_counter("vaultline.samples", "1", "places read from source and replica")
alarms = _meter.create_counter("vaultline.alarms", "1", "replicas found different from sources")
step_seconds = _meter.create_histogram("vaultline.step.duration", "s", "one step's duration")
backup_seconds = _meter.create_histogram("vaultline.backup.duration", "s", "snapshot to commit")
lag_seconds = _meter.create_histogram("vaultline.backup.lag", "s", "slot to commit")


@contextmanager
def span(name: str, traceparent: str = "", **attributes: Any) -> Iterator[Span]:
    """A span, child of `traceparent` where one is given, else of the current span."""
    parent = extract({"traceparent": traceparent}) if traceparent else None
    with _tracer.start_as_current_span(
        name,
        parent,
        attributes=_named(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except VaultlineError as error:
            current.set_status(Status(StatusCode.ERROR, f"{error.code}: {error}"))
            raise
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


@contextmanager
def root_span(name: str, **attributes: Any) -> Iterator[Span]:
    """A span that begins a trace of its own."""
    with _tracer.start_as_current_span(name, Context(), attributes=_named(attributes)) as current:
        yield current


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"vaultline.{key}": value for key, value in attributes.items() if value is not None}


def note(**attributes: Any) -> None:
    """More attributes for the current span."""
    trace.get_current_span().set_attributes(_named(attributes))


def alarm(message: str, **attributes: Any) -> None:
    """Something that a person should know: an error in the log, and an event of the span."""
    alarms.add(1)
    _log.error("%s", message, extra=_named(attributes))
    trace.get_current_span().add_event(message, _named(attributes))


def traceparent() -> str:
    """The current span as a W3C header; empty where nothing is traced."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier.get("traceparent", "")


def trace_id() -> str:
    """The current trace's 32 hexadecimal digits; empty where nothing is traced."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""
