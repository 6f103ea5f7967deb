"""Machines that can be protected, containers, items and recovery points on the wire."""

from datetime import datetime
from typing import Any

from local.arm.answers import JsonObject
from local.arm.recovery.failures import CANCELLED, Failure
from local.arm.recovery.formats import NEVER_BACKED_UP, timespan, utc, without_zone
from local.arm.recovery.item import Item
from local.arm.recovery.names import MACHINE_TYPE, MANAGEMENT_TYPE, MachineRef
from local.arm.recovery.point import Point
from local.arm.recovery.policies import Policy
from local.arm.recovery.vault import Vault

_CONTAINERS = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers"
_HOST = "https://management.azure.com"
_ALL_WELL = {
    "code": 400239,
    "title": "IaasVmHealthGreenDefault",
    "message": "Backup pre-check status of this virtual machine is OK.",
    "recommendations": [],
}


def protectable_body(vault: Vault, machine: MachineRef) -> JsonObject:
    """A machine that can be protected. Its name has no `vm;`, its id has."""
    return {
        "id": vault.ref.protectable_id(machine),
        "name": machine.short_name,
        "type": f"{_CONTAINERS}/protectableItems",
        "properties": {
            "virtualMachineId": machine.id,
            "virtualMachineVersion": "Compute",
            "resourceGroup": machine.group,
            "backupManagementType": MANAGEMENT_TYPE,
            "protectableItemType": MACHINE_TYPE,
            "friendlyName": machine.name,
            "protectionState": "NotProtected",
        },
    }


def container_body(vault: Vault, item: Item) -> JsonObject:
    """What holds an item; `SoftDeleted` with it."""
    machine = item.machine
    return {
        "id": vault.ref.container_id(machine),
        "name": machine.container_name,
        "type": _CONTAINERS,
        "properties": {
            "virtualMachineId": machine.id,
            "virtualMachineVersion": "Compute",
            "resourceGroup": machine.group,
            "friendlyName": machine.name,
            "backupManagementType": MANAGEMENT_TYPE,
            "registrationStatus": registration(item),
            "healthStatus": "Healthy",
            "containerType": MACHINE_TYPE,
            "protectableObjectType": MACHINE_TYPE,
        },
    }


def registration(item: Item) -> str:
    return "SoftDeleted" if item.is_deleted else "Registered"


def item_body(
    vault: Vault,
    item: Item,
    policy: Policy | None,
    now: datetime,
    points: list[Point] | None = None,
) -> JsonObject:
    """A protected item; with its `points`, the extended information too."""
    properties = {
        "friendlyName": item.machine.name,
        "virtualMachineId": item.machine.id,
        **_health(item),
        **_last_backup(item),
        "protectedItemDataId": item.data_id,
        **({"extendedInfo": _extended(points)} if points is not None else {}),
        **({"extendedProperties": dict(item.extended)} if item.extended else {}),
        "sourceSideScanning": 0,
        "protectedItemType": MACHINE_TYPE,
        "backupManagementType": MANAGEMENT_TYPE,
        "workloadType": "VM",
        "containerName": item.machine.short_name,
        "sourceResourceId": item.source_id,
        "policyId": vault.ref.policy_id(item.policy) if item.policy else "",
        "policyName": item.policy or "",
        **({"policyType": policy.kind} if policy and policy.kind == "V2" else {}),
        **({"lastRecoveryPoint": utc(item.last_point_at)} if item.last_point_at else {}),
        "vaultId": f"{_HOST}{vault.id}",
        "isArchiveEnabled": False,
        **_deletion(item, now),
        "softDeleteRetentionPeriod": vault.soft_delete.days if vault.soft_delete.is_on else 0,
    }
    return {
        "id": item.id,
        "name": item.machine.item_name,
        "type": f"{_CONTAINERS}/protectedItems",
        "properties": properties,
    }


