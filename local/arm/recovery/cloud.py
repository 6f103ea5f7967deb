"""What this service needs of the cloud around it: machines, their disks' bytes, restore points.

Compute's part of the fake satisfies it as it is; tests have one in memory.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from local.arm.answers import JsonObject


class VmDisk(Protocol):
    """A disk of a machine; `vhd` names the hidden page blob that holds its bytes."""

    @property
    def disk_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def lun(self) -> int | None:
        """None: the OS disk."""
        ...

    @property
    def size_bytes(self) -> int: ...
    @property
    def sku(self) -> str: ...
    @property
    def os_type(self) -> str | None: ...
    @property
    def vhd(self) -> str: ...


class Vm(Protocol):
    """A machine as it is now; `network`: its extension can reach the storage service."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def os_type(self) -> str: ...
    @property
    def vm_size(self) -> str: ...
    @property
    def power(self) -> str: ...
    @property
    def agent_ready(self) -> bool: ...
    @property
    def network(self) -> bool: ...
    @property
    def disks(self) -> Sequence[VmDisk]: ...


class Cloud(Protocol):
    """Refusals are ArmError, in Compute's words."""

    def vm(self, vm_id: str) -> Vm | None: ...

    def vms(self, subscription: str) -> Sequence[Vm]: ...

    def vm_body(self, vm_id: str) -> JsonObject | None:
        """The machine on the wire, without its instance view."""
        ...

    async def freeze(self, vhd: str) -> str:
        """A copy of the bytes as they are now; answers its name."""
        ...

    async def drop(self, vhd: str) -> None: ...

    async def make_disk(
        self,
        disk_id: str,
        *,
        location: str,
        sku: str,
        vhd: str,
        now: datetime,
        os_type: str | None = None,
    ) -> str:
        """A managed disk with the bytes of `vhd`; answers its id."""
        ...

    async def make_vm(
        self,
        vm_id: str,
        like: JsonObject,
        os_disk_id: str,
        data_disks: Mapping[int, str],
        now: datetime,
    ) -> None:
        """A running machine like another, on disks of its own."""
        ...

    async def swap_disks(
        self,
        vm_id: str,
        now: datetime,
        os_disk_id: str | None = None,
        data_disks: Mapping[int, str] | None = None,
    ) -> None:
        """Other disks in the places of the machine's, which stay."""
        ...

    def make_collection(self, collection_id: str, vm_id: str, location: str, now: datetime) -> None:
        """A restore point collection of the machine, where there is none yet."""
        ...

    async def make_point(
        self, point_id: str, vm_id: str, now: datetime, *, crash_consistent: bool = False
    ) -> JsonObject:
        """A restore point; its body. Its provisioningState is Failed where the guest is silent."""
        ...

    def point_vhds(self, point_id: str) -> Mapping[str, str]:
        """The bytes of a restore point's disks, by the id of the disk each was taken of."""
        ...

    async def drop_point(self, point_id: str) -> None:
        """One that is gone is no error."""
        ...


class Exports(Protocol):
    """Where disks go that are restored as VHDs."""

    async def export(self, vhd: str, account: str, container: str, blob: str) -> str | None:
        """A page blob with the bytes in a storage account; its URL. None: no such account."""
        ...
