"""Where telemetry goes, by one setting; run in processes of their own, as providers are global."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from shared.exporting import export_telemetry
from shared.model.errors import Invalid

ROOT = Path(__file__).parents[2]

TRACED = """
import sys
from opentelemetry import metrics, trace
from shared import telemetry
from shared.exporting import export_telemetry
from shared.model.errors import SourceGone

export_telemetry(sys.argv[1])
with telemetry.root_span("backup due", item="disk", job="disk.backup-1"):
    parent = telemetry.traceparent()
telemetry.moved_bytes.add(4096)
try:
    with telemetry.span("snapshot receive", parent, item="disk"):
        telemetry.note(parts=3)
        raise SourceGone("the disk is gone")
except SourceGone:
    pass
trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
"""


def run(setting: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRACED, setting],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(folder: Path, pattern: str) -> list[dict]:  # type: ignore[type-arg]
    (file,) = folder.glob(pattern)
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_files_hold_a_line_a_span_and_the_metrics(tmp_path: Path) -> None:
    done = run(f"file:{tmp_path}")
    assert done.returncode == 0, done.stderr
    due, received = lines(tmp_path, "spans-*.jsonl")
    assert due["parent_id"] is None
    assert received["trace_id"] == due["trace_id"]
    assert received["parent_id"] == due["span_id"]
    assert received["attributes"] == {"vaultline.item": "disk", "vaultline.parts": 3}
    assert received["status"] == "SourceNotFound: the disk is gone"
    assert received["end"] >= received["start"]
    assert "vaultline.bytes.moved" in json.dumps(lines(tmp_path, "metrics-*.jsonl"))


def test_off_makes_no_provider() -> None:
    export_telemetry("off")
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


class Collector(BaseHTTPRequestHandler):
    """Takes what an OTLP exporter posts."""

    paths: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.paths.append(f"{self.path} {len(body) > 0}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_otlp_posts_spans_and_metrics_to_the_collector() -> None:
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_port}"
            done = run("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 0, done.stderr
    assert set(Collector.paths) == {"/v1/traces True", "/v1/metrics True"}


def test_azure_monitor_is_made_from_its_connection_string() -> None:
    key = "00000000-0000-0000-0000-000000000000"
    secret = f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:9/"
    done = run(
        "azure-monitor",
        APPLICATIONINSIGHTS_CONNECTION_STRING=secret,
        APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL="true",
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_exporter_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="VAULTLINE_TELEMETRY"):
        export_telemetry("printer")
