"""The figures that were aimed for, and what the raw results say to each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import arm, goodput, kill, model, planner, restore, transfer
from bench.disk import GIB, KIB, MIB
from shared.model.point import Kind

Results = Mapping[str, Sequence[Any]]
"""The samples of each bench that has been run, by its name."""


@dataclass(frozen=True)
class Goal:
    """`measured` is held against `limit`, which it is to stay below, or, where `least`, above."""

    name: str
    measured: float
    limit: float
    unit: str = ""
    least: bool = False
    beside: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.least else self.measured <= self.limit

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.limit:,g}{self.unit}"


def table(results: Results) -> Iterator[str]:
    """A row a goal of which there are results."""
    yield "| goal | wanted | measured | | |"
    yield "|---|---:|---:|---|---|"
    for goal in goals(results):
        shown = f"{goal.measured:,.3g}" if goal.measured < 1000 else f"{goal.measured:,.0f}"
        kept = "met" if goal.met else "**missed**"
        yield f"| {goal.name} | {goal.wanted} | {shown}{goal.unit} | {kept} | {goal.beside} |"


def goals(results: Results) -> Iterator[Goal]:
    """Every goal of which there are results."""
    for name, told in _BY_BENCH.items():
        if results.get(name):
            yield from told(results[name])


def _transfers(samples: Sequence[transfer.Sample]) -> Iterator[Goal]:
    full = [each for each in samples if each.kind == Kind.FULL.value]
    increments = [each for each in samples if each.kind != Kind.FULL.value]
    groups = [g for g in transfer.kinds(samples) if g[0].kind != Kind.FULL.value]
    ratios = sorted(median(each.copy_seconds / each.loop_seconds for each in g) for g in groups)
    whole = sum(median(each.whole_seconds for each in g) for g in groups)
    copying = sum(median(each.copy_seconds for each in g) for g in groups)
    loop = sum(median(each.loop_seconds for each in g) for g in groups)
    yield Goal(
        "copying of increments, to the loop",
        copying / loop,
        1.10,
        beside=f"all kinds together; by kind {ratios[0]:.2f} to {ratios[-1]:.2f}; "
        f"whole backups {whole / loop:.2f}",
    )
    whole = median(each.whole_seconds / each.loop_seconds for each in full)
    yield Goal(
        "copying of full backups, to the loop",
        median(each.copy_seconds / each.loop_seconds for each in full),
        1.05,
        beside=f"whole backups {whole:.2f}",
    )
    yield Goal(
        "page requests, to the fewest",
        max(median(each.page_requests / each.fewest_requests for each in g) for g in groups),
        1.02,
        beside="the worst kind",
    )
    large = [each for each in increments if each.run_kib * KIB == 4 * MIB]
    if large:
        yield Goal(
            "copied, to changed, in runs of 4 MiB",
            max(each.copied_bytes / each.changed_bytes for each in large),
            1.05,
        )
        most = max(each.percent for each in large)
        yield Goal(
            "processor time a changed GiB, in runs of 4 MiB",
            median(
                each.cpu_seconds / each.changed_bytes * GIB
                for each in large
                if each.percent == most
            ),
            0.5,
            " s",
            beside=f"at {most:g} % changed",
        )
    through = sum(each.worker_bytes for each in increments)
    yield Goal(
        "disk bytes through the worker",
        100 * through / sum(each.copied_bytes for each in increments),
        0.1,
        " %",
        beside=f"of what increments copied: the samples, {_kib(increments)} KiB a backup",
    )


def _kib(samples: Sequence[transfer.Sample]) -> str:
    return f"{median(each.worker_bytes for each in samples) / KIB:.0f}"


def _restores(samples: Sequence[restore.Sample]) -> Iterator[Goal]:
    whole = median(each.whole_seconds / each.loop_seconds for each in samples)
    yield Goal(
        "copying of a restore, to the loop",
        median(each.copy_seconds / each.loop_seconds for each in samples),
        1.05,
        beside=f"whole restores {whole:.2f}",
    )


def _kills(samples: Sequence[kill.Sample]) -> Iterator[Goal]:
    clean = median(each.seconds for each in samples if not each.every_seconds)
    killed = [each for each in samples if each.every_seconds]
    times = {
        kind: median(each.seconds for each in killed if each.kind == kind)
        for kind in {each.kind for each in killed}
    }
    beside = f"instances killed: {times['instance'] / clean:.2f}" if "instance" in times else ""
    yield Goal("a worker killed every 5 s, to none", times["worker"] / clean, 1.1, beside=beside)


def _goodputs(samples: Sequence[goodput.Sample]) -> Iterator[Goal]:
    clean = median(each.mib_per_second for each in samples if not each.share)
    refused = [each for each in samples if each.share and not each.retry_after]
    ideal = clean * (1 - refused[0].share)
    speed = median(each.mib_per_second for each in refused)
    yield Goal("goodput under 30 % refusals, to the ideal", speed / ideal, 0.9, least=True)


def _planners(samples: Sequence[planner.Sample]) -> Iterator[Goal]:
    names = dict.fromkeys((each.pattern, each.gap_share) for each in samples)
    slowest = min(
        median(each.ranges_per_second for each in samples if (each.pattern, each.gap_share) == name)
        for name in names
    )
    yield Goal("planned ranges a second", slowest, 500_000, least=True, beside="the slowest kind")
    yield Goal("memory of a planner", max(each.peak_mib for each in samples), 150, " MiB")


def _models(samples: Sequence[model.Sample]) -> Iterator[Goal]:
    first = samples[0]
    yield Goal(first.scenario, first.simulated_seconds / 60, 20, " min", beside="modelled")


def _arms(samples: Sequence[arm.Sample]) -> Iterator[Goal]:
    worst = max(samples, key=lambda each: each.calls_a_disk)
    yield Goal(
        f"calls to Resource Manager a disk's backup, {worst.disks} due at once",
        worst.calls_a_disk,
        6,
        beside=f"{worst.kind}; {worst.refused} answered 429, {worst.failed} by other errors",
    )


_BY_BENCH: Mapping[str, Any] = {
    "transfer": _transfers,
    "restore": _restores,
    "kill": _kills,
    "goodput": _goodputs,
    "planner": _planners,
    "arm": _arms,
    "model": _models,
}
