"""A trace as a waterfall: a line a span, under its parent, with a bar where it lay in time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.spans import Span

BAR_CHARACTERS = 30
MOST_NAME_CHARACTERS = 60
LEAST_WIDTH = 100


@dataclass(frozen=True)
class Line:
    """A span and how deep it lies under the trace's first."""

    span: Span
    depth: int


def ordered(spans: Sequence[Span]) -> list[Line]:
    """Parents before their children, siblings by start. A span whose parent is not there (its
    process died before it was written) stands at the top."""
    known = {span.span_id for span in spans}
    children: dict[str | None, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: (each.start, each.end, each.span_id)):
        parent = span.parent_id if span.parent_id in known else None
        children[parent].append(span)
    lines = list(_descend(children, None, 0))
    while children:  # spans that name each other as parents
        lines += _descend(children, next(iter(children)), 0)
    return lines


def waterfall(spans: Sequence[Span], width: int = 120) -> list[str]:
    """The trace as lines of about `width` characters."""
    if not spans:
        return []
    lines = ordered(spans)
    start = min(span.start for span in spans)
    whole = max((max(span.end for span in spans) - start).total_seconds(), 1e-6)
    longest = max(len(_label(line)) for line in lines)
    room = max(width, BAR_CHARACTERS + 40) - BAR_CHARACTERS - 24
    name_width = min(longest, MOST_NAME_CHARACTERS, room)
    return [_drawn(line, start, whole, name_width) for line in lines]


def _descend(
    children: dict[str | None, list[Span]], parent: str | None, depth: int
) -> Iterator[Line]:
    # Spans are removed as they are drawn, so that a circle of parents ends.
    for span in children.pop(parent, []):
        yield Line(span, depth)
        yield from _descend(children, span.span_id, depth + 1)


def _drawn(line: Line, start: datetime, whole: float, name_width: int) -> str:
    offset = (line.span.start - start).total_seconds()
    label = _label(line)
    name = label if len(label) <= name_width else label[: name_width - 1] + "…"
    bar = _bar(offset / whole, line.span.seconds / whole)
    times = f"{offset:>8.2f} s {_duration(line.span.seconds):>9}"
    return f"{name:<{name_width}}  {times}  {bar}"


def _label(line: Line) -> str:
    failed = " ✗" if line.span.status.upper().endswith("ERROR") else ""
    return f"{'  ' * line.depth}{line.span.name}{failed}"


def _bar(offset: float, length: float) -> str:
    """Where in the whole the span lies; at least one mark, never beyond the end."""
    first = min(int(offset * BAR_CHARACTERS), BAR_CHARACTERS - 1)
    marks = min(max(round(length * BAR_CHARACTERS), 1), BAR_CHARACTERS - first)
    return " " * first + "█" * marks


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
