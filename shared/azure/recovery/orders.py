"""What Recovery Services are asked to do, in their words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.azure.recovery.naming import MACHINE_TYPE
from shared.model.arm_ids import VaultId
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.recovery import VaultRestore
from shared.model.vault import Redundancy

Json = Mapping[str, Any]

REDUNDANCIES = {
    Redundancy.LRS: "LocallyRedundant",
    Redundancy.GRS: "GeoRedundant",
    Redundancy.ZRS: "ZoneRedundant",
}
MACHINES = "backupManagementType eq 'AzureIaasVM'"
ITEMS = f"{MACHINES} and itemType eq 'VM'"
_KINDS = {
    "disks": "RestoreDisks",
    "alternate": "AlternateLocation",
    "original": "OriginalLocation",
}


def new_vault(region: str) -> Json:
    """Redundant across regions, as every new vault is; that is changed later."""
    return {"location": region, "sku": {"name": "Standard"}, "properties": {}}


def redundancy(wanted: Redundancy) -> Json:
    settings = {
        "standardTierStorageRedundancy": REDUNDANCIES[wanted],
        "crossRegionRestore": "Disabled",
    }
    return {"properties": {"redundancySettings": settings}}


def under_policy(machine: DiskUrl, vault: VaultId, policy: str) -> Json:
    return _item(machine, policyId=f"{vault}/backupPolicies/{policy}")


def stopped(machine: DiskUrl) -> Json:
    return _item(machine, policyId="", protectionState="ProtectionStopped")


def undeleted(machine: DiskUrl) -> Json:
    """Softly deleted items come back as stopped ones."""
    return _item(machine, policyId="", protectionState="ProtectionStopped", isRehydrate=True)


def _item(machine: DiskUrl, **rest: object) -> Json:
    kind = {"protectedItemType": MACHINE_TYPE, "sourceResourceId": machine}
    return {"properties": {**kind, **rest}}


def backup(retain_until: datetime) -> Json:
    text = f"{retain_until.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    return {
        "properties": {"objectType": "IaasVMBackupRequest", "recoveryPointExpiryTimeInUTC": text}
    }


def restore(wanted: VaultRestore, region: str) -> Json:
    """Raises `Invalid` for a kind that is none, or lacks what it needs."""
    if wanted.kind not in _KINDS:
        raise Invalid(f"'{wanted.kind}' is no kind of restore: {', '.join(_KINDS)}")
    properties = {
        "objectType": "IaasVMRestoreRequest",
        "recoveryPointId": wanted.point,
        "recoveryType": _KINDS[wanted.kind],
        "sourceResourceId": wanted.machine,
        **_target(wanted),
        "storageAccountId": wanted.staging_account,
        "region": region,
        "createNewCloudService": False,
        "originalStorageAccountOption": False,
    }
    return {"properties": properties}


def _target(wanted: VaultRestore) -> Json:
    if wanted.kind == "original":
        return {}
    if wanted.kind == "disks":
        return {"targetResourceGroupId": wanted.group} if wanted.group else {}
    if not wanted.new_machine or not wanted.subnet:
        raise Invalid("a new machine needs its id and a subnet")
    return {
        "targetVirtualMachineId": wanted.new_machine,
        "targetResourceGroupId": wanted.new_machine.lower().partition("/providers/")[0],
        "virtualNetworkId": wanted.subnet.lower().partition("/subnets/")[0],
        "subnetId": wanted.subnet,
    }


def jobs_between(since: datetime, until: datetime) -> str:
    """The filter of a listing of jobs. Azure's clock has twelve hours here."""
    first, last = (f"{at.astimezone(UTC):%Y-%m-%d %I:%M:%S %p}" for at in (since, until))
    return f"{MACHINES} and startTime eq '{first}' and endTime eq '{last}'"


def machine_status(machine: DiskUrl) -> Json:
    return {"resourceType": "VM", "resourceId": machine}
