"""A full copy whose workers are killed with SIGKILL, one every five seconds, against a clean one.

Two kinds of death. A *worker* is a functions host's process for Python: the host sees it die, puts
its messages back and starts another. An *instance* is the host as well: what it held comes back
when the messages' locks run out. Either way the killed one is replaced at once.

The storage is held to one page blob's published limits, so that the blob is what limits the copy,
as in Azure. The reconciler runs by its timer, in the bench's own process.
"""

import argparse
import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from azure.storage.blob.aio import BlobServiceClient

from bench.crew import Crew, Kind, crew_of
from bench.disk import MIB, Allocation, Disk
from bench.listening import SLOTS, listening
from bench.pipeline import protect, set_up
from bench.servers import LIMITS, Servers, running_servers
from bench.stage import ALLOCATED, DISKS
from shared.model.ids import ItemId, RequestId, point_of
from shared.model.messages import COPY, BackupNow
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.commands import obey
from shared.steps.reconcile import reconcile

ABOUT = "backups whose workers are killed every five seconds"
IMAGE_MIB = 8192
ROUNDS = 3
WORKERS = 6
SETTINGS = {"VAULTLINE_CHECKPOINT_SECONDS": "1"}


@dataclass(frozen=True)
class Trial:
    """What is killed, and how many seconds before the next (0: never); whether once is enough."""

    kind: Kind
    every_seconds: float
    once: bool = False


TRIALS = (Trial("worker", 0), Trial("worker", 5), Trial("instance", 5, once=True))


LOOK_SECONDS = 0.5
RECONCILE_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One full copy, from the command to the point. `asked_bytes` were asked of the storage: what
    is beyond `copied_bytes` was copied again."""

    image_mib: int
    kind: str
    every_seconds: float
    workers: int
    kills: int
    seconds: float
    copied_bytes: int
    asked_bytes: int


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=int, default=IMAGE_MIB, help="MiB of the disk")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of runs")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes at once")


async def run(options: argparse.Namespace) -> list[Sample]:
    """A clean run and one with kills, in turn."""
    samples: list[Sample] = []
    async with (
        running_servers(LIMITS, settings=SETTINGS) as servers,
        servers.wiring() as wiring,
        BlobServiceClient.from_connection_string(servers.environment.storage.source) as source,
    ):
        bench = _Bench(servers, wiring.ports(), source, options.workers)
        master = await bench.prepared(options.image)
        for number in range(options.rounds):
            for trial in TRIALS:
                if number == 0 or not trial.once:
                    samples.append(await bench.measured(master, trial, f"disk-{len(samples)}"))
                    print(samples[-1], flush=True)
    return samples


@dataclass
class _Bench:
    servers: Servers
    ports: Ports
    source: BlobServiceClient
    workers: int

    async def prepared(self, image_mib: int) -> Disk:
        """Policy, vault, and a disk to make others of."""
        await self.source.create_container(DISKS)
        root = self.servers.environment.storage_url
        await set_up(self.ports, f"{root}/vlvault/replicas")
        blob = self.source.get_blob_client(DISKS, "master")
        disk = Disk(blob, Allocation(image_mib * MIB), seed=1)
        await disk.make(ALLOCATED)
        return disk

    async def measured(self, master: Disk, trial: Trial, name: str) -> Sample:
        """One full copy of a new disk like `master`."""
        item = ItemId(name)
        disk = await master.twin(self.source.get_blob_client(DISKS, item), seed=1)
        await protect(self.ports, disk.url, item)
        before = self._asked()
        async with crew_of(self.servers, trial.kind, self.workers) as crew, self._host(crew):
            began = perf_counter()
            async with _repeating(self._reconcile, RECONCILE_SECONDS), _killing(crew, trial):
                point = await self._backup(item)
            seconds = perf_counter() - began
        return Sample(
            image_mib=disk.allocation.size_bytes // MIB,
            kind=trial.kind,
            every_seconds=trial.every_seconds,
            workers=self.workers,
            kills=crew.kills,
            seconds=round(seconds, 2),
            copied_bytes=point.copied_bytes,
            asked_bytes=self._asked() - before,
        )

    def _host(self, crew: Crew) -> AbstractAsyncContextManager[object]:
        """What takes messages off the queues; instances do so themselves."""
        if crew.kind == "instance":
            return nullcontext()
        slots = {**SLOTS, COPY: SLOTS[COPY] * self.workers}
        return listening(crew.serve, self.servers.environment.service_bus, slots)

    async def _backup(self, item: ItemId) -> Point:
        command = BackupNow(item_id=item, request_id=RequestId(item))
        job = (await obey(self.ports, command)).job_id
        while True:
            row = await self.ports.ledger.get(item, Point, point_of(job))
            if row is not None:
                return row.record
            await asyncio.sleep(LOOK_SECONDS)

    async def _reconcile(self) -> None:
        await reconcile(self.ports)

    def _asked(self) -> int:
        """Bytes of all copies that the storage was asked for."""
        url = f"{self.servers.environment.storage_url}/__moved"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum(json.load(answer).values())


@asynccontextmanager
async def _killing(crew: Crew, trial: Trial) -> AsyncIterator[None]:
    """While inside, one of the crew is killed every so many seconds; none where that is 0."""
    if not trial.every_seconds:
        yield
        return
    async with _repeating(crew.kill_one, trial.every_seconds):
        yield


@asynccontextmanager
async def _repeating(act: Callable[[], Awaitable[None]], seconds: float) -> AsyncIterator[None]:
    async def again() -> None:
        while True:
            await asyncio.sleep(seconds)
            await act()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(again())
        yield
        task.cancel()


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """Medians of the clean runs, and of those with kills."""
    yield "| killed | processes | kills | MiB | s | ratio | copied again |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    clean = median(each.seconds for each in samples if not each.every_seconds)
    for kind, every in dict.fromkeys((each.kind, each.every_seconds) for each in samples):
        same = [each for each in samples if (each.kind, each.every_seconds) == (kind, every)]
        again = median(each.asked_bytes / each.copied_bytes - 1 for each in same)
        cells = (
            f"one {kind} every {every:g} s" if every else "none",
            f"{same[0].workers}",
            f"{median(each.kills for each in same):.0f}",
            f"{same[0].copied_bytes / MIB:,.0f}",
            f"{median(each.seconds for each in same):.1f}",
            f"{median(each.seconds for each in same) / clean:.2f}",
            f"{100 * again:.1f} %",
        )
        yield f"| {' | '.join(cells)} |"
