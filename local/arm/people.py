"""The running fake as its people use it: they make groups, networks, disks and machines, and look
into the disks as a machine would."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobClient

from local.arm.controls import open_disk
from local.errors import StackError

COMPUTE, NETWORK, GROUPS = "2024-07-01", "2023-11-01", "2021-04-01"
_DISKS = "2024-03-02"
_SETTLED = frozenset({"Succeeded", "Failed"})
SETTLE_SECONDS = 60.0
_PIECE_BYTES = 4 * 1024**2

Span = tuple[int, int]


@dataclass(frozen=True)
class Inside:
    """A disk's pages, as its machine sees them."""

    blob: BlobClient
    size_bytes: int

    def write(self, image: Path, spans: Iterable[Span]) -> None:
        """The same bytes as in the image, in those places."""
        with image.open("rb") as file:
            for start, end in _pieces(spans):
                body = os.pread(file.fileno(), end - start, start)
                self.blob.upload_page(body, start, end - start)

    def clear(self, spans: Iterable[Span]) -> None:
        for start, end in spans:
            self.blob.clear_page(start, end - start)

    def save(self, image: Path) -> None:
        """The whole disk as a sparse file."""
        with image.open("wb") as file:
            file.truncate(self.size_bytes)
            for start, end in _pieces(self._allocated()):
                body = self.blob.download_blob(offset=start, length=end - start).readall()
                os.pwrite(file.fileno(), body, start)

    def _allocated(self) -> Iterator[Span]:
        """Without the footer that the service's own image of the disk ends with."""
        for listed in self.blob.list_page_ranges():
            start, end = int(listed.start or 0), int(listed.end or 0) + 1
            if start < self.size_bytes and not listed.cleared:
                yield start, min(end, self.size_bytes)


@dataclass(frozen=True)
class Person:
    """Somebody with the rights of an owner. Ids that are returned are as they were written."""

    endpoint: str
    subscription: str
    region: str = "westeurope"

    def call(self, method: str, path: str, body: object = None, version: str = COMPUTE) -> Any:
        """One request. Raises `StackError` with what was answered."""
        request = urllib.request.Request(  # noqa: S310 (the laptop's own server)
            f"{self.endpoint}{path}?api-version={version}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer people", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise StackError(f"{method} {path} answered {error.code}: {said}") from error
        return json.loads(content) if content else None

    def group_id(self, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{name}"

    def compute_id(self, group: str, kind: str, name: str) -> str:
        """`kind` is `disks`, `snapshots` or `virtualMachines`."""
        return f"{self.group_id(group)}/providers/Microsoft.Compute/{kind}/{name}"

    def make_group(self, name: str) -> str:
        self.call("PUT", self.group_id(name), {"location": self.region}, GROUPS)
        return self.group_id(name)

    def make_disk(
        self,
        group: str,
        name: str,
        gib: int = 1,
        sku: str = "Premium_LRS",
        os_type: str | None = None,
        zone: str | None = None,
    ) -> str:
        """An empty disk."""
        properties: dict[str, Any] = {
            "creationData": {"createOption": "Empty"},
            "diskSizeGB": gib,
        }
        if os_type:
            properties |= {"osType": os_type, "hyperVGeneration": "V2"}
        body: dict[str, Any] = {
            "location": self.region,
            "sku": {"name": sku},
            "properties": properties,
        }
        if zone:
            body["zones"] = [zone]
        id_ = self.compute_id(group, "disks", name)
        self.call("PUT", id_, body, _DISKS)
        self._settle(id_, _DISKS)
        return id_

    def make_interface(self, group: str, name: str, subnet: str) -> str:
        id_ = f"{self.group_id(group)}/providers/Microsoft.Network/networkInterfaces/{name}"
        address = {
            "name": "main",
            "properties": {"subnet": {"id": subnet}, "privateIPAllocationMethod": "Dynamic"},
        }
        body = {"location": self.region, "properties": {"ipConfigurations": [address]}}
        self.call("PUT", id_, body, NETWORK)
        return id_

    def make_subnet(self, group: str, network: str) -> str:
        """A network with one subnet; the subnet's id."""
        id_ = f"{self.group_id(group)}/providers/Microsoft.Network/virtualNetworks/{network}"
        subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
        properties = {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [subnet],
        }
        self.call("PUT", id_, {"location": self.region, "properties": properties}, NETWORK)
        return f"{id_}/subnets/default"

    def make_machine(
        self,
        group: str,
        name: str,
        os_disk: str,
        data_disks: Mapping[int, str],
        interface: str,
        os_type: str = "Linux",
    ) -> str:
        """A running machine of disks that are there."""
        profile = {
            "osDisk": {
                "osType": os_type,
                "createOption": "Attach",
                "managedDisk": {"id": os_disk},
                "caching": "ReadWrite",
            },
            "dataDisks": [
                {"lun": lun, "createOption": "Attach", "managedDisk": {"id": disk}}
                for lun, disk in data_disks.items()
            ],
        }
        properties = {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": profile,
            "networkProfile": {"networkInterfaces": [{"id": interface}]},
        }
        id_ = self.compute_id(group, "virtualMachines", name)
        self.call("PUT", id_, {"location": self.region, "properties": properties})
        self._settle(id_, COMPUTE)
        return id_

    def list_disks(self, group: str) -> list[str]:
        """The ids of the disks in a group."""
        path = f"{self.group_id(group)}/providers/Microsoft.Compute/disks"
        return [str(each["id"]) for each in self.call("GET", path, version=_DISKS)["value"]]

    def disks_of(self, machine: str) -> dict[int | None, str]:
        """The ids of its disks by LUN; None is the operating system's."""
        profile = self.call("GET", machine)["properties"]["storageProfile"]
        data = {each["lun"]: each["managedDisk"]["id"] for each in profile["dataDisks"]}
        return {None: profile["osDisk"]["managedDisk"]["id"], **data}

    def inside(self, disk: str) -> Inside:
        """Raises `StackError` where there is no such disk."""
        access = open_disk(self.endpoint, disk)
        return Inside(BlobClient.from_blob_url(access.url), access.size_bytes)

    def _settle(self, id_: str, version: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            state = self.call("GET", id_, version=version)["properties"]["provisioningState"]
            if state in _SETTLED:
                return
            time.sleep(0.05)
        raise StackError(f"{id_} did not settle in {SETTLE_SECONDS:.0f} s")


def _pieces(spans: Iterable[Span]) -> Iterator[Span]:
    """In what one request moves."""
    for start, end in spans:
        for at in range(start, end, _PIECE_BYTES):
            yield at, min(at + _PIECE_BYTES, end)
