"""W3C trace context: one span a function invocation."""

import re
import secrets
from dataclasses import dataclass, replace

_TRACEPARENT = re.compile(
    r"^[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}"
)


@dataclass(frozen=True)
class Span:
    """One span of a trace; ``parent`` is the header it was derived from, if any."""

    trace_id: str
    span_id: str
    state: str = ""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"

    def child(self) -> "Span":
        """A new span of the same trace."""
        return replace(self, span_id=secrets.token_hex(8))


def new_span() -> Span:
    """The first span of a new trace."""
    return Span(secrets.token_hex(16), secrets.token_hex(8))


def parse_span(traceparent: str | None, state: str | None = None) -> Span | None:
    """Read a ``traceparent`` header; None when there is none or it is malformed."""
    match = _TRACEPARENT.match(traceparent or "")
    if not match or set(match["trace"]) == {"0"} or set(match["span"]) == {"0"}:
        return None
    return Span(match["trace"], match["span"], state or "")


def span_under(traceparent: str | None, state: str | None = None) -> Span:
    """A span for an invocation that continues ``traceparent``, or begins a trace of its own."""
    parent = parse_span(traceparent, state)
    return parent.child() if parent else new_span()
