"""What other providers may see of machines and disks, and do with them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from local.arm.answers import JsonObject, source_not_found
from local.arm.clock import stamp
from local.arm.compute.attaching import Attaching, Machine
from local.arm.compute.disks import identity, new_disk
from local.arm.compute.kinds import Shelves, with_slash
from local.arm.compute.point_taking import PointTaking
from local.arm.compute.points import CRASH, point_view
from local.arm.compute.vhds import Vhds
from local.arm.compute.vms import RUNNING, attachments, new_guest, os_type_of
from local.arm.shelf import Resource


@dataclass(frozen=True)
class VmDisk:
    """A disk of a machine; `lun` None is the OS disk, `vhd` the hidden blob of its bytes."""

    disk_id: str
    name: str
    lun: int | None
    size_bytes: int
    sku: str
    os_type: str | None
    vhd: str


@dataclass(frozen=True)
class Vm:
    """A machine as others may know it; `vm_id` is the guid that outlives no deletion."""

    id: str
    name: str
    group: str
    location: str
    vm_id: str
    os_type: str
    vm_size: str
    power: str
    agent_ready: bool
    agent_version: str
    network: bool
    tags: Mapping[str, str]
    disks: tuple[VmDisk, ...]


@dataclass(frozen=True)
class Inventory:
    """Machines and disks, for providers that protect and restore them."""

    shelves: Shelves
    vhds: Vhds
    attaching: Attaching
    taking: PointTaking

    def owner_of_interface(self, interface: str) -> str | None:
        """The machine that has the network interface; None where none has."""
        return self.attaching.owner_of_interface(interface)

    def vm(self, vm_id: str) -> Vm | None:
        """The machine of that ARM id, or None."""
        found = self.shelves.vms.get(with_slash(vm_id))
        return self._seen(found) if found else None

    def vms(self, subscription: str) -> list[Vm]:
        return [self._seen(vm) for vm in self.shelves.vms.under(f"/subscriptions/{subscription}")]

    def vm_body(self, vm_id: str) -> JsonObject | None:
        """The machine's wire body, without instance view and provisioning state."""
        found = self.shelves.vms.get(with_slash(vm_id))
        return found.body if found else None

    async def freeze(self, vhd: str) -> str:
        """A copy of the bytes as they are now."""
        return await self.vhds.copy(vhd)

    async def drop(self, vhd: str) -> None:
        """Deletes bytes; those that are gone are no error."""
        await self.vhds.delete(vhd)

    async def make_disk(
        self,
        disk_id: str,
        *,
        location: str,
        sku: str,
        vhd: str,
        now: datetime,
        os_type: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """A managed disk with a copy of the bytes; its id. One of that name is replaced."""
        copied = await self.vhds.copy(vhd)
        body = new_disk(
            identity(disk_id, "disks", {"tags": dict(tags or {})}, location),
            sku,
            {"createOption": "Copy"},
            {"osType": os_type} if os_type else {},
            size_bytes=await self.vhds.size_bytes(copied),
            now=now,
        )
        self.shelves.disks.put(Resource(disk_id, body, now, inner={"vhd": copied}))
        return disk_id

    async def make_vm(
        self,
        vm_id: str,
        like: JsonObject,
        os_disk_id: str,
        data_disks: Mapping[int, str],
        now: datetime,
        network_interface_id: str | None = None,
    ) -> None:
        """A running machine like another, on disks of its own, in its disks' region."""
        properties = {
            name: like["properties"][name]
            for name in ("hardwareProfile", "networkProfile")
            if name in like["properties"]
        }
        if network_interface_id:
            properties["networkProfile"] = {"networkInterfaces": [{"id": network_interface_id}]}
        location = self._disk(os_disk_id).body["location"]
        properties["storageProfile"] = _profile(
            os_type_of(like["properties"]), os_disk_id, data_disks
        )
        machine = Machine(vm_id, location, RUNNING, now)
        properties["storageProfile"] = await self.attaching.completed(machine, properties)
        properties |= {"vmId": str(uuid4()), "timeCreated": stamp(now)}
        self.attaching.hold(machine, properties, instead_of={})
        head = identity(vm_id, "virtualMachines", like, location)
        body = {**head, "properties": properties, "etag": '"1"'}
        guest = new_guest(os_type_of(properties))
        self.shelves.vms.put(Resource(vm_id, body, now, inner=guest))

    async def swap_disks(
        self,
        vm_id: str,
        now: datetime,
        os_disk_id: str | None = None,
        data_disks: Mapping[int, str] | None = None,
    ) -> None:
        """Puts other disks in the places of the machine's; those replaced stay, unattached."""
        vm = self.shelves.vms.get(with_slash(vm_id))
        if vm is None:
            raise source_not_found(vm_id.rpartition("/")[2])
        profile = dict(vm.properties["storageProfile"])
        if os_disk_id:
            profile["osDisk"] = _entry(profile["osDisk"], os_disk_id)
        places = data_disks or {}
        profile["dataDisks"] = [
            _entry(each, places[each["lun"]]) if each["lun"] in places else each
            for each in profile["dataDisks"]
        ]
        machine = Machine(vm.id, vm.body["location"], vm.inner["power"], now)
        completed = await self.attaching.completed(machine, {"storageProfile": profile})
        self.attaching.hold(machine, {"storageProfile": completed}, instead_of=vm.properties)
        self.shelves.vms.put(vm.with_properties(storageProfile=completed))

    def make_collection(self, collection_id: str, vm_id: str, location: str, now: datetime) -> None:
        """A restore point collection of the machine, where there is none of that id."""
        vm = self.shelves.vms.get(with_slash(vm_id))
        if vm is None:
            raise source_not_found(vm_id.rpartition("/")[2])
        if self.shelves.collections.get(collection_id):
            return
        properties: dict[str, Any] = {
            "source": {"location": vm.body["location"], "id": vm.id},
            "restorePointCollectionId": str(uuid4()),
            "provisioningState": "Succeeded",
        }
        head = identity(collection_id, "restorePointCollections", {}, location)
        body = {**head, "properties": properties}
        self.shelves.collections.put(Resource(collection_id, body, now))

    async def make_point(
        self, point_id: str, vm_id: str, now: datetime, *, crash_consistent: bool = False
    ) -> JsonObject:
        """A restore point, settled at once and outside the callers' limits; its body.

        Where the guest does not answer, the point's provisioningState is Failed.
        """
        wanted = {"properties": {"consistencyMode": CRASH}} if crash_consistent else {}
        taken = await self.taking.take(point_id, vm_id, wanted, now, limited=False)
        point = replace(taken.point, settles_at=now)
        self.shelves.points.put(point)
        for each in list(self.shelves.disk_points.under(point.id)):
            self.shelves.disk_points.put(replace(each, settles_at=now))
        return point_view(point, now)

    async def drop_point(self, point_id: str) -> None:
        """The point and its bytes; one that is gone is no error."""
        if point := self.shelves.points.get(point_id):
            await self.taking.drop(point)

    def point_vhds(self, point_id: str) -> dict[str, str]:
        """The hidden blobs of a point's disks, by the id of the disk each was taken of."""
        found = self.shelves.disk_points.under(point_id)
        return {each.properties["sourceResourceId"]: each.inner["vhd"] for each in found}

    def _disk(self, disk_id: str) -> Resource:
        found = self.shelves.disks.get(with_slash(disk_id))
        if found is None:
            raise source_not_found(disk_id.rpartition("/")[2])
        return found

    def _seen(self, vm: Resource) -> Vm:
        hardware = vm.properties.get("hardwareProfile") or {}
        return Vm(
            id=vm.id,
            name=vm.name,
            group=vm.id.split("/")[4],
            location=vm.body["location"],
            vm_id=vm.properties["vmId"],
            os_type=os_type_of(vm.properties),
            vm_size=hardware.get("vmSize", ""),
            power=vm.inner["power"],
            agent_ready=vm.inner["agent_ready"],
            agent_version=vm.inner["agent_version"],
            network=vm.inner["network"],
            tags=vm.body.get("tags") or {},
            disks=tuple(self._disks_of(vm)),
        )

    def _disks_of(self, vm: Resource) -> list[VmDisk]:
        """Disks that somebody has deleted under the machine are left out."""
        known = [
            (each, disk)
            for each in attachments(vm.properties)
            if (disk := self.shelves.disks.get(each.disk_id))
        ]
        return [
            VmDisk(
                disk_id=disk.id,
                name=disk.name,
                lun=each.lun,
                size_bytes=int(disk.properties["diskSizeBytes"]),
                sku=disk.body["sku"]["name"],
                os_type=each.entry.get("osType"),
                vhd=disk.inner["vhd"],
            )
            for each, disk in known
        ]


def _entry(place: JsonObject, disk_id: str) -> dict[str, Any]:
    """The place in a storage profile with another disk in it."""
    kept = {name: value for name, value in place.items() if name not in ("name", "diskSizeGB")}
    return {**kept, "createOption": "Attach", "managedDisk": {"id": disk_id}}


def _profile(os_type: str, os_disk_id: str, data_disks: Mapping[int, str]) -> dict[str, Any]:
    return {
        "osDisk": _entry({"osType": os_type, "caching": "ReadWrite"}, os_disk_id),
        "dataDisks": [_entry({"lun": lun}, disk) for lun, disk in sorted(data_disks.items())],
    }
