"""The page of measurements is made of the raw results, and of nothing else."""

import json
from dataclasses import asdict
from pathlib import Path

from bench import goodput, model, report
from bench.__main__ import BENCHES, RESULTS
from bench.disk import MIB, Allocation, Changes, Churn, choose_changes, sparse_runs
from bench.goals import goals
from bench.records import keep
from bench.requests import fewest

PAGE = """# Page
<!-- bench:goals -->
<!-- /bench:goals -->
By hand.
<!-- bench:goodput -->
old
<!-- /bench:goodput -->
"""


def sample(share: float, seconds: float) -> goodput.Sample:
    return goodput.Sample(
        image_mib=100,
        share=share,
        retry_after=0,
        copied_bytes=60 * MIB,
        copy_seconds=seconds,
        page_requests=20,
        refused=round(20 * share),
        cpu_seconds=0.1,
    )


def test_a_section_is_renewed_and_what_people_wrote_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    keep(tmp_path / "goodput.json", ["goodput"], [sample(0.0, 1.0), sample(0.3, 2.0)])
    for _ in range(2):
        report.write(page, report.load(tmp_path, BENCHES), BENCHES)
    text = page.read_text()
    assert "old" not in text
    assert "By hand." in text
    assert text.count("$ python -m bench goodput\n") == 1
    assert text.count("| 30 % |") == 1
    assert "| goodput under 30 % refusals, to the ideal | ≥ 0.9 | 0.714 | **missed** |" in text


def test_the_kept_page_is_what_the_kept_results_say() -> None:
    """`python -m bench report` has been run since the last bench."""
    kept = report.PAGE.read_text()
    assert report.rendered(kept, report.load(RESULTS, BENCHES), BENCHES) == kept


def test_every_result_is_on_the_page() -> None:
    kept = report.PAGE.read_text()
    for name in BENCHES:
        if (RESULTS / f"{name}.json").exists():
            assert f"<!-- bench:{name} -->" in kept


def test_a_goal_is_met_or_missed_by_its_figure() -> None:
    [good] = goals({"goodput": [sample(0.0, 1.0), sample(0.3, 1.5)]})
    assert good.met
    [first] = goals({"model": [_first_copy(minutes=21)]})
    assert not first.met
    assert first.wanted == "≤ 20 min"


def _first_copy(minutes: float) -> model.Sample:
    told = {
        "scenario": "first copy",
        "decisive": "a blob's bytes",
        "closed_seconds": 60 * minutes,
        "simulated_seconds": 60 * minutes,
        "moved_bytes": 1,
        "copies": 1,
        "by_resource": {},
    }
    made = model.Sample(**told)  # type: ignore[arg-type]
    assert json.loads(json.dumps(asdict(made))) == told
    return made


def test_changes_are_known_to_the_byte() -> None:
    import random

    allocation = Allocation(64 * MIB)
    allocation.mark(sparse_runs(64 * MIB, 0.5, random.Random(1)), held=True)
    before = allocation.copied()
    changes = choose_changes(allocation, Churn(2.0, 65536), random.Random(2))
    assert changes.changed_bytes == 20 * 65536
    assert sum(end - start for start, end in changes.cleared) == 2 * 65536
    assert all(before.holds(*span) for span in changes.cleared)
    assert all(allocation.holds(*span) for span in changes.written)
    assert not any(allocation.holds(*span) for span in changes.cleared)


def test_the_fewest_requests_are_one_for_each_4_mib_begun_and_one_a_clear() -> None:
    changes = Changes([(0, 4096), (8 * MIB, 17 * MIB)], [(20 * MIB, 60 * MIB)])
    assert fewest(changes) == 1 + 3 + 1
