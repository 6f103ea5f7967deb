"""Other tools on the same disk and the same changes, each labelled as what it is.

The closest peer is Benji, which is fed the list of changes. restic and BorgBackup are scanners:
they read the disk's file from end to end to find out what has changed. AzCopy has the storage
service copy a page blob, as the pipeline does, and each time all that is allocated.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from bench.disk import KIB, MIB, Changes, Churn
from bench.peer_tools import PEERS, Peer, State, refresh
from bench.pipeline import protect
from bench.servers import Servers, running_servers
from bench.stage import MIRRORS, Stage, stage
from bench.tools import DEFAULT_FOLDER, Missing
from local import processes
from local.components import Component
from local.storage.azurite import VAULT
from shared.model.ids import ItemId
from shared.model.point import Point

ABOUT = "other backup tools on the same disk and changes"
IMAGE_MIB = 1024
ROUNDS = 3
CHURN = Churn(2.0, 64 * KIB)
VAULTLINE, OURS = "Vaultline", "the storage copies what changed"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One backup. `read_bytes` of the disk were read, by the tool or by the storage for it. Of a
    tool that could not be had only its name is known, and what was tried."""

    tool: str
    how: str
    version: str = ""
    full: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    storage_cpu_seconds: float = 0.0
    read_bytes: int = 0
    changed_bytes: int = 0
    missing: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=int, default=IMAGE_MIB, help="MiB of the disk")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="increments")
    parser.add_argument("--tools", type=Path, default=DEFAULT_FOLDER, help="where tools go")


async def run(options: argparse.Namespace) -> list[Sample]:
    """A first backup by each tool, then as many increments as asked for, in turn."""
    samples = []
    with TemporaryDirectory(prefix="vaultline-peers-") as folder:
        peers: list[Peer] = []
        for made in PEERS:
            try:
                peers.append(await asyncio.to_thread(made, options.tools, Path(folder)))
            except Missing as error:
                samples.append(Sample(tool=made.name, how=made.how, missing=str(error)))
        async for sample in _measured(options, peers, Path(folder) / "disk.raw"):
            print(sample, flush=True)
            samples.append(sample)
    return samples


async def _measured(
    options: argparse.Namespace, peers: Sequence[Peer], file: Path
) -> AsyncIterator[Sample]:
    item = ItemId("disk")
    async with running_servers(preload=None) as servers, stage(servers) as ready:
        disk = await ready.disk(options.image)
        await protect(ready.pipeline.ports, disk.url, item)
        for number in range(options.rounds + 1):
            changes = await disk.change(CHURN) if number else None
            ours, point = await _our_backup(ready, item, changes)
            yield ours
            await refresh(file, disk.blob, changes)
            async with _urls(ready, point, f"peer-{number}") as (source, target):
                state = State(
                    number=number,
                    file=file,
                    source_url=source,
                    target_url=target,
                    changes=changes,
                )
                for peer in peers:
                    yield await _their_backup(servers, peer, state)


async def _our_backup(ready: Stage, item: ItemId, changes: Changes | None) -> tuple[Sample, Point]:
    before = _storage_cpu(ready.servers)
    work, point = await ready.pipeline.backup(item)
    sample = Sample(
        tool=VAULTLINE,
        how=OURS,
        full=changes is None,
        seconds=round(work.seconds, 3),
        cpu_seconds=round(work.cpu_seconds, 3),
        storage_cpu_seconds=round(_storage_cpu(ready.servers) - before, 3),
        read_bytes=work.log.copied_bytes + work.log.worker_bytes,
        changed_bytes=changes.changed_bytes if changes else 0,
    )
    return sample, point


async def _their_backup(servers: Servers, peer: Peer, state: State) -> Sample:
    before = _storage_cpu(servers)
    took = await asyncio.to_thread(peer.back_up, state)
    return Sample(
        tool=peer.name,
        how=peer.how,
        version=peer.tool.version,
        full=state.changes is None,
        seconds=round(took.seconds, 3),
        cpu_seconds=round(took.cpu_seconds, 3),
        storage_cpu_seconds=round(_storage_cpu(servers) - before, 3),
        read_bytes=took.read_bytes,
        changed_bytes=state.changes.changed_bytes if state.changes else 0,
    )


@asynccontextmanager
async def _urls(ready: Stage, point: Point, name: str) -> AsyncIterator[tuple[str, str]]:
    """Leave to read the point's source snapshot, and to write a blob that is not there yet."""
    assert point.source is not None
    target = ready.vault.get_blob_client(MIRRORS, name)
    leave = generate_container_sas(
        VAULT.name,
        MIRRORS,
        account_key=VAULT.key,
        permission=ContainerSasPermissions(read=True, write=True, create=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    async with ready.pipeline.ports.disks.grant(point.source) as grant:
        yield grant.url, f"{target.url}?{leave}"


def _storage_cpu(servers: Servers) -> float:
    """Processor time of the storage since its start."""
    record = processes.recorded(servers.config.run_dir, Component.STORAGE)
    assert record is not None
    spent = psutil.Process(record.pid).cpu_times()
    return float(spent.user + spent.system)


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """Medians of the increments, a row a tool; and its first backup."""
    yield (
        "| tool | what it does | first: s | read MiB | CPU s | increment: s | read MiB | CPU s "
        "| storage's CPU s |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for tool in dict.fromkeys(each.tool for each in samples):
        same = [each for each in samples if each.tool == tool]
        yield f"| {' | '.join(_cells(same))} |"


def _cells(same: Sequence[Sample]) -> Iterator[str]:
    one = same[0]
    yield f"{one.tool} ({one.version})" if one.version else one.tool
    yield f"not to be had here: {one.missing}" if one.missing else one.how
    if one.missing:
        yield from [""] * 7
        return
    for full in (True, False):
        some = [each for each in same if each.full is full]
        yield f"{median(each.seconds for each in some):.2f}"
        yield f"{median(each.read_bytes for each in some) / MIB:,.1f}"
        yield f"{median(each.cpu_seconds for each in some):.2f}"
    yield f"{median(each.storage_cpu_seconds for each in same if not each.full):.2f}"
