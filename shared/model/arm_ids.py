"""Ids of Azure Resource Manager: the names of managed disks, of their snapshots, of machines and
their restore points, and of where to look for them.

Resource Manager compares ids without case and gives them back in changing case. So an id is kept
in lower case, and what is not exactly an id is refused: it becomes part of a request's path.
"""

import re
from dataclasses import dataclass
from typing import Literal

from shared.model.errors import Invalid
from shared.model.ids import DiskUrl

Kind = Literal["disks", "snapshots", "virtualmachines"]

_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GROUP = r"[\w().-]{0,89}[\w()-]"
_NAME = r"[a-z0-9](?:[a-z0-9_.-]{0,78}[a-z0-9_])?"
_SUBSCRIPTION = re.compile(_GUID)
_BACKUP_GROUP = re.compile(r"azurebackuprg_[a-z0-9]+_[0-9]+")
_POINT_NAME = r"[a-z0-9_](?:[a-z0-9_.-]{0,158}[a-z0-9_])?"
"""A disk restore point is named for its disk, with a GUID behind."""
_COMPUTE = rf"/subscriptions/({_GUID})/resourcegroups/({_GROUP})/providers/microsoft\.compute"
_SCOPE = re.compile(
    rf"/subscriptions/({_GUID})(?:/resourcegroups/({_GROUP}))?"
    r"(?:(?:/providers/microsoft\.compute)?/(virtualmachines))?/?"
)
_RESOURCE = re.compile(rf"{_COMPUTE}/(disks|snapshots|virtualmachines)/({_NAME})")
_POINT = re.compile(
    rf"{_COMPUTE}/restorepointcollections/({_POINT_NAME})/restorepoints/({_POINT_NAME})"
    rf"(?:/diskrestorepoints/({_POINT_NAME}))?"
)
_VAULT = re.compile(
    rf"/subscriptions/({_GUID})/resourcegroups/({_GROUP})"
    r"/providers/microsoft\.recoveryservices/vaults/([a-z][a-z0-9-]{1,49})"
)

_NETWORK = re.compile(
    rf"/subscriptions/{_GUID}/resourcegroups/{_GROUP}/providers/microsoft\.network"
    rf"/(?:virtualnetworks/{_NAME}/subnets|networkinterfaces)/{_NAME}"
)


@dataclass(frozen=True, slots=True)
class ArmId:
    """A managed disk, a snapshot of one, or a machine; every part in lower case."""

    subscription: str
    group: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}"
            f"/providers/microsoft.compute/{self.kind}/{self.name}"
        )

    @property
    def url(self) -> DiskUrl:
        """The disk as items and snapshots name it."""
        return DiskUrl(str(self))

    @property
    def names(self) -> tuple[str, ...]:
        """What requests about it are given, in their order."""
        return self.group, self.name


@dataclass(frozen=True, slots=True)
class PointId:
    """A restore point of a machine; every part in lower case."""

    subscription: str
    group: str
    collection: str
    name: str

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}"
            "/providers/microsoft.compute/restorepointcollections/"
            f"{self.collection}/restorepoints/{self.name}"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What requests about it are given, in their order."""
        return self.group, self.collection, self.name


@dataclass(frozen=True, slots=True)
class DiskPointId:
    """One disk of a restore point: it is read as a snapshot is."""

    point: PointId
    name: str

    def __str__(self) -> str:
        return f"{self.point}/diskrestorepoints/{self.name}"

    @property
    def subscription(self) -> str:
        return self.point.subscription

    @property
    def names(self) -> tuple[str, ...]:
        """What requests about it are given, in their order."""
        return *self.point.names, self.name


Readable = ArmId | DiskPointId
"""What leave can be had for: a disk, a snapshot, or a disk restore point."""


@dataclass(frozen=True, slots=True)
class VaultId:
    """A Recovery Services vault; every part in lower case."""

    subscription: str
    group: str
    name: str

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}"
            f"/providers/microsoft.recoveryservices/vaults/{self.name}"
        )


@dataclass(frozen=True, slots=True)
class ArmScope:
    """A subscription, or a resource group of it: the disks there, or the machines."""

    subscription: str
    group: str = ""
    machines: bool = False

    def __str__(self) -> str:
        group = f"/resourcegroups/{self.group}" if self.group else ""
        kind = "/providers/microsoft.compute/virtualmachines" if self.machines else ""
        return f"/subscriptions/{self.subscription}{group}{kind}"


def is_arm_id(text: str) -> bool:
    """Whether the text is meant as an id of Resource Manager, rather than as a URL."""
    return text[:15].lower() == "/subscriptions/"


def is_machine_id(text: str) -> bool:
    """Whether the text is a virtual machine's id, in whatever case."""
    found = _RESOURCE.fullmatch(text.lower())
    return found is not None and found[3] == "virtualmachines"


