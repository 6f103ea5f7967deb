"""Where spans and metrics go, by the setting `VAULTLINE_TELEMETRY`.

| value | where |
|---|---|
| `off` | nowhere |
| `file:FOLDER` | `spans-<pid>.jsonl` and `metrics-<pid>.jsonl` there, one JSON object a line |
| `otlp` | an OTLP collector, by OpenTelemetry's own `OTEL_EXPORTER_OTLP_*` settings |
| `azure-monitor` | Application Insights, by `APPLICATIONINSIGHTS_CONNECTION_STRING` |
"""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared.model.errors import Invalid

EXPORT_MILLISECONDS = 2000
METRICS_MILLISECONDS = 15_000


class FileSpanExporter(SpanExporter):
    """A line a span: `trace_id`, `span_id`, `parent_id`, `name`, `start`, `end` (ISO, UTC),
    `status`, `attributes`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(json.dumps(_plain(span)) + "\n" for span in spans)
        with self._path.open("a") as file:
            file.write(lines)
        return SpanExportResult.SUCCESS


def _plain(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    return {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "start": _time(span.start_time),
        "end": _time(span.end_time),
        "status": span.status.description or span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
    }


def _time(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat().replace("+00:00", "Z")


def export_telemetry(setting: str) -> None:
    """Sets the process's providers; once a process. Raises `Invalid` for an unknown value."""
    if setting == "off" or isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    spans, measures = _exporters(setting)
    resource = Resource.create({"service.name": "vaultline"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=EXPORT_MILLISECONDS))
    trace.set_tracer_provider(tracing)
    reader = PeriodicExportingMetricReader(measures, export_interval_millis=METRICS_MILLISECONDS)
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def _exporters(setting: str) -> tuple[SpanExporter, MetricExporter]:
    """Imported when chosen: the cloud's exporters are slow to load and a laptop needs none."""
    kind, _, folder = setting.partition(":")
    if kind == "file" and folder:
        return _file_exporters(Path(folder))
    if kind == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(), OTLPMetricExporter()
    if kind == "azure-monitor":
        from azure.monitor.opentelemetry.exporter import (
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )

        return AzureMonitorTraceExporter(), AzureMonitorMetricExporter()
    raise Invalid(
        f"setting VAULTLINE_TELEMETRY is '{kind}'",
        action="Use off, file:FOLDER, otlp or azure-monitor.",
    )


def _file_exporters(folder: Path) -> tuple[SpanExporter, MetricExporter]:
    folder.mkdir(parents=True, exist_ok=True)
    process = os.getpid()
    lines = (folder / f"metrics-{process}.jsonl").open("a", buffering=1)
    return (
        FileSpanExporter(folder / f"spans-{process}.jsonl"),
        ConsoleMetricExporter(
            out=lines, formatter=lambda data: json.dumps(json.loads(data.to_json())) + "\n"
        ),
    )
