"""The contract suite's world of managed disks: the laptop's Resource Manager and storage.

The fake runs as a process of its own, as in the laptop stack, and twenty times faster than Azure.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

from azure.storage.blob import BlobClient

from local.arm.controls import open_disk
from shared.azure.managed.disks import ManagedDisks
from shared.azure.routing import RoutedDisks
from shared.model.arm_ids import disk_id
from shared.model.cloud import Cloud
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl
from shared.model.ranges import PageRange
from shared.ports import Disks
from shared.wiring import Wiring
from tests.contract.pages import span, text
from tests.contract.worlds import World, settings_for
from tests.stack.azurite_fixtures import VAULT, RunningStorage

SUBSCRIPTION = "0f0f0f0f-1111-2222-3333-444444444444"
REGION = "westeurope"
FACTOR = 20.0
GIBIBYTE = 1024**3


@contextmanager
def running_arm(storage: RunningStorage, *options: str) -> Iterator[str]:
    """The fake in a process of its own; its origin."""
    argv = [sys.executable, "-m", "local.arm", "--blob-endpoint", storage.endpoint]
    argv += ["--time-factor", str(FACTOR), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["endpoint"])
        finally:
            process.terminate()
            process.wait(timeout=10)


@dataclass(frozen=True)
class ArmPeople:
    """Owners of managed disks: Resource Manager for the disks, a guest's hands for their pages."""

    origin: str
    group: str
    disks: ManagedDisks | None = None

    @property
    def root(self) -> str:
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{self.group}"
            "/providers/microsoft.compute/disks"
        )

    def call(self, method: str, path: str, body: Any = None, version: str = "2024-03-02") -> Any:
        request = urllib.request.Request(
            f"{self.origin}{path}?api-version={version}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer people", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
            return json.loads(content) if content else None

    def make_group(self) -> None:
        path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group}"
        self.call("PUT", path, {"location": REGION}, "2021-04-01")

    def make(self, disk: DiskUrl, size_bytes: int) -> None:
        """In whole GiB, as Azure has them."""
        self.make_disk(disk, size_bytes)

    def make_disk(self, disk: DiskUrl, size_bytes: int, sku: str = "Premium_LRS") -> None:
        self.make_like(disk, size_bytes, {"sku": {"name": sku}}, {})

    def make_like(self, disk: DiskUrl, size_bytes: int, fields: Any, properties: Any) -> None:
        """A disk of which more is told."""
        told = {
            "creationData": {"createOption": "Empty"},
            "diskSizeGB": -(-size_bytes // GIBIBYTE),
            **properties,
        }
        self.call("PUT", disk, {"location": REGION, **fields, "properties": told})
        self._settled(disk)

    def put(self, disk: DiskUrl, start: int, body: bytes) -> None:
        with self._inside(disk) as blob:
            blob.upload_page(body, start, len(body))

    def erase(self, disk: DiskUrl, range_: PageRange) -> None:
        with self._inside(disk) as blob:
            blob.clear_page(range_.start, range_.size_bytes)

    def resize(self, disk: DiskUrl, size_bytes: int) -> None:
        self.call("PATCH", disk, {"properties": {"diskSizeGB": -(-size_bytes // GIBIBYTE)}})
        self._settled(disk)

    def replace(self, disk: DiskUrl, size_bytes: int) -> None:
        self.remove(disk)
        self.make(disk, size_bytes)

    def remove(self, disk: DiskUrl) -> None:
        self.call("DELETE", disk)

    def label(self, disk: DiskUrl, name: str, value: str) -> None:
        self.call("PATCH", disk, {"tags": {name: value}})

    def bytes_of(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        assert not isinstance(image, Snapshot)
        with self._inside(image) as blob:
            return blob.download_blob(offset=range_.start, length=range_.size_bytes).readall()

    def short_lists(self, rows: int) -> Disks:
        assert self.disks is not None
        self.disks.listing_rows = rows
        return self.disks

    def refusing_copies(self) -> Any:
        raise NotImplementedError("a matter of the storage, whose suite has it")

    def show(self, id_: str) -> Mapping[str, Any]:
        shown: Mapping[str, Any] = self.call("GET", id_)
        return shown

    def is_gone(self, id_: str) -> bool:
        try:
            self.show(id_)
        except HTTPError as error:
            return error.code == 404
        return False

    def revoke(self, id_: str) -> None:
        self.call("POST", f"{id_}/endGetAccess")

    def _inside(self, disk: DiskUrl) -> BlobClient:
        return BlobClient.from_blob_url(open_disk(self.origin, disk).url, retry_total=0)

    def _settled(self, disk: DiskUrl) -> None:
        for _ in range(100):
            if self.show(disk)["properties"]["provisioningState"] == "Succeeded":
                return
            time.sleep(0.02)
        raise AssertionError(f"{disk} does not settle")


@asynccontextmanager
async def managed_world(
    storage: RunningStorage, origin: str, group: str = "", **cloud: Any
) -> AsyncIterator[tuple[World, ArmPeople]]:
    """A resource group on the running fake, its own unless named, and the ports over it."""
    people = ArmPeople(origin, group or f"rg-{uuid4().hex[:8]}")
    people.make_group()
    ours = Cloud(
        endpoint=origin,
        subscriptions=frozenset({SUBSCRIPTION}),
        restore_groups=frozenset({people.group}),
    )
    settings = replace(settings_for(storage), cloud=replace(ours, **cloud))
    async with Wiring(settings) as wiring:
        ports = wiring.ports()
        assert isinstance(ports.disks, RoutedDisks)
        assert isinstance(ports.disks.managed, ManagedDisks)
        people = replace(people, disks=ports.disks.managed)
        vault = f"{storage.endpoint}/{VAULT.name}/v{uuid4().hex[:12]}"
        world = World(ports=ports, people=people, source_root=people.root, vault_root=vault)
        assert disk_id(world.disk(None)).group == people.group
        yield world, people


async def read(world: World, image: Snapshot | DiskUrl, pages: int = 16) -> str:
    """A letter a page, through the port."""
    return text(await world.ports.disks.read(image, span(0, pages)))
