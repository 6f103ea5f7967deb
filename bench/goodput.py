"""What a transfer moves while the storage refuses a share of its requests, against none.

The storage is held to one page blob's published limits. A refused request takes its place in the
blob's second like any other, so that with 30 % refused nothing can be faster than 70 % of the clean
run: that is the ideal.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.disk import MIB
from bench.pipeline import protect
from bench.servers import LIMITS, running_servers
from bench.stage import Stage, stage
from local.storage.controls import Fault, FaultCount, add_faults, clear_faults
from shared.model.ids import ItemId

ABOUT = "backups while 30 % of the requests are refused, against none"
IMAGE_MIB = 2048
ROUNDS = 5
REFUSED = 0.3


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One full copy; `refused` of its page requests were answered 503."""

    image_mib: int
    share: float
    retry_after: int
    copied_bytes: int
    copy_seconds: float
    page_requests: int
    refused: int
    cpu_seconds: float

    @property
    def mib_per_second(self) -> float:
        return self.copied_bytes / MIB / self.copy_seconds


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=int, default=IMAGE_MIB, help="MiB of the disk")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of runs")
    parser.add_argument("--share", type=float, default=REFUSED, help="of requests refused")


async def run(options: argparse.Namespace) -> list[Sample]:
    """In turn: a full copy of which nothing is refused, and one with refusals. Once, one whose
    refusals ask for a second's patience."""
    samples = []
    async with running_servers(LIMITS, faults=True) as servers, stage(servers) as ready:
        disk = await ready.disk(options.image)
        for number in range(options.rounds):
            for share, patience in _kinds(options.share, first=number == 0):
                item = ItemId(f"disk-{number}-{share > 0:d}-{patience}")
                twin = await disk.twin(ready.blob(item), seed=number)
                await protect(ready.pipeline.ports, twin.url, item)
                samples.append(await _measured(ready, item, options.image, share, patience))
                print(samples[-1], flush=True)
    return samples


def _kinds(share: float, *, first: bool) -> Iterator[tuple[float, int]]:
    """The share that is refused, and for how many seconds the service then asks to wait."""
    yield from ((0.0, 0), (share, 0))
    if first:
        yield share, 1


async def _measured(
    ready: Stage, item: ItemId, image_mib: int, share: float, patience: int
) -> Sample:
    root = ready.servers.environment.storage_url
    if share:
        add_faults(root, [_refusing(share, patience)])
    try:
        work, point = await ready.pipeline.backup(item)
    finally:
        counts: Sequence[FaultCount] = clear_faults(root)
    return Sample(
        image_mib=image_mib,
        share=share,
        retry_after=patience,
        copied_bytes=point.copied_bytes,
        copy_seconds=round(work.copy_seconds, 4),
        page_requests=work.traffic.page_requests,
        refused=sum(each.fired for each in counts),
        cpu_seconds=round(work.cpu_seconds, 4),
    )


def _refusing(share: float, patience: int) -> Fault:
    return Fault(
        operation="^PageBlob_(UploadPages|UploadPagesFromURL|ClearPages)$",
        probability=share,
        seed=1,
        status=503,
        error_code="ServerBusy",
        retry_after=patience or None,
    )


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """Medians, a row a kind; the ideal is the clean run's goodput without the refused share."""
    yield "| refused | Retry-After | MiB | page requests | s | MiB/s | of the ideal |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    clean = median(each.mib_per_second for each in samples if not each.share)
    for share, patience in dict.fromkeys((each.share, each.retry_after) for each in samples):
        same = [each for each in samples if (each.share, each.retry_after) == (share, patience)]
        speed = median(each.mib_per_second for each in same)
        cells = (
            f"{100 * median(each.refused / each.page_requests for each in same):.0f} %",
            f"{patience} s" if patience else "",
            f"{same[0].copied_bytes / MIB:,.0f}",
            f"{median(each.page_requests for each in same):,}",
            f"{median(each.copy_seconds for each in same):.1f}",
            f"{speed:.1f}",
            f"{speed / (clean * (1 - share)):.2f}",
        )
        yield f"| {' | '.join(cells)} |"