def _health(item: Item) -> dict[str, Any]:
    """How the item is; before its first backup nothing has been checked."""
    last = item.last_backup
    failed = last is not None and last.status == "Failed"
    health: dict[str, Any] = {
        "protectionStatus": "Healthy",
        "protectionState": item.state.value,
        "healthStatus": "Passed",
    }
    if last is None:
        return health
    if not failed or last.failure is None:
        return health | {"healthDetails": [_ALL_WELL]}
    if last.failure == CANCELLED:
        return health | {
            "healthStatus": "ActionSuggested",
            "healthDetails": [_detail(last.failure)],
        }
    return health | {
        "protectionStatus": "Unhealthy",
        "healthStatus": "ActionRequired",
        "healthDetails": [_detail(last.failure)],
    }


def _detail(failure: Failure) -> dict[str, Any]:
    return {
        "code": failure.code,
        "title": failure.title,
        "message": failure.text,
        "recommendations": failure.recommendations,
    }


def _last_backup(item: Item) -> dict[str, Any]:
    last = item.last_backup
    return {
        "lastBackupStatus": last.status if last else "",
        "lastBackupTime": utc(last.at) if last else NEVER_BACKED_UP,
    }


def _extended(points: list[Point]) -> dict[str, Any]:
    oldest = {"oldestRecoveryPoint": utc(points[-1].at)} if points else {}
    return {**oldest, "recoveryPointCount": len(points), "policyInconsistent": False}


def _deletion(item: Item, now: datetime) -> dict[str, Any]:
    if item.deleted_until is None:
        return {}
    return {
        "isScheduledForDeferredDelete": True,
        "deferredDeleteTimeRemaining": timespan(item.deleted_until - now),
    }


def point_body(point: Point, *, extended: bool = False) -> JsonObject:
    """A recovery point; its expiry only where it is asked for."""
    tiers = [{"type": "InstantRP", "status": point.instant_tier.value}]
    if point.vault_tier is not None:
        tiers.append({"type": "HardenedRP", "status": point.vault_tier.value})
    properties: dict[str, Any] = {
        "objectType": "IaasVMRecoveryPoint",
        "recoveryPointType": point.consistency,
        "recoveryPointTime": utc(point.at),
        "recoveryPointAdditionalInfo": "",
        "sourceVMStorageType": _storage_type(point),
        "isSourceVMEncrypted": False,
        "isInstantIlrSessionActive": False,
        "recoveryPointTierDetails": tiers,
        "isManagedVirtualMachine": True,
        "virtualMachineSize": point.size_name,
        "originalStorageAccountOption": False,
        "osType": point.os_type,
        **_disks(point),
        "recoveryPointMoveReadinessInfo": _NOT_MOVED,
        "securityType": "None",
        "isPrivateAccessEnabledOnAnyDisk": False,
        "createdWithPolicyType": point.policy_kind,
        "threatStatus": 0,
    }
    if extended:
        properties["recoveryPointProperties"] = {"expiryTime": without_zone(point.expires_at)}
    return {
        "id": point.id,
        "name": point.name,
        "type": f"{_CONTAINERS}/protectedItems/recoveryPoints",
        "properties": properties,
    }


_NOT_MOVED = {
    "ArchivedRP": {
        "isReadyForMove": False,
        "additionalInfo": "We're still determining if this Recovery Point can be moved.. "
        "Please check again after some time.",
    }
}


def _storage_type(point: Point) -> str:
    premium = any(disk.sku.startswith("Premium") for disk in point.disks)
    return "PremiumVMOnPartialPremiumStorage" if premium else "NormalStorage"


def _disks(point: Point) -> dict[str, Any]:
    """Which data disks are in it. Machines without any are recorded to say nothing."""
    included = [disk for disk in point.disks if disk.lun is not None]
    if not included:
        return {}
    return {
        "recoveryPointDiskConfiguration": {
            "numberOfDisksIncludedInBackup": len(point.disks),
            "includedDiskList": [{"lun": disk.lun, "name": disk.name} for disk in included],
        }
    }
