"""Restores to a new disk against a tight loop that sends the same page requests, in turn."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.disk import GIB, MIB
from bench.pipeline import Work, protect
from bench.servers import running_servers
from bench.stage import Stage, stage
from bench.tight_loop import Loop, run_loop
from shared.model.ids import ItemId
from shared.model.point import Point

ABOUT = "restores against a tight loop of the same page requests"
IMAGE_MIB = 4096
ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One restore and one loop."""

    image_mib: int
    whole_seconds: float
    copy_seconds: float
    cpu_seconds: float
    loop_seconds: float
    loop_cpu_seconds: float
    copied_bytes: int
    worker_bytes: int
    page_requests: int
    requests: dict[str, int]
    steps: dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=int, default=IMAGE_MIB, help="MiB of the disk")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="restores")


async def run(options: argparse.Namespace) -> list[Sample]:
    """One backup, restored again and again, each time to a disk that did not exist."""
    samples = []
    async with running_servers(preload=None) as servers, stage(servers) as ready:
        disk = await ready.disk(options.image)
        await protect(ready.pipeline.ports, disk.url, ItemId("disk"))
        _, point = await ready.pipeline.backup(ItemId("disk"))
        for number in range(options.rounds):
            samples.append(await _both(ready, point, f"restored-{number}"))
            print(samples[-1], flush=True)
    return samples


async def _both(ready: Stage, point: Point, name: str) -> Sample:
    assert point.replica is not None
    work = await ready.pipeline.restore(point, str(ready.blob(name).url))
    mirror = await ready.mirror(name, point.size_bytes)
    async with ready.pipeline.ports.disks.grant(point.replica) as grant:
        loop = await run_loop(mirror, grant.url, work.log.requests, work.log.most_at_once)
    return _sample(point, work, loop)


def _sample(point: Point, work: Work, loop: Loop) -> Sample:
    return Sample(
        image_mib=point.size_bytes // MIB,
        whole_seconds=round(work.seconds, 4),
        copy_seconds=round(work.copy_seconds, 4),
        cpu_seconds=round(work.cpu_seconds, 4),
        loop_seconds=round(loop.seconds, 4),
        loop_cpu_seconds=round(loop.cpu_seconds, 4),
        copied_bytes=work.log.copied_bytes,
        worker_bytes=work.log.worker_bytes,
        page_requests=work.traffic.page_requests,
        requests=dict(sorted(work.traffic.requests.items())),
        steps=work.steps,
    )


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """Medians; each ratio is the median of the ratios of its pairs."""
    yield (
        "| disk MiB | MiB | loop s | copying s | ratio | whole s | ratio | page requests "
        "| CPU s/GiB |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    one = samples[0]
    cells = (
        f"{one.image_mib:,}",
        f"{one.copied_bytes / MIB:,.0f}",
        f"{median(each.loop_seconds for each in samples):.2f}",
        f"{median(each.copy_seconds for each in samples):.2f}",
        f"{median(each.copy_seconds / each.loop_seconds for each in samples):.2f}",
        f"{median(each.whole_seconds for each in samples):.2f}",
        f"{median(each.whole_seconds / each.loop_seconds for each in samples):.2f}",
        f"{median(each.page_requests for each in samples):,}",
        f"{median(each.cpu_seconds / each.copied_bytes for each in samples) * GIB:.2f}",
    )
    yield f"| {' | '.join(cells)} |"
