"""Backups against a tight loop that sends the same page requests, in turn, on one storage.

A disk, its backup by the pipeline's own steps, messages and adapters; then exactly the page
requests that this took, once more, sent to another blob by the SDK alone. Then the disk changes,
and both again.
"""

import argparse
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from azure.storage.blob.aio import BlobClient

from bench.disk import GIB, KIB, MIB, Changes, Churn, Disk
from bench.pipeline import Work, protect
from bench.requests import fewest
from bench.servers import running_servers
from bench.stage import Stage, stage
from bench.tight_loop import Loop, run_loop
from shared.model.ids import ItemId
from shared.model.point import Kind, Point

ABOUT = "backups against a tight loop of the same page requests"
PERCENTS = (0.1, 2.0, 20.0)
RUNS_KIB = (4, 64, 4096)
IMAGE_MIB = 4096
NO_CHURN = Churn(0, 0)
LEAST_MIB = 32
ROUNDS = 5
MOST_REQUESTS = 2000
"""A cell whose changes would take more page requests is measured on a smaller disk: Azurite needs
more than a millisecond for one, the loop and the change itself take as many again."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One backup and one loop. Bytes are of page data unless named otherwise."""

    kind: str
    image_mib: int
    percent: float
    run_kib: int
    whole_seconds: float
    copy_seconds: float
    cpu_seconds: float
    loop_seconds: float
    loop_cpu_seconds: float
    changed_bytes: int
    copied_bytes: int
    cleared_bytes: int
    worker_bytes: int
    page_requests: int
    fewest_requests: int
    most_at_once: int
    requests: dict[str, int]
    received_bytes: dict[str, int]
    sent_bytes: dict[str, int]
    steps: dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=int, default=IMAGE_MIB, help="MiB of the disk")
    parser.add_argument("--percent", type=float, nargs="+", default=PERCENTS, help="of the disk")
    parser.add_argument("--run", type=int, nargs="+", default=RUNS_KIB, help="KiB of each run")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="increments of each kind")
    parser.add_argument("--most", type=int, default=MOST_REQUESTS, help="page requests of a backup")


async def run(options: argparse.Namespace) -> list[Sample]:
    """Full copies; then every percentage with every length of runs, each on a disk of its own."""
    samples = []
    async with running_servers(preload=None) as servers, stage(servers) as ready:
        benches = _Benches(ready, options.rounds)
        async for sample in benches.measured(options.image, cells(options)):
            print(sample, flush=True)
            samples.append(sample)
    return samples


def cells(options: argparse.Namespace) -> Iterator[tuple[int, Churn]]:
    """MiB of the disk, and how it changes."""
    for percent in options.percent:
        for run_kib in options.run:
            image = options.image
            while image > LEAST_MIB and image * 10.24 * percent / run_kib > options.most:
                image //= 2
            yield image, Churn(percent, run_kib * KIB)


@dataclass
class _Benches:
    """Disks are made once in each size, and copied by the storage for each cell."""

    ready: Stage
    rounds: int
    masters: dict[int, Disk] = field(default_factory=dict)
    made: int = 0

    async def measured(
        self, image_mib: int, cells: Iterable[tuple[int, Churn]]
    ) -> AsyncIterator[Sample]:
        for _ in range(self.rounds):
            yield await self._full(image_mib)
        for image, churn in cells:
            async for sample in self._increments(image, churn):
                yield sample

    async def _full(self, image_mib: int) -> Sample:
        disk, item = await self._protected(image_mib)
        mirror = await self.ready.mirror(item, disk.allocation.size_bytes)
        work, point = await self.ready.pipeline.backup(item)
        loop = await looped(self.ready, mirror, work, point)
        return _sample(work, point, loop, Cell(image_mib))

    async def _increments(self, image_mib: int, churn: Churn) -> AsyncIterator[Sample]:
        disk, item = await self._protected(image_mib)
        _, point = await self.ready.pipeline.backup(item)
        mirror = await self.ready.mirror_of(item, point)
        for _ in range(self.rounds):
            changes = await disk.change(churn)
            work, point = await self.ready.pipeline.backup(item)
            loop = await looped(self.ready, mirror, work, point)
            yield _sample(work, point, loop, Cell(image_mib, churn, changes))

    async def _protected(self, image_mib: int) -> tuple[Disk, ItemId]:
        self.made += 1
        if image_mib not in self.masters:
            self.masters[image_mib] = await self.ready.disk(image_mib)
        item = ItemId(f"disk-{self.made}")
        disk = await self.masters[image_mib].twin(self.ready.blob(item), seed=self.made)
        await protect(self.ready.pipeline.ports, disk.url, item)
        return disk, item


@dataclass(frozen=True)
class Cell:
    """A size of disks, and how this one has changed; a full copy has no changes."""

    image_mib: int
    churn: Churn = NO_CHURN
    changes: Changes | None = None


