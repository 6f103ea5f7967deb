"""Managed disks of the laptop's Resource Manager, as their owners use them."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from azure.storage.blob import BlobClient

from local.arm.controls import (
    add_faults,
    clear_counters,
    clear_faults,
    open_disk,
    read_counters,
)
from local.arm.faults import Fault
from local.arm.people import Person
from local.settings import RESTORE_GROUP
from tests.e2e.rig import ANOTHER_SUBSCRIPTION, MACHINES_GROUP, Rig

GIBIBYTE = 1024**3
GROUP = MACHINES_GROUP
REGION = "westeurope"
BLOCK = 64 * 1024


@dataclass(frozen=True)
class ManagedDisk:
    """One that a test writes to as its machine would; `written` blocks of it are remembered."""

    id: str
    blob: BlobClient

    @property
    def url(self) -> str:
        return self.id

    def write(self, at: int, seed: int) -> None:
        """A block of noise."""
        self.blob.upload_page(Random(seed).randbytes(BLOCK), at, BLOCK)

    def clear(self, at: int) -> None:
        self.blob.clear_page(at, BLOCK)

    def content(self, at: int, size_bytes: int) -> bytes:
        return self.blob.download_blob(offset=at, length=size_bytes).readall()


class Cloud:
    """The subscription of a rig."""

    def __init__(self, rig: Rig) -> None:
        self._environment = rig.environment
        for group in (GROUP, RESTORE_GROUP):
            self.call("PUT", self.group(group), {"location": REGION}, "2021-04-01")

    @cached_property
    def origin(self) -> str:
        return self._environment.arm_url

    def group(self, name: str) -> str:
        return f"/subscriptions/{self._environment.subscription}/resourceGroups/{name}"

    def person(self) -> Person:
        """Whoever makes networks and machines here."""
        return Person(self.origin, self._environment.subscription, REGION)

    def id_of(self, name: str, group: str = GROUP) -> str:
        return f"{self.group(group)}/providers/Microsoft.Compute/disks/{name}"

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

    def disk(
        self, name: str, tags: dict[str, str] | None = None, sku: str = "Premium_LRS"
    ) -> ManagedDisk:
        """A new disk of a GiB."""
        return self._made(self.id_of(name), REGION, {"sku": {"name": sku}, "tags": tags or {}})

    def disk_abroad(self, name: str, region: str) -> ManagedDisk:
        """A new disk of a GiB of another subscription, in another region, in a zone there."""
        group = f"/subscriptions/{ANOTHER_SUBSCRIPTION}/resourceGroups/abroad"
        self.call("PUT", group, {"location": region}, "2021-04-01")
        id_ = f"{group}/providers/Microsoft.Compute/disks/{name}"
        return self._made(id_, region, {"sku": {"name": "Premium_LRS"}, "zones": ["2"]})

    def _made(self, id_: str, region: str, fields: dict[str, Any]) -> ManagedDisk:
        properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}
        self.call("PUT", id_, {"location": region, **fields, "properties": properties})
        return self.opened(id_)

    def machine(self, name: str, lun: int, disk: ManagedDisk) -> str:
        """A running machine that has the disk, beside one to start from; its id."""
        person = self.person()
        subnet = person.make_subnet(GROUP, f"net-{name}")
        system = person.make_disk(GROUP, f"{name}-os", os_type="Linux")
        nic = person.make_interface(GROUP, f"{name}-nic", subnet)
        return person.make_machine(GROUP, name, system, {lun: disk.id}, nic)

    def opened(self, id_: str) -> ManagedDisk:
        """A disk that is there, once it has settled."""
        for _ in range(100):
            if self.call("GET", id_)["properties"]["provisioningState"] == "Succeeded":
                break
            time.sleep(0.05)
        return ManagedDisk(id_, BlobClient.from_blob_url(open_disk(self.origin, id_).url))

    @contextmanager
    def faults(self, *faults: Fault) -> Iterator[None]:
        """Scripts the faults for the time of the block; asserts that each fired."""
        add_faults(self.origin, faults)
        try:
            yield
        finally:
            counts = clear_faults(self.origin)
        assert all(count.fired for count in counts), f"a fault did not fire: {counts}"

    @contextmanager
    def locked(self, group: str) -> Iterator[None]:
        """While inside, nothing in the group can be changed."""
        lock = f"{self.group(group)}/providers/Microsoft.Authorization/locks/held"
        self.call("PUT", lock, {"properties": {"level": "ReadOnly"}}, "2016-09-01")
        try:
            yield
        finally:
            self.call("DELETE", lock, None, "2016-09-01")

    def forget_calls(self) -> None:
        clear_counters(self.origin)

    def calls(self) -> dict[str, int]:
        """Requests since, by operation; those of the people here, who only look, left out."""
        counted: dict[str, int] = {}
        for row in read_counters(self.origin):
            counted[row.operation] = counted.get(row.operation, 0) + row.requests
        return counted

    def snapshot_id(self, name: str, group: str = GROUP) -> str:
        return f"{self.group(group)}/providers/Microsoft.Compute/snapshots/{name}"

    def snapshots(self, group: str = GROUP) -> list[Any]:
        path = f"{self.group(group)}/providers/Microsoft.Compute/snapshots"
        return list(self.call("GET", path)["value"])
