"""What Recovery Services call a machine: the names of its container and of its item.

They contain the machine's resource group and name, in lower case. Azure writes the prefixes in
changing case and compares all of it without case.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.model.arm_ids import ArmId, VaultId, machine_id, recovery_vault_id
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.vault import Vault

FABRIC = "Azure"
MACHINE_TYPE = "Microsoft.Compute/virtualMachines"
_CONTAINER = re.compile(r"(?:iaasvmcontainer;)?iaasvmcontainerv2;([^;]+);([^;]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Where a machine's item is, whether or not there is one."""

    vault: VaultId
    machine: ArmId

    @property
    def names(self) -> tuple[str, str, str, str, str]:
        """What requests about it are given, in their order."""
        short = f"iaasvmcontainerv2;{self.machine.group};{self.machine.name}"
        container, item = f"IaasVMContainer;{short}", f"VM;{short}"
        return self.vault.name, self.vault.group, FABRIC, container, item


def vault_place(vault: Vault) -> VaultId:
    """The vault's id in parts. Raises `Invalid`."""
    return recovery_vault_id(vault.url)


def item_place(vault: Vault, machine: DiskUrl) -> ItemPlace:
    """Raises `Invalid` where either is no id."""
    return ItemPlace(vault_place(vault), machine_id(machine))


def machine_in(container: str, vault: VaultId) -> DiskUrl:
    """The machine that a job's or item's container is named for, which is in its vault's
    subscription; empty where it is none of today's machines."""
    found = _CONTAINER.fullmatch(container)
    if found is None:
        return DiskUrl("")
    return machine_url(
        f"/subscriptions/{vault.subscription}/resourcegroups/{found[1]}"
        f"/providers/microsoft.compute/virtualmachines/{found[2]}"
    )


def machine_url(text: str) -> DiskUrl:
    """A machine as items name it; empty where the text is no machine's id."""
    try:
        return machine_id(text).url
    except Invalid:
        return DiskUrl("")


def operation_name(url: str) -> str:
    """The name of an operation in its status URL. The query is a signature, and left out."""
    return urlsplit(url).path.rpartition("/")[2]
