"""A trace drawn as a waterfall, and read from the files that the app writes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cli.spans import Span, read_trace
from cli.waterfall import BAR_CHARACTERS, ordered, waterfall

START = datetime(2026, 11, 21, 2, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(
    id_: str, parent: str | None, start: float, seconds: float, name: str = "", status: str = "OK"
) -> Span:
    begin = START + timedelta(seconds=start)
    return Span(
        trace_id=TRACE,
        span_id=id_,
        parent_id=parent,
        name=name or id_,
        start=begin,
        end=begin + timedelta(seconds=seconds),
        status=status,
    )


def test_a_waterfall_shows_depth_offset_duration_and_place() -> None:
    spans = [
        span("c", "a", 5, 5, "commit", status="ERROR"),
        span("a", None, 0, 10, "backup"),
        span("b", "a", 0, 0.25, "snapshot"),
    ]
    assert waterfall(spans) == [
        f"backup          0.00 s   10.00 s  {'█' * 30}",
        "  snapshot      0.00 s  250.0 ms  █",
        f"  commit ✗      5.00 s    5.00 s  {' ' * 15}{'█' * 15}",
    ]


def test_a_span_whose_parent_was_never_written_stands_at_the_top() -> None:
    lines = ordered([span("b", "lost", 1, 1), span("a", None, 0, 1)])
    assert [(line.span.span_id, line.depth) for line in lines] == [("a", 0), ("b", 0)]


def test_long_names_are_cut_and_nothing_is_no_waterfall() -> None:
    (line,) = waterfall([span("a", None, 0, 0, "x" * 200)], width=80)
    assert "…" in line
    assert len(line) <= 80
    assert waterfall([]) == []


@given(
    st.lists(
        st.builds(
            span,
            st.sampled_from("abcdefgh"),
            st.none() | st.sampled_from("abcdefghz"),
            st.floats(0, 1e4),
            st.floats(0, 1e4),
        ),
        min_size=1,
        unique_by=lambda each: each.span_id,
    )
)
def test_every_span_is_drawn_once_within_the_bar(spans: list[Span]) -> None:
    lines = ordered(spans)
    assert sorted(line.span.span_id for line in lines) == sorted(each.span_id for each in spans)
    assert all(line.count("█") <= BAR_CHARACTERS for line in waterfall(spans))


def test_spans_are_read_from_every_file_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    first, second = span("a", None, 0, 1), span("b", "a", 0.5, 0.1)
    other = {**first.view(), "trace_id": "f" * 32, "attributes": {"near": TRACE}}
    rows = [json.dumps(second.view()), json.dumps(other), json.dumps(first.view())[:40]]
    (tmp_path / "spans-2.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "spans-1.jsonl").write_text(json.dumps(first.view()) + "\n", encoding="utf-8")
    (tmp_path / "other.txt").write_text(json.dumps(first.view()), encoding="utf-8")
    assert read_trace(tmp_path, TRACE) == [first, second]
    assert read_trace(tmp_path / "missing", TRACE) == []
    assert read_trace(tmp_path, "") == []
