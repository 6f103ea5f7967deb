"""What can be seen of a virtual machine from outside, as far as it matters to its backups."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.ids import DiskUrl
from shared.model.machine import Machine
from shared.model.vm_snapshot import SnapshotStatus


@dataclass(frozen=True, kw_only=True)
class SeenDisk:
    """A disk as it is attached. `url` is empty where it is no managed disk."""

    lun: int
    name: str
    url: DiskUrl | None
    sku: str = ""
    size_bytes: int = 0
    shared_by: int = 1
    """How many machines may have it at a time."""
    ephemeral: bool = False
    """On the host's own disk, gone with the machine."""
    write_accelerated: bool = False
    exports: str = "AllowAll"
    """Its network access policy: `AllowAll`, `AllowPrivate` or `DenyAll`."""
    entra_only: bool = False
    """A SAS on it is not enough: whoever reads it has to sign in as well."""


@dataclass(frozen=True, kw_only=True)
class SeenExtension:
    """An extension of the machine. `kind` is what it is, whatever its name; `state` its
    provisioning's, in lower case; `status` what VMSnapshot says of its last task."""

    name: str
    kind: str
    state: str
    message: str = ""
    version: str = ""
    status: SnapshotStatus | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An outbound rule of a network security group, as written there."""

    name: str
    priority: int
    allows: bool
    protocol: str = "*"
    sources: tuple[str, ...] = ("*",)
    source_groups: tuple[str, ...] = ()
    """Application security groups, by id in lower case."""
    destinations: tuple[str, ...] = ("*",)
    to_groups: bool = False
    """Whether it is about application security groups: machines, and so not about Azure."""
    ports: tuple[str, ...] = ("*",)


@dataclass(frozen=True, kw_only=True)
class SecurityGroup:
    """Its outbound rules, Azure's own ones included."""

    name: str
    group: str
    at: str
    """`interface` or `subnet`: whose it is."""
    rules: tuple[Rule, ...]


class Hop(StrEnum):
    INTERNET = "Internet"
    APPLIANCE = "VirtualAppliance"
    GATEWAY = "VirtualNetworkGateway"
    NETWORK = "VnetLocal"
    NONE = "None"


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route of the subnet's table. `prefix` is a network or a service tag."""

    name: str
    prefix: str
    hop: Hop
    address: str = ""
    table: str = ""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A network interface, with everything between it and Azure's services."""

    name: str
    address: str = ""
    application_groups: tuple[str, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    routes: tuple[Route, ...] = ()
    subnet: str = ""
    private_subnet: bool = False
    """Whether the subnet has no way out by default."""
    has_way_out: bool = False
    """A public address, a NAT gateway or a load balancer of its own."""
    endpoints: tuple[str, ...] = ()
    """Services that the subnet reaches directly, e.g. `Microsoft.Storage`."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A management lock. `level` is `CanNotDelete` or `ReadOnly`; `scope` the id of the resource
    group, or the subscription, that it is on."""

    name: str
    level: str
    scope: str


@dataclass(frozen=True, kw_only=True)
class PointsGroup:
    """A resource group that holds restore points of the machine. `is_azures` where Azure Backup
    made it for itself (`AzureBackupRG_<geography>_<n>`)."""

    name: str
    points: int
    locks: tuple[Lock, ...] = ()
    is_azures: bool = False


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A part that could not be looked at, and why."""

    part: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """A machine as it stands. Its `machine.disks` are the managed ones; `disks` are all.
    `provisioning` is how its last change went."""

    machine: Machine
    provisioning: str = "Succeeded"
    disks: tuple[SeenDisk, ...] = ()
    extensions: tuple[SeenExtension, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    points_groups: tuple[PointsGroup, ...] = ()
    points_taken: tuple[datetime, ...] = ()
    """When each of its restore points was taken, whoever took it."""
    locks: tuple[Lock, ...] = ()
    """On the group that its restore points are made in."""
    unseen: tuple[Unseen, ...] = ()

    def extension(self, kinds: Iterable[str]) -> SeenExtension | None:
        wanted = {kind.casefold() for kind in kinds}
        return next((each for each in self.extensions if each.kind.casefold() in wanted), None)
