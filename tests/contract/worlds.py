"""The two worlds of the contract suite: memory, and the SDKs on a real Azurite.

A world has the ports under test and `people`: what others do to disks, past the ports.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote
from uuid import uuid4

from azure.storage.blob import BlobClient, BlobServiceClient

from local.storage.controls import REFUSE_PUT_PAGE_FROM_URL, add_faults, clear_faults
from shared.azure.disks import AzureDisks
from shared.azure.routing import RoutedDisks
from shared.config import Settings
from shared.memory import MemoryPorts, memory_ports
from shared.model.disk import Snapshot
from shared.model.expiry import Guard
from shared.model.ids import DiskUrl, ItemId
from shared.model.pace import Pace
from shared.model.ranges import PAGE_BYTES, PageRange
from shared.ports import Disks, Ports
from shared.wiring import Wiring
from tests.stack.azurite_fixtures import SOURCE, STATE, VAULT, RunningStorage


class People(Protocol):
    """Owners of disks and other programs."""

    def make(self, disk: DiskUrl, size_bytes: int) -> None: ...
    def put(self, disk: DiskUrl, start: int, body: bytes) -> None: ...
    def erase(self, disk: DiskUrl, range_: PageRange) -> None: ...
    def resize(self, disk: DiskUrl, size_bytes: int) -> None: ...
    def replace(self, disk: DiskUrl, size_bytes: int) -> None: ...
    def remove(self, disk: DiskUrl) -> None: ...
    def label(self, disk: DiskUrl, name: str, value: str) -> None: ...
    def bytes_of(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes: ...
    def short_lists(self, rows: int) -> Disks: ...
    def refusing_copies(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class World:
    ports: Ports
    people: People
    source_root: str
    vault_root: str

    def disk(self, pages: int | None = 16, name: str = "disk.vhd") -> DiskUrl:
        """A source disk of so many pages; with None, the URL of one that does not exist."""
        url = DiskUrl(f"{self.source_root}/{name}")
        if pages is not None:
            self.people.make(url, pages * PAGE_BYTES)
        return url

    def replica(self, name: str = "replica") -> DiskUrl:
        return DiskUrl(f"{self.vault_root}/{name}")

    def short_lists(self, rows: int) -> Disks:
        """The same disks, with so few ranges in one answer."""
        return self.people.short_lists(rows)

    def refusing_copies(self) -> AbstractContextManager[None]:
        """While inside, the service reads no source itself."""
        return self.people.refusing_copies()

    def item(self) -> ItemId:
        """An item that no other test uses."""
        return ItemId(f"item-{uuid4().hex[:12]}")


@dataclass(frozen=True)
class MemoryPeople:
    ports: MemoryPorts

    def make(self, disk: DiskUrl, size_bytes: int) -> None:
        self.ports.storage.create(disk, size_bytes)

    def put(self, disk: DiskUrl, start: int, body: bytes) -> None:
        self.ports.storage.put(disk, start, body)

    def erase(self, disk: DiskUrl, range_: PageRange) -> None:
        self.ports.storage.erase(disk, range_)

    def resize(self, disk: DiskUrl, size_bytes: int) -> None:
        self.ports.storage.resize(disk, size_bytes)

    def replace(self, disk: DiskUrl, size_bytes: int) -> None:
        self.ports.storage.replace(disk, size_bytes)

    def remove(self, disk: DiskUrl) -> None:
        self.ports.storage.remove(disk)

    def label(self, disk: DiskUrl, name: str, value: str) -> None:
        self.ports.storage.label(disk, name, value)

    def bytes_of(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        return self.ports.storage.pages(image).read(range_)

    def short_lists(self, rows: int) -> Disks:
        self.ports.storage.listing_rows = rows
        return self.ports.disks

    @contextmanager
    def refusing_copies(self) -> Iterator[None]:
        self.ports.storage.refuse_server_side_copy = True
        yield
        self.ports.storage.refuse_server_side_copy = False


@dataclass(frozen=True)
class AzuritePeople:
    storage: RunningStorage
    disks: AzureDisks

    def make(self, disk: DiskUrl, size_bytes: int) -> None:
        self._blob(disk).create_page_blob(size_bytes)

    def put(self, disk: DiskUrl, start: int, body: bytes) -> None:
        self._blob(disk).upload_page(body, start, len(body))

    def erase(self, disk: DiskUrl, range_: PageRange) -> None:
        self._blob(disk).clear_page(range_.start, range_.size_bytes)

    def resize(self, disk: DiskUrl, size_bytes: int) -> None:
        self._blob(disk).resize_blob(size_bytes)

    def replace(self, disk: DiskUrl, size_bytes: int) -> None:
        time.sleep(1.1)  # a creation time has whole seconds, in Azure as in Azurite
        self._blob(disk).create_page_blob(size_bytes)

    def remove(self, disk: DiskUrl) -> None:
        self._blob(disk).delete_blob(delete_snapshots="include")

    def label(self, disk: DiskUrl, name: str, value: str) -> None:
        self._blob(disk).set_blob_tags({name: value})

    def bytes_of(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        blob = self._blob(image)
        return blob.download_blob(offset=range_.start, length=range_.size_bytes).readall()

    def short_lists(self, rows: int) -> Disks:
        self.disks.listing_rows = rows
        return self.disks

    @contextmanager
    def refusing_copies(self) -> Iterator[None]:
        add_faults(self.storage.endpoint, [REFUSE_PUT_PAGE_FROM_URL])
        yield
        (fault,) = clear_faults(self.storage.endpoint)
        assert fault.fired

    def _blob(self, image: Snapshot | DiskUrl) -> BlobClient:
        disk, snapshot = (image.disk, image.id) if isinstance(image, Snapshot) else (image, None)
        account, container, name = disk.removeprefix(f"{self.storage.endpoint}/").split("/", 2)
        service: BlobServiceClient = self.storage.blobs(SOURCE if account == SOURCE.name else VAULT)
        return service.get_blob_client(container, unquote(name), snapshot=snapshot)


def memory_world() -> World:
    ports = memory_ports()
    return World(
        ports=ports,
        people=MemoryPeople(ports),
        source_root="https://vlsource.blob.core.windows.net/disks",
        vault_root="https://vlvault.blob.core.windows.net/vault",
    )


def settings_for(storage: RunningStorage, service_bus: str = "") -> Settings:
    """What the laptop's stack would set."""
    return Settings(
        state=storage.connection_string(STATE),
        accounts={each.name: storage.connection_string(each) for each in (SOURCE, VAULT)},
        service_bus=service_bus
        or "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;"
        "SharedAccessKey=eQ==;UseDevelopmentEmulator=true",
        service_bus_namespace="",
        telemetry="off",
        pace=Pace(),
        guard=Guard(),
    )


@asynccontextmanager
async def azure_world(storage: RunningStorage) -> AsyncIterator[World]:
    container = storage.container(SOURCE)
    async with Wiring(settings_for(storage)) as wiring:
        ports = wiring.ports()
        assert isinstance(ports.disks, RoutedDisks)
        blobs = ports.disks.blobs
        assert isinstance(blobs, AzureDisks)
        yield World(
            ports=ports,
            people=AzuritePeople(storage, blobs),
            source_root=container.url,
            vault_root=f"{storage.endpoint}/{VAULT.name}/v{uuid4().hex[:12]}",
        )
