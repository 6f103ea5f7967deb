"""Spans as the app writes them to a folder on a laptop: JSON lines, a file a process."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.output import utc
from shared.codec import from_json
from shared.model.errors import Invalid


@dataclass(frozen=True, kw_only=True)
class Span:
    """One finished step of a trace; times are aware."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str
    start: datetime
    end: datetime
    status: str = "UNSET"
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    def view(self) -> dict[str, Any]:
        """The span as plain values."""
        times = {"start": utc(self.start), "end": utc(self.end)}
        return {**asdict(self), **times, "seconds": self.seconds}


def read_trace(folder: Path, trace_id: str) -> list[Span]:
    """The trace's spans, by their start. A line that is being written, or is none of ours, is
    passed over."""
    found = {
        span.span_id: span
        for path in sorted(folder.glob("spans-*.jsonl"))
        for span in _spans_in(path, trace_id)
    }
    return sorted(found.values(), key=lambda span: (span.start, span.end))


def _spans_in(path: Path, trace_id: str) -> Iterator[Span]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            # Looking for the text first spares parsing the spans of all other traces.
            if trace_id and trace_id in line:
                span = _parsed(line)
                if span and span.trace_id == trace_id:
                    yield span


def _parsed(line: str) -> Span | None:
    try:
        return from_json(Span, line)
    except Invalid:
        return None
