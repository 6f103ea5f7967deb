"""Managed disks that are all due at once: what that asks of Resource Manager, which counts.

The laptop's Resource Manager has Azure's rates and limits, and its time runs as fast as ours. Each
disk is backed up twice, in full and the change of one block, each time by a process that has just
started and knows nothing of the disks. What their owners ask before that is not counted; what
retention removes is, apart from the backups.
"""

import argparse
import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any
from uuid import uuid4

from azure.storage.blob.aio import BlobClient

from bench.listening import Listener, listening
from bench.pipeline import ENDS, protect, set_up
from bench.servers import Servers, running_servers
from local import stack
from local.arm.controls import clear_counters, open_disk, read_counters
from local.components import TIME_FACTOR, Component
from shared.model.ids import ItemId, RequestId, point_of, request_job
from shared.model.messages import COPY, RETENTION, SNAPSHOT, TRANSFER, BackupNow
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.commands import obey
from shared.steps.dispatch import dispatch
from shared.steps.side_by_side import side_by_side

ABOUT = "200 managed disks due at once: calls to Resource Manager, and refusals"
DISKS = 200
GROUP, REGION = "bench", "westeurope"
BLOCK = 1024**2
SLOTS = {SNAPSHOT: 16, TRANSFER: 16, COPY: 16, RETENTION: 4}
PATIENCE_SECONDS = 1800.0
SETTLING_SECONDS = 90.0
"""Retention runs after the point, and removes what is due."""
REMOVAL = "Snapshots_Delete"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One backup of every disk. `calls` are requests by operation; `refused` those among them that
    were answered 429, `failed` those that were answered by any other error."""

    disks: int
    kind: str
    seconds: float
    calls: dict[str, int]
    refused: int
    failed: int = 0

    @property
    def removals(self) -> int:
        """What retention removed."""
        return self.calls.get(REMOVAL, 0)

    @property
    def calls_a_disk(self) -> float:
        """Of the backup, without what retention removed."""
        return (sum(self.calls.values()) - self.removals) / self.disks


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--disks", type=int, default=DISKS, help="managed disks")


async def run(options: argparse.Namespace) -> list[Sample]:
    """A full backup of every disk, then an incremental one."""
    async with running_servers(settings={TIME_FACTOR: "1"}) as servers:
        await asyncio.to_thread(stack.up, servers.config, only=[Component.ARM])
        owner = _Owner(servers)
        disks = [owner.id_of(f"disk-{number}") for number in range(options.disks)]
        await asyncio.to_thread(owner.make, disks)
        async with servers.wiring() as wiring:
            ports = wiring.ports()
            vault = servers.settings["VAULTLINE_ACCOUNTS"]
            await set_up(ports, f"{_blob_endpoint(vault)}/replicas")
            items = {disk: ItemId(disk.rpartition("/")[2]) for disk in disks}
            for disk, item in items.items():
                await protect(ports, disk, item)
        full = await _backed_up(servers, owner, items.values())
        await owner.write(disks)
        return [full, await _backed_up(servers, owner, items.values())]


async def _backed_up(servers: Servers, owner: "_Owner", items: Iterable[ItemId]) -> Sample:
    """By a process that has just started."""
    bus = servers.environment.service_bus
    async with servers.wiring() as wiring:
        ports = wiring.ports()
        async with listening(partial(dispatch, ports), bus, SLOTS) as worker:
            return await _measured(ports, owner, worker, items)


async def _measured(
    ports: Ports, owner: "_Owner", worker: Listener, items: Iterable[ItemId]
) -> Sample:
    every, request, began = list(items), RequestId(uuid4().hex), perf_counter()
    worker.served.clear()
    clear_counters(owner.origin)
    await side_by_side(every, lambda item: obey(ports, BackupNow(item_id=item, request_id=request)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(each.result in ENDS for each in worker.served) < len(every):
            worker.news.clear()
            await worker.news.wait()
    seconds = perf_counter() - began
    await asyncio.sleep(SETTLING_SECONDS)
    point = await ports.ledger.get(
        every[0], Point, point_of(request_job(every[0], "backup", request))
    )
    assert point is not None
    rows = read_counters(owner.origin)
    calls: Counter[str] = Counter()
    for row in rows:
        calls[row.operation] += row.requests
    return Sample(
        disks=len(every),
        kind=str(point.record.kind),
        seconds=seconds,
        calls=dict(calls),
        refused=sum(row.requests for row in rows if row.status == 429),
        failed=sum(row.requests for row in rows if row.status >= 400 and row.status != 429),
    )


def table(samples: Sequence[Sample]) -> list[str]:
    lines = [
        "| disks | backup | seconds | calls | calls a disk | 429 | other errors | removals |",
        "|--|--|--|--|--|--|--|--|",
    ]
    for each in samples:
        calls = sum(each.calls.values()) - each.removals
        lines.append(
            f"| {each.disks} | {each.kind} | {each.seconds:.0f} | {calls} "
            f"| {each.calls_a_disk:.2f} | {each.refused} | {each.failed} | {each.removals} |"
        )
    return [*lines, *(line for each in samples for line in _told(each))]


def _told(sample: Sample) -> Iterator[str]:
    """Which operations the calls were."""
    counted = ", ".join(f"{name} {number}" for name, number in sorted(sample.calls.items()))
    yield from ("", f"Of the {sample.kind} backups: {counted}.")


class _Owner:
    """Whose the disks are: somebody else than the app, with rates of their own."""

    def __init__(self, servers: Servers) -> None:
        self.origin = servers.environment.arm_url
        self._group = f"/subscriptions/{servers.environment.subscription}/resourceGroups/{GROUP}"
        self._call("PUT", self._group, {"location": REGION}, "2021-04-01")

    def id_of(self, name: str) -> str:
        return f"{self._group}/providers/Microsoft.Compute/disks/{name}".lower()

    def make(self, disks: Iterable[str]) -> None:
        properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}
        for disk in disks:
            self._call("PUT", disk, {"location": REGION, "properties": properties})

    async def write(self, disks: Sequence[str]) -> None:
        """A block of each, as its machine would."""
        await side_by_side(disks, self._write_one)

    async def _write_one(self, disk: str) -> None:
        inside = await asyncio.to_thread(open_disk, self.origin, disk)
        async with BlobClient.from_blob_url(inside.url) as blob:
            await blob.upload_page(bytes(range(256)) * (BLOCK // 256), 0, BLOCK)

    def _call(self, method: str, path: str, body: Any, version: str = "2024-03-02") -> None:
        request = urllib.request.Request(
            f"{self.origin}{path}?api-version={version}",
            method=method,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer owner-{uuid4()}"},
        )
        with urllib.request.urlopen(request, timeout=60):
            return


def _blob_endpoint(accounts: str) -> str:
    """Of the vault's account, by its connection string."""
    parts = dict(pair.split("=", 1) for pair in json.loads(accounts)["vlvault"].split(";") if pair)
    return str(parts["BlobEndpoint"])
