"""The planner at a million ranges: how fast, in how much memory, and what the cost model saves.

What a transfer runs, from the answers of the listings to the blocks of the plan's blob, without
the network on either side: the answers are made up as they are asked for, which is not counted,
and the blocks are thrown away. Each run has a process of its own, so that its peak memory is its
own. Seconds are of processor time: the planner uses one, and others may use it as well.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from shared.decide.copying import plan_whole
from shared.memory import memory_ports
from shared.model.disk import Snapshot
from shared.model.extents import EXTENT_BYTES, Extent, image_of, one_disk, replica_image, whole
from shared.model.ids import DiskUrl
from shared.model.pace import Pace
from shared.model.plan import PlanRef
from shared.model.ranges import Change, ChangedRange, PageRange
from shared.ports import Ports
from shared.steps.drafting import Window, compared, increment, write_plan
from shared.steps.listing import Tally, changes

ABOUT = "how fast plans are made, and in how much memory"
RANGES = 1_000_000
ROUNDS = 3
ANSWER = 10_000
"""Ranges in one answer of the service."""
KIB = 1024
DEFAULT_SHARE = Pace().gap_share
SOURCE, REPLICA = DiskUrl("source"), DiskUrl("replica")

Stripe = tuple[int, int, Change]
W, C = Change.WRITTEN, Change.CLEARED


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A disk that repeats itself: what each listing says of one period, in KiB."""

    period: int
    changed: tuple[Stripe, ...] = ()
    diverged: tuple[Stripe, ...] = ()
    source: tuple[Stripe, ...] = ()
    image: tuple[Stripe, ...] = ()

    def periods(self, ranges: int) -> int:
        """So many that the diffs, or else what is allocated, have `ranges` ranges."""
        diffs = len(self.changed) + len(self.diverged)
        return ranges // (diffs or len(self.source) + len(self.image))


SCATTERED = "scattered: 4 KiB runs, 128 KiB apart"
FRAGMENTED = "fragmented: 16 KiB runs, 4 KiB apart"
BLOCKS = "blocks: 4 KiB runs, 12 KiB apart"
PATTERNS = {
    SCATTERED: Pattern(period=132, changed=((0, 4, W),), source=((0, 132, W),)),
    FRAGMENTED: Pattern(
        period=640,
        changed=tuple((at, at + 16, W) for at in range(0, 320, 20)),
        source=((0, 640, W),),
    ),
    BLOCKS: Pattern(period=16, changed=((0, 4, W),), source=((0, 16, W),)),
    "mixed: writes, clears, strays": Pattern(
        period=256,
        changed=((0, 16, W), (16, 20, C), (24, 40, W), (44, 60, W), (100, 104, C)),
        diverged=((20, 24, W), (58, 64, W)),
        source=((0, 16, W), (24, 64, W), (200, 204, W)),
    ),
    "full: against a replica in disorder": Pattern(
        period=64, source=((0, 8, W), (12, 20, W)), image=((4, 16, W), (32, 36, W))
    ),
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One plan. `peak_mib` is the process's most, `base_mib` what it had before planning."""

    pattern: str
    gap_share: str
    ranges: int
    cpu_seconds: float
    peak_mib: float
    base_mib: float
    requests: int
    copied_bytes: int
    cleared_bytes: int
    listings: int

    @property
    def ranges_per_second(self) -> float:
        return self.ranges / self.cpu_seconds

    @property
    def transfer_seconds(self) -> float:
        """What one page blob needs for the plan, by the published limits."""
        pace = Pace()
        by_requests = self.requests / pace.blob_requests_per_second
        return max(by_requests, self.copied_bytes / pace.blob_bytes_per_second)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ranges", type=int, default=RANGES, help="ranges in the diffs")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each kind")


async def run(options: argparse.Namespace) -> list[Sample]:
    """Every pattern by the default figures; those with gaps also without any, and by time alone."""
    cells = [(name, DEFAULT_SHARE) for name in PATTERNS]
    cells += [(name, share) for name in (FRAGMENTED, BLOCKS) for share in (0.0, float("inf"))]
    samples = []
    for name, share in cells:
        for _ in range(options.rounds):
            samples.append(_alone(name, share, options.ranges))
            print(samples[-1], flush=True)
    return samples


