"""Ids and names of Recovery Services, in the casing that Azure answers them in.

Names are compared without regard to case: the same item is `vm;…` in the id of a protectable item
and `VM;…` in every listing.
"""

import re
from dataclasses import dataclass

FABRIC = "Azure"
MANAGEMENT_TYPE = "AzureIaasVM"
MACHINE_TYPE = "Microsoft.Compute/virtualMachines"
NAMESPACE = "Microsoft.RecoveryServices"

_MACHINE_ID = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)"
    r"/providers/Microsoft\.Compute/virtualMachines/([^/]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MachineRef:
    """A virtual machine's ARM id in parts, each spelled as it was given."""

    subscription: str
    group: str
    name: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{MACHINE_TYPE}/{self.name}"  # noqa: E501

    @property
    def key(self) -> str:
        """Equal for two spellings of one machine."""
        return self.id.casefold()

    @property
    def short_name(self) -> str:
        """What jobs and items call their container: no `IaasVMContainer;`, all lower case."""
        return f"iaasvmcontainerv2;{self.group.lower()};{self.name.lower()}"

    @property
    def container_name(self) -> str:
        return f"IaasVMContainer;{self.short_name}"

    @property
    def item_name(self) -> str:
        return f"VM;{self.short_name}"


def parse_machine(arm_id: str) -> MachineRef | None:
    """The machine that an ARM id names; None where it names something else."""
    found = _MACHINE_ID.fullmatch(arm_id)
    return MachineRef(*found.groups()) if found else None


@dataclass(frozen=True)
class VaultRef:
    """A vault's ARM id in parts, spelled as at its creation."""

    subscription: str
    group: str
    name: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{NAMESPACE}/vaults/{self.name}"  # noqa: E501

    def policy_id(self, name: str) -> str:
        return f"{self.id}/backupPolicies/{name}"

    def job_id(self, job: str) -> str:
        return f"{self.id}/backupJobs/{job}"

    def container_id(self, machine: MachineRef) -> str:
        return f"{self.id}/backupFabrics/{FABRIC}/protectionContainers/{machine.container_name}"

    def item_id(self, machine: MachineRef) -> str:
        return f"{self.container_id(machine)}/protectedItems/{machine.item_name}"

    def protectable_id(self, machine: MachineRef) -> str:
        """The one place where the item's name starts in lower case."""
        return f"{self.container_id(machine)}/protectableItems/vm;{machine.short_name}"


def snapshot_group(location: str, prefix: str | None, suffix: str | None, number: int) -> str:
    """The resource group that Azure Backup makes for its restore points.

    `AzureBackupRG_<geography>_<n>` by default; a policy may name its prefix and suffix.
    """
    if prefix is None:
        return f"AzureBackupRG_{location}_{number}"
    return f"{prefix}{number}{suffix or ''}"
