"""The page of measurements says what the raw results say."""

import json
from pathlib import Path

from bench.tick import SIZES, Sample, table

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_tick_is_that_of_the_raw_results() -> None:
    """After `python -m bench tick`, put the table it prints into docs/performance.md."""
    results = json.loads((ROOT / "bench" / "results" / "tick.json").read_text())
    samples = [Sample(**row) for row in results["samples"]]
    assert "\n".join(table(samples)) in (ROOT / "docs" / "performance.md").read_text()
    assert results["command"] == "python -m bench tick"


def test_at_rest_the_kept_results_do_not_grow_with_the_items() -> None:
    results = json.loads((ROOT / "bench" / "results" / "tick.json").read_text())
    idle = [Sample(**row) for row in results["samples"] if row["due"] == 0]
    assert {sample.items for sample in idle} == set(SIZES)
    assert all(sum(sample.requests.values()) == 1 for sample in idle if not sample.first)
    assert all(sum(sample.requests.values()) <= 3 for sample in idle)