async def looped(ready: Stage, mirror: BlobClient, work: Work, point: Point) -> Loop:
    """The page requests of a backup once more, by the loop."""
    assert point.source is not None
    async with ready.pipeline.ports.disks.grant(point.source) as grant:
        return await run_loop(mirror, grant.url, work.log.requests, work.log.most_at_once)


def _sample(work: Work, point: Point, loop: Loop, cell: Cell) -> Sample:
    log, changes = work.log, cell.changes
    if (point.kind is Kind.FULL) is not (changes is None):
        raise RuntimeError(f"a {point.kind} backup was not expected: {point.kind_reason}")
    return Sample(
        kind=point.kind.value,
        image_mib=cell.image_mib,
        percent=cell.churn.percent,
        run_kib=cell.churn.run_bytes // KIB,
        whole_seconds=round(work.seconds, 4),
        copy_seconds=round(work.copy_seconds, 4),
        cpu_seconds=round(work.cpu_seconds, 4),
        loop_seconds=round(loop.seconds, 4),
        loop_cpu_seconds=round(loop.cpu_seconds, 4),
        changed_bytes=changes.changed_bytes if changes else log.copied_bytes,
        copied_bytes=log.copied_bytes,
        cleared_bytes=point.cleared_bytes,
        worker_bytes=log.worker_bytes,
        page_requests=work.traffic.page_requests,
        fewest_requests=fewest(changes) if changes else len(log.requests),
        most_at_once=log.most_at_once,
        requests=dict(sorted(work.traffic.requests.items())),
        received_bytes=dict(sorted(work.traffic.received.items())),
        sent_bytes=dict(sorted(work.traffic.sent.items())),
        steps=work.steps,
    )


def kinds(samples: Iterable[Sample]) -> list[tuple[Sample, ...]]:
    """The samples by cell, in the order of the cells; full copies first, all of a size together."""
    by_cell: dict[tuple[object, ...], list[Sample]] = {}
    for each in sorted(samples, key=lambda sample: sample.kind != Kind.FULL.value):
        full = each.kind == Kind.FULL.value
        cell = (each.kind, each.image_mib, *(() if full else (each.percent, each.run_kib)))
        by_cell.setdefault(cell, []).append(each)
    return [tuple(group) for group in by_cell.values()]


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """Medians, a row a cell: the times, then what was asked of the storage."""
    groups = kinds(samples)
    yield (
        "| disk MiB | changed | runs KiB | MiB | loop s | copying s | ratio | whole s | ratio "
        "| page requests / fewest | copied / changed | CPU s/GiB |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for group in groups:
        yield f"| {' | '.join([*_kind(group[0]), *_cells(group)])} |"
    yield ""
    columns = " | ".join(f"{kind}" for kind in _ASKED)
    yield f"| disk MiB | changed | runs KiB | {columns} | samples KiB | listings KiB | ledger KiB |"
    yield "|---:|---:|---:|" + "---:|" * (len(_ASKED) + 3)
    for group in groups:
        yield f"| {' | '.join([*_kind(group[0]), *_asked(group)])} |"


_ASKED = (
    "copies",
    "clears",
    "listings",
    "reads",
    "plan and manifest",
    "ledger transactions",
    "ledger reads",
    "other",
)


def _kind(one: Sample) -> Iterator[str]:
    full = one.kind == Kind.FULL.value
    yield f"{one.image_mib:,}"
    yield "full" if full else f"{one.percent:g} %"
    yield "" if full else f"{one.run_kib:,}"


def _asked(group: Sequence[Sample]) -> Iterator[str]:
    """Requests by kind, and KiB through the worker."""
    for kind in _ASKED:
        yield f"{median(each.requests.get(kind, 0) for each in group):,.0f}"
    yield f"{median(each.worker_bytes for each in group) / KIB:,.0f}"
    yield f"{median(each.received_bytes.get('listings', 0) for each in group) / KIB:,.0f}"
    yield f"{median(map(_ledger_bytes, group)) / KIB:,.0f}"


def _ledger_bytes(sample: Sample) -> int:
    every = (sample.received_bytes, sample.sent_bytes)
    return sum(size for told in every for kind, size in told.items() if "ledger" in kind)


def _cells(group: Sequence[Sample]) -> Iterator[str]:
    """Times, and ratios: each the median of the ratios of its pairs."""
    yield f"{median(each.copied_bytes for each in group) / MIB:,.1f}"
    yield f"{median(each.loop_seconds for each in group):.2f}"
    yield f"{median(each.copy_seconds for each in group):.2f}"
    yield f"{median(each.copy_seconds / each.loop_seconds for each in group):.2f}"
    yield f"{median(each.whole_seconds for each in group):.2f}"
    yield f"{median(each.whole_seconds / each.loop_seconds for each in group):.2f}"
    yield f"{median(each.page_requests / each.fewest_requests for each in group):.3f}"
    yield f"{median(each.copied_bytes / each.changed_bytes for each in group):.3f}"
    yield f"{median(each.cpu_seconds / each.copied_bytes for each in group) * GIB:.2f}"
