"""Disks on machines: put on, taken off, made along with a machine."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from local.arm.answers import ArmError, JsonObject, invalid_parameter, nic_in_use, not_allowed
from local.arm.compute.disk_routes import active_sas
from local.arm.compute.disks import grant_is_open, identity, new_disk
from local.arm.compute.kinds import Shelves, with_slash
from local.arm.compute.skus import GIB
from local.arm.compute.sources import Sources, Wish
from local.arm.compute.vms import RUNNING, attachments, interfaces, os_type_of
from local.arm.shelf import Resource

_DEFAULT_SKU = "Premium_LRS"


@dataclass(frozen=True)
class Machine:
    """Where disks are being put on."""

    id: str
    location: str
    power: str
    now: datetime

    @property
    def group_scope(self) -> str:
        return self.id.partition("/providers/")[0]


@dataclass(frozen=True)
class Attaching:
    """Gives a machine the disks that its storage profile names, and takes others off."""

    shelves: Shelves
    sources: Sources

    async def completed(self, machine: Machine, properties: JsonObject) -> dict[str, Any]:
        """The storage profile with every disk made or found, and what Azure adds to each entry.

        Raises 404 NotFound for a disk that is not there, 409 for one that is taken.
        """
        os_type = os_type_of(properties)
        profile = dict(properties.get("storageProfile") or {})
        if not profile.get("osDisk"):
            raise invalid_parameter("osDisk", "Required parameter 'osDisk' is missing (null).")
        self._refuse_taken(machine, properties)
        os_disk = {**profile["osDisk"], "osType": os_type}
        profile["osDisk"] = await self._entry(machine, os_disk, os_type)
        data = profile.get("dataDisks") or []
        profile["dataDisks"] = [await self._entry(machine, entry, None) for entry in data]
        return profile

    def hold(self, machine: Machine, properties: JsonObject, *, instead_of: JsonObject) -> None:
        """Marks the machine's disks as its own and lets go of those it had and has no more."""
        wanted = {each.disk_id.casefold() for each in attachments(properties)}
        for each in attachments(instead_of):
            if each.disk_id.casefold() not in wanted:
                self._mark(each.disk_id, None, None)
        for each in attachments(properties):
            state = "Attached" if machine.power == RUNNING else "Reserved"
            self._mark(each.disk_id, machine.id, state)

    def refuse_taken_interfaces(self, machine: Machine, properties: JsonObject) -> None:
        """Raises 400 for a network interface that another machine has."""
        for each in interfaces(properties):
            owner = self.owner_of_interface(each)
            if owner and owner.casefold() != machine.id.casefold():
                raise nic_in_use(each, owner)

    def owner_of_interface(self, interface: str) -> str | None:
        """The machine that has the network interface; None where none has."""
        wanted = interface.casefold()
        for vm in self.shelves.vms.every():
            if wanted in (each.casefold() for each in interfaces(vm.properties)):
                return vm.id
        return None

    def _refuse_taken(self, machine: Machine, properties: JsonObject) -> None:
        """Looks at every disk before one is made."""
        for each in attachments(properties):
            if each.disk_id:
                self._attachable(machine, with_slash(each.disk_id))

    def _mark(self, disk_id: str, owner: str | None, state: str | None) -> None:
        if disk := self.shelves.disks.get(disk_id):
            self.shelves.disks.put(disk.knowing(managed_by=owner, attached_as=state))

    async def _entry(
        self, machine: Machine, entry: JsonObject, os_type: str | None
    ) -> dict[str, Any]:
        disk_id = (entry.get("managedDisk") or {}).get("id")
        if disk_id:
            disk = self._attachable(machine, with_slash(disk_id))
        else:
            disk = await self._made(machine, entry, os_type)
        managed = {"storageAccountType": disk.body["sku"]["name"], "id": disk.id}
        return {
            "caching": "None",
            "deleteOption": "Detach",
            **entry,
            "name": disk.name,
            "managedDisk": managed,
            "diskSizeGB": disk.properties["diskSizeGB"],
        }

    def _attachable(self, machine: Machine, disk_id: str) -> Resource:
        disk = self.sources.resource(disk_id)
        owner = disk.inner.get("managed_by")
        if owner and owner.casefold() != machine.id.casefold():
            raise ArmError(
                409,
                "ConflictingUserInput",
                f"Cannot attach the disk {disk.name} to VM {machine.id} because it is already "
                f"attached to VM {owner}. A disk can be attached to only one VM at a time.",
                target=disk.id,
            )
        if disk.inner.get("uploading"):
            raise not_allowed(f"Disk '{disk.name}' is waiting for its upload.")
        if not owner and grant_is_open(disk, machine.now):
            raise active_sas(disk.name, "disk", "attaching")
        return disk

    async def _made(self, machine: Machine, entry: JsonObject, os_type: str | None) -> Resource:
        """A disk that comes with the machine: of an image, or empty."""
        name = entry.get("name") or f"{machine.id.rpartition('/')[2]}_disk_{uuid4().hex}"
        disk_id = f"{machine.group_scope}/providers/Microsoft.Compute/disks/{name}"
        creation = {"createOption": entry.get("createOption", "Empty")}
        if source := (entry.get("sourceResource") or {}).get("id"):
            creation["sourceResourceId"] = source
        size_bytes = entry["diskSizeGB"] * GIB if entry.get("diskSizeGB") else None
        made = await self.sources.make(Wish(creation, machine.location, size_bytes, machine.now))
        sku = (entry.get("managedDisk") or {}).get("storageAccountType", _DEFAULT_SKU)
        body = new_disk(
            identity(disk_id, "disks", {}, machine.location),
            sku,
            made.creation,
            {"osType": os_type, "hyperVGeneration": "V1"} if os_type else {},
            size_bytes=made.size_bytes,
            now=machine.now,
        )
        disk = Resource(disk_id, body, machine.now, inner={"vhd": made.vhd})
        self.shelves.disks.put(disk)
        return disk
