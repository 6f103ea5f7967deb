"""What is ours to use of an Azure cloud besides storage accounts: subscriptions and groups."""

from dataclasses import dataclass

from shared.model.arm_ids import ArmScope, subscription_id
from shared.model.errors import Invalid

AZURE = "https://management.azure.com"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """`subscriptions` is the allow-list of managed disks: none is touched in any other."""

    endpoint: str = AZURE
    """Resource Manager's address; on the loopback it is the laptop's."""
    subscriptions: frozenset[str] = frozenset()
    snapshot_group: str = ""
    """The resource group for snapshots, in their disk's subscription; the disk's own if empty."""
    restore_groups: frozenset[str] = frozenset()
    """Names of the resource groups that restores may make disks and machines in."""
    restore_sku: str = ""
    """What restored disks are; if empty, what the disk was that was backed up."""
    staging_account: str = ""
    """The id of the storage account that restores from Recovery Services vaults pass through."""
    grant_linger_seconds: float = 60.0
    """How long leave for hours is kept for the next who needs it, when nobody uses it."""


_UNKNOWN_SKU = "StandardSSD_LRS"
_NEAREST_SKUS = {"PremiumV2_LRS": "Premium_LRS", "UltraSSD_LRS": "Premium_LRS"}
"""Disks of the newest kinds are not made of uploads."""


def uploadable_sku(sku: str) -> str:
    """What a disk may be that is filled by an upload, to be most like one of that SKU."""
    return _NEAREST_SKUS.get(sku, sku) or _UNKNOWN_SKU


def subscriptions_of(text: str) -> frozenset[str]:
    """The ids in a comma-separated list. Raises `Invalid`."""
    return frozenset(subscription_id(each) for each in text.split(",") if each.strip())


def groups_of(text: str) -> frozenset[str]:
    """The names in a comma-separated list, in lower case."""
    return frozenset(each.strip().lower() for each in text.split(",") if each.strip())


def check_restores_into(cloud: Cloud, scope: ArmScope, what: str) -> None:
    """Raises `Invalid` where restores may not make that in the resource group."""
    if scope.subscription in cloud.subscriptions and scope.group in cloud.restore_groups:
        return
    raise Invalid(
        f"restores may not make {what} in resource group {scope.group}",
        action="Restore into a group of the settings VAULTLINE_SUBSCRIPTIONS and "
        "VAULTLINE_RESTORE_GROUPS, or add it there.",
    )
