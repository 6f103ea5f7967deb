"""Vaults, policies and settings on the wire."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from local.arm.answers import JsonObject
from local.arm.recovery.formats import utc
from local.arm.recovery.policies import Policy
from local.arm.recovery.vault import Vault

_UNLOCKED = "Unlocked"
_LOCKED = "Locked"


def vault_body(vault: Vault, now: datetime, *, in_list: bool = False) -> JsonObject:
    """A vault. A listing leaves out what the backup service would have to be asked for."""
    body: dict[str, Any] = {
        "location": vault.location,
        "name": vault.ref.name,
        "etag": f"W/\"datetime'{quote(utc(vault.changed_at))}'\"",
        **({"tags": dict(vault.tags)} if vault.tags else {}),
        "properties": _properties(vault, now, in_list=in_list),
        "id": vault.id,
        "type": "Microsoft.RecoveryServices/vaults",
        "sku": dict(vault.sku),
    }
    return body


def _properties(vault: Vault, now: datetime, *, in_list: bool) -> JsonObject:
    made = now >= vault.settles_at
    guarded = made and vault.immutability in (_UNLOCKED, _LOCKED)
    properties: dict[str, Any] = {
        "provisioningState": "Succeeded" if made else "Provisioning",
        "privateEndpointStateForBackup": "None",
        "privateEndpointStateForSiteRecovery": "None",
    }
    if vault.monitoring:
        properties["monitoringSettings"] = dict(vault.monitoring)
    if made and not in_list:
        properties["backupStorageVersion"] = "V2" if vault.was_used else "Unassigned"
        properties["securitySettings"] = _security(vault)
    elif vault.immutability and not in_list:
        properties["securitySettings"] = _not_yet_known(vault)
    if not in_list:
        properties["redundancySettings"] = {
            "standardTierStorageRedundancy": vault.redundancy,
            "crossRegionRestore": vault.cross_region_restore,
        }
    across = {"crossSubscriptionRestoreState": vault.cross_subscription_restore}
    return {
        **properties,
        "secureScore": "Minimum" if guarded else "None",
        "bcdrSecurityLevel": "Fair" if guarded else "Poor",
        "publicNetworkAccess": vault.public_network_access,
        "restoreSettings": {"crossSubscriptionRestoreSettings": across},
    }


def _security(vault: Vault) -> JsonObject:
    soft_delete = vault.soft_delete
    # A vault in use that has soft delete off says zero days; an unused one what is set.
    days = soft_delete.days if soft_delete.is_on or not vault.was_used else 0
    return {
        "immutabilitySettings": {"state": vault.immutability} if vault.immutability else None,
        "softDeleteSettings": {
            "softDeleteRetentionPeriodInDays": days,
            "softDeleteState": soft_delete.state,
            "enhancedSecurityState": soft_delete.enhanced_security,
        },
        "multiUserAuthorization": "Disabled",
    }


def _not_yet_known(vault: Vault) -> JsonObject:
    """What a vault in the making says of its security (recorded)."""
    return {
        "immutabilitySettings": {"state": vault.immutability},
        "softDeleteSettings": None,
        "multiUserAuthorization": "Invalid",
    }


def config_body(vault: Vault) -> JsonObject:
    """`backupconfig/vaultconfig`."""
    return _setting(
        vault,
        "backupconfig",
        "vaultconfig",
        {
            "enhancedSecurityState": vault.soft_delete.enhanced_security,
            "softDeleteFeatureState": vault.soft_delete.state,
            "softDeleteRetentionPeriodInDays": vault.soft_delete.days,
            "isSoftDeleteFeatureStateEditable": vault.soft_delete.state != "AlwaysON",
        },
    )


def storage_body(vault: Vault, *, has_items: bool) -> JsonObject:
    """`backupstorageconfig/vaultstorageconfig`."""
    return _setting(
        vault,
        "backupstorageconfig",
        "vaultstorageconfig",
        {
            "storageModelType": vault.redundancy,
            "storageType": vault.redundancy,
            "storageTypeState": "Locked" if has_items else "Unlocked",
            "crossRegionRestoreFlag": vault.cross_region_restore == "Enabled",
        },
    )


def encryption_body(vault: Vault) -> JsonObject:
    """`backupEncryptionConfigs/backupResourceEncryptionConfig`: the platform's keys, always."""
    return _setting(
        vault,
        "backupEncryptionConfigs",
        "backupResourceEncryptionConfig",
        {
            "useSystemAssignedIdentity": True,
            "encryptionAtRestType": "MicrosoftManaged",
            "lastUpdateStatus": "NotEnabled",
            "infrastructureEncryptionState": "Disabled",
        },
    )


def _setting(vault: Vault, kind: str, name: str, properties: JsonObject) -> JsonObject:
    return {
        "id": f"{vault.id}/{kind}/{name}",
        "name": name,
        "type": f"Microsoft.RecoveryServices/vaults/{kind}",
        "properties": properties,
    }


def policy_body(vault: Vault, policy: Policy, items: int) -> JsonObject:
    """A policy. A listing counts no items, whatever there are."""
    return {
        "id": vault.ref.policy_id(policy.name),
        "name": policy.name,
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": {**policy.properties, "protectedItemsCount": items},
    }