def is_backup_group(name: str) -> bool:
    """Whether a resource group is one that Recovery Services keep restore points in:
    `AzureBackupRG_<geography>_<n>`, unless a policy names another."""
    return _BACKUP_GROUP.fullmatch(name.lower()) is not None


def subscription_id(text: str) -> str:
    """A subscription's id, in lower case. Raises `Invalid`."""
    if not _SUBSCRIPTION.fullmatch(lowered := text.strip().lower()):
        raise Invalid(f"'{text[:60]}' is not a subscription's id")
    return lowered


def disk_id(text: str) -> ArmId:
    """The id of a managed disk. Raises `Invalid`."""
    found = _RESOURCE.fullmatch(text.lower())
    if found is None or found[3] != "disks":
        raise Invalid(
            f"'{_shown(text)}' is not a managed disk's id",
            action="It looks like /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.Compute/disks/NAME; `az disk show --query id` prints it.",
        )
    return ArmId(found[1], found[2], "disks", found[4])


def machine_id(text: str) -> ArmId:
    """The id of a virtual machine. Raises `Invalid`."""
    found = _RESOURCE.fullmatch(text.lower())
    if found is None or found[3] != "virtualmachines":
        raise Invalid(
            f"'{_shown(text)}' is not a virtual machine's id",
            action="It looks like /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.Compute/virtualMachines/NAME; `az vm show --query id` prints it.",
        )
    return ArmId(found[1], found[2], "virtualmachines", found[4])


def point_id(text: str) -> PointId:
    """The id of a machine's restore point. Raises `Invalid`."""
    found = _POINT.fullmatch(text.lower())
    if found is None or found[5]:
        raise Invalid(f"'{_shown(text)}' is not the id of a virtual machine's restore point")
    return PointId(found[1], found[2], found[3], found[4])


def disk_point_id(text: str) -> DiskPointId:
    """The id of one disk of a restore point. Raises `Invalid`."""
    found = _POINT.fullmatch(text.lower())
    if found is None or not found[5]:
        raise Invalid(f"'{_shown(text)}' is not the id of a disk restore point")
    return DiskPointId(PointId(found[1], found[2], found[3], found[4]), found[5])


def readable_id(text: str) -> Readable:
    """The id of what can be read of a managed disk: a snapshot, or a disk restore point. Raises
    `Invalid`."""
    return disk_point_id(text) if "/diskrestorepoints/" in text.lower() else snapshot_id(text)


def network_id(text: str) -> str:
    """What a machine is put into a network by: a subnet's id, or an interface's, in lower case.
    Raises `Invalid`."""
    if not _NETWORK.fullmatch(lowered := text.lower()):
        raise Invalid(
            f"'{_shown(text)}' is neither a subnet's id nor a network interface's",
            action="`az network vnet subnet show --query id` prints one.",
        )
    return lowered


def is_subnet(network: str) -> bool:
    """Which of the two the id of a network is."""
    return "/subnets/" in network


def snapshot_id(text: str) -> ArmId:
    """The id of a snapshot of a managed disk. Raises `Invalid`."""
    found = _RESOURCE.fullmatch(text.lower())
    if found is None or found[3] != "snapshots":
        raise Invalid(f"'{_shown(text)}' is not the id of a managed disk's snapshot")
    return ArmId(found[1], found[2], "snapshots", found[4])


def recovery_vault_id(text: str) -> VaultId:
    """The id of a Recovery Services vault, named by Azure's rule: 2 to 50 letters, digits and
    hyphens, beginning with a letter. Raises `Invalid`."""
    found = _VAULT.fullmatch(text.lower())
    if found is None:
        raise Invalid(
            f"'{_shown(text)}' is not a Recovery Services vault's id",
            action="It looks like /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.RecoveryServices/vaults/NAME; `az backup vault show --query id` prints it.",
        )
    return VaultId(found[1], found[2], found[3])


def compute_scope(text: str) -> ArmScope:
    """A subscription or one of its resource groups; with `/virtualMachines` behind, the machines
    there rather than the disks. Raises `Invalid`."""
    found = _SCOPE.fullmatch(text.lower())
    if found is None:
        raise Invalid(
            f"'{_shown(text)}' names neither a subscription nor a resource group",
            action="Give /subscriptions/ID or /subscriptions/ID/resourceGroups/GROUP, and for "
            "virtual machines /virtualMachines behind it.",
        )
    return ArmScope(found[1], found[2] or "", found[3] is not None)


def _shown(text: str) -> str:
    """The text without what may be secret in it."""
    return text.partition("?")[0][:200]