def _alone(name: str, share: float, ranges: int) -> Sample:
    """Measured in a process of its own, which ends with us however we end."""
    command = [sys.executable, "-m", "bench.planner", name, str(share), str(ranges)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return Sample(**json.loads(done.stdout))


def _measured(name: str, share: float, ranges: int) -> Sample:
    return asyncio.run(_plan(name, share, ranges))


async def _plan(name: str, share: float, ranges: int) -> Sample:
    pattern = PATTERNS[name]
    disks, tally = _Listed(pattern, pattern.periods(ranges)), Tally()
    ports = _ports(disks, share)
    size, windows = disks.snapshot.size_bytes, _windows(ports, disks, tally)
    base = _peak_mib()
    began = process_time()
    plan = await write_plan(
        ports, "plan", replica_image(REPLICA, EXTENT_BYTES, one_disk(size)), windows
    )
    seconds = process_time() - began - disks.seconds
    return _sample(name, share, disks, seconds, base, plan, tally)


def _ports(disks: "_Listed", share: float) -> Ports:
    """The planner asks for listings, and writes a plan; nothing else is touched."""
    memory = memory_ports()
    given: dict[str, Any] = {each.name: getattr(memory, each.name) for each in fields(Ports)}
    ours = {"disks": disks, "plans": _Nowhere(), "pace": Pace(gap_share=share)}
    return Ports(**{**given, **ours})


def _windows(ports: Ports, disks: "_Listed", tally: Tally) -> AsyncIterator[Window]:
    source, size = image_of(disks.snapshot), disks.snapshot.size_bytes
    replica, older = whole(REPLICA, size), replace(disks.snapshot, id="older")
    if not disks.pattern.changed:
        return compared(ports, tally, source, replica, plan_whole)
    diverged = changes(tally, ports.disks.changed(REPLICA, disks.snapshot))
    return increment(ports, tally, source, (Extent(older, 0, size),), diverged)


def _sample(
    name: str,
    share: float,
    disks: "_Listed",
    seconds: float,
    base: float,
    plan: PlanRef,
    tally: Tally,
) -> Sample:
    return Sample(
        pattern=name,
        gap_share=f"{share:g}",
        ranges=disks.listed,
        cpu_seconds=round(seconds, 4),
        peak_mib=round(_peak_mib(), 1),
        base_mib=round(base, 1),
        requests=plan.ops,
        copied_bytes=plan.copy_bytes,
        cleared_bytes=plan.clear_bytes,
        listings=tally.requests,
    )


def _peak_mib() -> float:
    """The most that this process has held since it began (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / KIB


class _Listed:
    """The listings of a pattern; `seconds` went into making them up."""

    def __init__(self, pattern: Pattern, periods: int) -> None:
        self.pattern, self.seconds, self.listed = pattern, 0.0, 0
        self._periods = periods
        self.snapshot = Snapshot(
            disk=SOURCE,
            id="",
            taken_at=datetime(2026, 1, 1, tzinfo=UTC),
            size_bytes=periods * pattern.period * KIB,
            chain="",
        )

    def changed(self, image: Snapshot | DiskUrl, _: Snapshot) -> AsyncIterator[list[ChangedRange]]:
        stripes = self.pattern.diverged if image == REPLICA else self.pattern.changed
        return self._answers(stripes, range(self._periods), ChangedRange)

    def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        stripes = self.pattern.image if image == REPLICA else self.pattern.source
        period = self.pattern.period * KIB
        whole = within or PageRange(0, self.snapshot.size_bytes)
        periods = range(whole.start // period, -(-whole.end // period))
        return self._answers(stripes, periods, lambda range_, _: range_)

    async def _answers(
        self, stripes: tuple[Stripe, ...], periods: range, made: Callable[[PageRange, Change], Any]
    ) -> AsyncIterator[list[Any]]:
        rest = self._ranges(stripes, periods, made)
        while True:
            began = process_time()
            answer = list(islice(rest, ANSWER))
            self.seconds += process_time() - began
            self.listed += len(answer)
            if not answer:
                return
            yield answer

    def _ranges(
        self, stripes: tuple[Stripe, ...], periods: range, made: Callable[[PageRange, Change], Any]
    ) -> Iterator[Any]:
        for number in periods:
            start = number * self.pattern.period * KIB
            for first, last, change in stripes:
                yield made(PageRange(start + first * KIB, start + last * KIB), change)


class _Nowhere:
    """Takes a plan's blocks, and forgets them."""

    async def put(self, _: str, blocks: AsyncIterator[bytes]) -> None:
        async for _block in blocks:
            pass


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """The samples for people, in Markdown: a row a kind, by its medians."""
    yield (
        "| disk | gap share | ranges | ranges/s | peak MiB | of it planning | requests "
        "| moved MiB | one blob's seconds |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, share in dict.fromkeys((each.pattern, each.gap_share) for each in samples):
        same = [s for s in samples if (s.pattern, s.gap_share) == (name, share)]
        last = same[-1]
        cells = (
            name,
            share,
            f"{last.ranges:,}",
            f"{median(each.ranges_per_second for each in same):,.0f}",
            f"{max(each.peak_mib for each in same):.0f}",
            f"{max(each.peak_mib - each.base_mib for each in same):.0f}",
            f"{last.requests:,}",
            f"{last.copied_bytes / KIB**2:,.0f}",
            f"{last.transfer_seconds:,.0f}",
        )
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    given_name, given_share, given_ranges = sys.argv[1:]
    json.dump(asdict(_measured(given_name, float(given_share), int(given_ranges))), fp=sys.stdout)
