"""The model of transfers in Azure: what decides, and that simulation and formula agree."""

from dataclasses import replace

import pytest

from bench.disk import GIB, KIB, MIB
from bench.model import closed_form, decisive
from bench.scenarios import SCENARIOS, Scenario, first_copy, night
from bench.simulation import simulate

TIB = 1024 * GIB


def test_the_first_copy_of_a_tebibyte_takes_less_than_20_minutes() -> None:
    scenario = SCENARIOS[0]
    assert scenario.bytes_each == TIB
    assert scenario.extents == 16
    assert decisive(scenario) == ("a blob's bytes", pytest.approx(TIB / 16 / (60 * MIB)))
    assert closed_form(scenario) < 20 * 60
    assert simulate(scenario) < 20 * 60


def test_one_blob_at_either_end_takes_hours() -> None:
    alone = TIB / (60 * MIB)
    for scenario in (
        first_copy("into one", TIB, extents=1),
        first_copy("from one", TIB, extents=16, one_blob=True),
    ):
        assert simulate(scenario) == pytest.approx(alone, rel=0.01)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_simulation_agrees_within_a_few_percent(scenario: Scenario) -> None:
    assert simulate(scenario) == pytest.approx(closed_form(scenario), rel=0.05)


def test_short_runs_are_decided_by_requests_and_long_ones_by_bytes() -> None:
    assert decisive(night(4 * MIB))[0] == "the account's bytes"
    assert decisive(night(64 * KIB))[0] == "the account's requests"
    assert decisive(night(64 * KIB, instances=4))[0] == "the workers' processors"


def test_a_slower_resource_makes_both_slower() -> None:
    scenario = replace(night(4 * MIB), disks=300)
    half = scenario.limits.account_bytes_per_second / 2
    slower = replace(scenario, limits=replace(scenario.limits, account_bytes_per_second=half))
    assert simulate(slower) == pytest.approx(2 * simulate(scenario), rel=0.05)
    assert closed_form(slower) == pytest.approx(2 * closed_form(scenario), rel=0.05)


def test_no_part_is_lost() -> None:
    """Copies of all parts make up the plan, however they are dealt out over the extents."""
    scenario = replace(night(64 * KIB), disks=1, bytes_each=100 * MIB + 64 * KIB)
    least = scenario.copies_each / scenario.extents / scenario.limits.blob_requests_per_second
    assert simulate(scenario) >= least + scenario.prelude_seconds + scenario.epilogue_seconds
