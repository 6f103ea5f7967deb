"""Where backups are measured: servers, a worker, its pipeline, and clients that are nobody's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from azure.storage.blob.aio import BlobClient, BlobServiceClient

from bench.disk import MIB, Allocation, Disk
from bench.listening import listening
from bench.pipeline import Pipeline, set_up
from bench.requests import Log, told
from bench.servers import Servers
from shared.model.point import Point
from shared.steps.dispatch import dispatch

DISKS, MIRRORS = "disks", "mirrors"
ALLOCATED = 0.25
"""So much of a disk holds something at first."""


@dataclass(frozen=True)
class Stage:
    """`source` and `vault` are the SDK's own clients, by its defaults."""

    servers: Servers
    pipeline: Pipeline
    source: BlobServiceClient
    vault: BlobServiceClient

    def blob(self, name: str) -> BlobClient:
        """Where a disk of that name lies, or will."""
        return self.source.get_blob_client(DISKS, name)

    async def disk(self, image_mib: int) -> Disk:
        """A new disk of that size, about a quarter of it allocated in runs of some MiB."""
        blob = self.blob(f"master-{image_mib}")
        disk = Disk(blob, Allocation(image_mib * MIB), seed=image_mib)
        await disk.make(ALLOCATED)
        return disk

    async def mirror(self, name: str, size_bytes: int) -> BlobClient:
        """An empty blob for the loop to write to."""
        blob = self.vault.get_blob_client(MIRRORS, name)
        await blob.create_page_blob(size_bytes)
        return blob

    async def mirror_of(self, name: str, point: Point) -> BlobClient:
        """A blob that holds what the point does; the storage copies it at once."""
        assert point.replica is not None
        blob = self.vault.get_blob_client(MIRRORS, name)
        async with self.pipeline.ports.disks.grant(point.replica) as grant:
            await blob.start_copy_from_url(grant.url)
        return blob


@asynccontextmanager
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    """The pipeline set up, with a worker that works until the block is left."""
    storage, bus, log = servers.environment.storage, servers.environment.service_bus, Log()
    async with (
        servers.wiring() as wiring,
        BlobServiceClient.from_connection_string(storage.source) as source,
        BlobServiceClient.from_connection_string(storage.vault) as vault,
    ):
        ports = told(wiring.ports(), log)
        await source.create_container(DISKS)
        await vault.create_container(MIRRORS)
        await set_up(ports, f"{vault.url.rstrip('/')}/replicas")
        async with listening(partial(dispatch, ports), bus) as worker:
            yield Stage(servers, Pipeline(servers, ports, worker, log), source, vault)
