"""How long transfers take under Azure's published limits: in closed form, and by simulation.

What is measured here is measured on one machine; how long a disk takes in Azure follows from what
the service serves. The closed form says which limit decides: the slowest resource, and what comes
before and after. `bench.simulation` plays the same through, part by part and pipe by pipe, knows
nothing of the formula, and has to agree.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.disk import GIB
from bench.scenarios import SCENARIOS, Scenario
from bench.simulation import simulate

ABOUT = "a first copy of 1 TiB and a night of 1,000 disks, under the published limits"


def seconds_by_resource(scenario: Scenario) -> dict[str, float]:
    """How long each resource takes for the whole of the copying, were there no other."""
    limits, assumed = scenario.limits, scenario.assumed
    disks, copies, moved = scenario.disks, scenario.copies_each, scenario.bytes_each
    in_flight = min(scenario.slots, disks * scenario.parts_each) * assumed.copies_at_once
    found = {
        "a blob's bytes": moved / scenario.extents / limits.blob_bytes_per_second,
        "a blob's requests": copies / scenario.extents / limits.blob_requests_per_second,
        "the account's bytes": disks * moved / limits.account_bytes_per_second,
        "the account's requests": disks * copies / limits.account_requests_per_second,
        "the bus": disks * scenario.messages_each / assumed.messages_per_second,
        "the workers' processors": disks
        * copies
        * assumed.cpu_seconds_a_request
        / min(assumed.instances, disks * scenario.parts_each),
        "answers in flight": disks * copies * assumed.copy_seconds / in_flight,
        "the starts": (disks - 1) * scenario.pace.start_interval_seconds,
    }
    if scenario.source_is_one_blob:
        found["the source's bytes"] = moved / limits.blob_bytes_per_second
    return found


def decisive(scenario: Scenario) -> tuple[str, float]:
    """The slowest resource, and its seconds."""
    found = seconds_by_resource(scenario)
    name = max(found, key=lambda each: found[each])
    return name, found[name]


def closed_form(scenario: Scenario) -> float:
    """Seconds from the first command to the last point."""
    return scenario.prelude_seconds + decisive(scenario)[1] + scenario.epilogue_seconds


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One scenario. `simulated_seconds` are of the simulation, the others of the closed form."""

    scenario: str
    decisive: str
    closed_seconds: float
    simulated_seconds: float
    moved_bytes: int
    copies: int
    by_resource: dict[str, float]


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none: the figures are Azure's."""


async def run(_: argparse.Namespace) -> list[Sample]:
    """Every scenario, both ways."""
    samples = [_sample(each) for each in SCENARIOS]
    for each in samples:
        print(each, flush=True)
    return samples


def _sample(scenario: Scenario) -> Sample:
    return Sample(
        scenario=scenario.name,
        decisive=decisive(scenario)[0],
        closed_seconds=round(closed_form(scenario), 1),
        simulated_seconds=round(simulate(scenario), 1),
        moved_bytes=scenario.disks * scenario.bytes_each,
        copies=scenario.disks * scenario.copies_each,
        by_resource={k: round(v, 1) for k, v in seconds_by_resource(scenario).items()},
    )


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """A row a scenario."""
    yield "| scenario | GiB | copies | decided by | closed form | simulated | apart |"
    yield "|---|---:|---:|---|---:|---:|---:|"
    for each in samples:
        cells = (
            each.scenario,
            f"{each.moved_bytes / GIB:,.0f}",
            f"{each.copies:,}",
            each.decisive,
            _minutes(each.closed_seconds),
            _minutes(each.simulated_seconds),
            f"{100 * abs(each.simulated_seconds / each.closed_seconds - 1):.1f} %",
        )
        yield f"| {' | '.join(cells)} |"


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes > 120 else f"{minutes:.1f} min"
