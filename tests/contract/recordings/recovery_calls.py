"""Which call of our adapter makes a recorded request to Recovery Services, and what the answer
must come to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.azure.recovery.keeping import Keeping
from shared.azure.recovery.vaults import AzureRecoveryVaults
from shared.model.arm_ids import recovery_vault_id
from shared.model.deferral import Deferred
from shared.model.errors import NotFound, Transient, VaultlineError
from shared.model.ids import DiskUrl, VaultName
from shared.model.point import Tier
from shared.model.recovery import VaultRestore
from shared.model.vault import Redundancy, Vault, VaultKind
from tests.contract.recordings.calls import Asked, Kind, Meaning, same
from tests.contract.recordings.playing import Client
from tests.stack.recovery_recording import Exchange

_VAULT = (
    r"(?P<vault>/subscriptions/[^/]+/resourcegroups/[^/]+"
    r"/providers/microsoft\.recoveryservices/vaults/[^/]+)"
)
_ITEM = (
    r"/backupfabrics/azure/protectioncontainers/[^/]+/protecteditems/vm;iaasvmcontainerv2;"
    r"(?P<group>[^;]+);(?P<machine>[^/]+)"
)
_REDUNDANCY = {
    "LocallyRedundant": Redundancy.LRS,
    "GeoRedundant": Redundancy.GRS,
    "ZoneRedundant": Redundancy.ZRS,
}
_KIND = {"RestoreDisks": "disks", "AlternateLocation": "alternate", "OriginalLocation": "original"}
_TIER = {"InstantRP": Tier.SNAPSHOT, "HardenedRP": Tier.VAULT}


def _vault(a: Asked) -> Vault:
    return Vault(
        name=VaultName("v"),
        kind=VaultKind.RECOVERY_SERVICES,
        url=a.names["vault"],
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        region=str(a.properties.get("region", "eastus")),
    )


def _machine(a: Asked) -> DiskUrl:
    """The item's machine, which is in its vault's subscription."""
    subscription = a.names["vault"].split("/")[2]
    return DiskUrl(
        f"/subscriptions/{subscription}/resourcegroups/{a.names['group']}"
        f"/providers/microsoft.compute/virtualmachines/{a.names['machine']}"
    )


# --- what must come of it -------------------------------------------------------------------------


def meaning(exchange: Exchange) -> Meaning:
    """What a refusal must be to us."""
    error = (exchange.body or {}).get("error") or {}
    if exchange.status == 404:
        gone = "vaults/" in error["message"]
        return NotFound, "VaultNotFound" if gone else "NotFound"
    if exchange.status == 429:
        return Deferred, error["code"]
    return (Transient if exchange.status >= 500 else VaultlineError), error.get("code", "")


async def _all(listing: Any) -> list[Any]:
    return [each async for page in listing for each in page]


def _port(client: Client) -> AzureRecoveryVaults:
    return AzureRecoveryVaults(client.arm)


def _seen(a: Asked, seen: Any) -> None:
    if a.exchange.status == 404:
        assert seen is None
        return
    assert seen.region == a.answer["location"].replace(" ", "").lower()
    assert seen.state == a.shown.get("provisioningState", "Succeeded")
    settings = a.shown.get("redundancySettings") or {}
    assert seen.redundancy is _REDUNDANCY.get(str(settings.get("standardTierStorageRedundancy")))


def _operation(a: Asked, name: str) -> None:
    """The name is in both headers, and nothing else of them is kept."""
    where = a.exchange.headers.get("Azure-AsyncOperation") or a.exchange.headers["Location"]
    assert name
    assert f"/{name}?" in where


def _status(a: Asked, operation: Any) -> None:
    states = {"InProgress": "InProgress", "Succeeded": "Completed", "Failed": "Failed"}
    assert operation.status.value == states[a.answer["status"]]
    assert operation.job == a.shown.get("jobId", "")
    assert (operation.error is not None) is ("error" in a.answer)


def _job(a: Asked, job: Any) -> None:
    _same_job(a, a.answer, job)
    extended = a.shown.get("extendedInfo") or {}
    tasks = extended.get("tasksList") or []
    assert [(task.name.lower(), task.status.value) for task in job.sub_tasks] == [
        (task["taskId"].lower(), task["status"]) for task in tasks
    ]
    assert job.percent == extended.get("progressPercentage")
    size = (extended.get("propertyBag") or {}).get("Backup Size") or "0 MB"
    assert job.backup_bytes == int(size.split()[0]) << 20


def _same_job(a: Asked, body: Mapping[str, Any], job: Any) -> None:
    shown = body["properties"]
    assert (job.id, job.operation) == (body["name"], shown["operation"])
    assert job.status.value == shown["status"]
    if "containerName" in shown:  # which came after 2018
        assert job.machine.endswith(f"/virtualmachines/{shown['entityFriendlyName'].lower()}")
    assert job.started_at.strftime("%Y-%m-%dT%H:%M:%S") == shown["startTime"][:19]
    assert (job.ended_at is None) is ("endTime" not in shown)
    assert job.status.ended is ("endTime" in shown)
    errors = shown.get("errorDetails") or []
    assert (job.error.code if job.error else None) == (errors[0]["errorTitle"] if errors else None)


def _jobs(a: Asked, jobs: Sequence[Any]) -> None:
    assert len(jobs) == len(a.answer["value"])
    for body, job in zip(a.answer["value"], jobs, strict=True):
        _same_job(a, body, job)


def _points(a: Asked, points: Sequence[Any]) -> None:
    for body, point in zip(a.answer["value"], points, strict=True):
        shown = body["properties"]
        assert point.name == body["name"]
        assert point.consistency.value.replace("-", "") == (
            shown["recoveryPointType"].lower().replace("app", "application", 1)
        ).removesuffix("consistent")
        assert f"{point.taken_at:%Y-%m-%dT%H:%M:%S}" == shown["recoveryPointTime"][:19]
        tiers = shown["recoveryPointTierDetails"]
        assert list(point.tiers) == [_TIER[_type(t)] for t in tiers if _is_valid(t)]


def _type(tier: Mapping[str, Any]) -> str:
    return str({1: "InstantRP", 2: "HardenedRP"}.get(tier["type"], tier["type"]))


def _is_valid(tier: Mapping[str, Any]) -> bool:
    return tier["status"] in (1, "Valid")


def _items(a: Asked, items: Sequence[Any]) -> None:
    for body, item in zip(a.answer["value"], items, strict=True):
        _same_item(body, item)


def _same_item(body: Mapping[str, Any], item: Any) -> None:
    shown = body["properties"]
    assert item.id == body["id"].lower()
    assert item.machine == shown["sourceResourceId"].lower()
    assert item.state.value == shown["protectionState"]
    assert item.policy == shown.get("policyId", "").rpartition("/")[2]
    assert item.deleted is bool(shown.get("isScheduledForDeferredDelete"))
    assert (item.kept_seconds is not None) is item.deleted
    never = shown["lastBackupTime"].startswith("2001")
    assert (item.last_backup_at is None) is never
    well = (shown.get("protectionStatus"), shown.get("healthStatus")) == ("Healthy", "Passed")
    assert item.healthy is (well or shown.get("healthStatus") == "Healthy")


def _machines(a: Asked, machines: Sequence[str]) -> None:
    assert machines == [
        each["properties"]["virtualMachineId"].lower() for each in a.answer["value"]
    ]


def _nothing(a: Asked, answer: Any) -> None:
    assert answer in (None, "")


def _restore(a: Asked) -> VaultRestore:
    order = a.properties
    return VaultRestore(
        point=order.get("recoveryPointId", ""),
        kind=_KIND[order["recoveryType"]],
        machine=DiskUrl(order["sourceResourceId"].lower()),
        staging_account=order["storageAccountId"],
        group=order.get("targetResourceGroupId", ""),
        new_machine=order.get("targetVirtualMachineId"),
        subnet=order.get("subnetId", ""),
    )


def _policy(a: Asked, policy: Any) -> None:
    assert policy == a.shown


def _place(a: Asked) -> Any:
    return recovery_vault_id(a.names["vault"])


def _expiry(a: Asked) -> datetime:
    text = a.properties.get("recoveryPointExpiryTimeInUTC", "2024-06-12T00:00:00.000Z")
    return datetime.fromisoformat(f"{text[:19]}+00:00")


def _puts_under_policy(a: Asked) -> bool:
    return bool(a.properties.get("policyId"))


def _stops(a: Asked) -> bool:
    return a.properties.get("protectionState") == "ProtectionStopped"


def _policy_name(a: Asked) -> str:
    return str(a.properties["policyId"]).rpartition("/")[2]


async def _delete(client: Client, a: Asked) -> None:
    await Keeping(client.arm).delete(_vault(a))


async def _change(client: Client, a: Asked) -> None:
    settings = a.properties.get("redundancySettings") or {}
    wanted = _REDUNDANCY[settings.get("standardTierStorageRedundancy", "LocallyRedundant")]
    await Keeping(client.arm).change(_place(a), wanted)


_JOBS = _VAULT + "/backupjobs"
KINDS = (
    Kind(
        "Vaults_Get",
        "GET",
        _VAULT,
        lambda c, a: Keeping(c.arm).look(_place(a)),
        _seen,
        answers=(404,),
    ),
    Kind(
        "Vaults_CreateOrUpdate",
        "PUT",
        _VAULT,
        lambda c, a: Keeping(c.arm).create(_place(a), a.body.get("location", "eastus")),
        _seen,
    ),
    Kind(
        "Vaults_Update",
        "PATCH",
        _VAULT,
        _change,
        _nothing,
        wanted=lambda a: "redundancySettings" in a.properties or a.exchange.status >= 400,
    ),
    Kind(
        "Vaults_Delete",
        "DELETE",
        _VAULT,
        _delete,
        _nothing,
        follows=_VAULT + "/operationstatus/[^/]+",
    ),
    Kind(
        "ProtectionPolicies_Get",
        "GET",
        _VAULT + "/backuppolicies/[^/]+",
        lambda c, a: _port(c).policy(_vault(a), a.last),
        _policy,
    ),
    Kind(
        "ProtectionPolicies_CreateOrUpdate",
        "PUT",
        _VAULT + "/backuppolicies/[^/]+",
        lambda c, a: _port(c).put_policy(_vault(a), a.last, a.properties),
        _nothing,
    ),
    Kind(
        "BackupStatus_Get",
        "POST",
        r"/subscriptions/[^/]+/providers/microsoft\.recoveryservices/locations/[^/]+/backupstatus",
        lambda c, a: _port(c).protection_of(
            DiskUrl(a.body["resourceId"]), a.exchange.path.split("/")[6]
        ),
        lambda a, vault: same(vault, a.answer.get("vaultId", "").lower()),
    ),
    Kind(
        "ProtectionContainers_Refresh",
        "POST",
        _VAULT + "/backupfabrics/azure/refreshcontainers",
        lambda c, a: _port(c).discover(_vault(a)),
        _operation,
    ),
    Kind(
        "ProtectionContainerRefreshOperationResults_Get",
        "GET",
        _VAULT + "/backupfabrics/azure/operationresults/[^/]+",
        lambda c, a: _port(c).discovered(_vault(a), a.last),
        lambda a, done: same(done, a.exchange.status == 204),
    ),
    Kind(
        "BackupProtectableItems_List",
        "GET",
        _VAULT + "/backupprotectableitems",
        lambda c, a: _all(_port(c).protectable(_vault(a))),
        _machines,
    ),
    Kind(
        "BackupProtectedItems_List",
        "GET",
        _VAULT + "/backupprotecteditems",
        lambda c, a: _all(_port(c).items(_vault(a))),
        _items,
        same_query=False,
    ),
    Kind(
        "ProtectedItems_Get",
        "GET",
        _VAULT + _ITEM,
        lambda c, a: _port(c).item(_vault(a), _machine(a)),
        lambda a, item: _same_item(a.answer, item),
        same_query=False,
    ),
    Kind(
        "ProtectedItems_CreateOrUpdate (policy)",
        "PUT",
        _VAULT + _ITEM,
        lambda c, a: _port(c).enable(_vault(a), _machine(a), _policy_name(a)),
        _operation,
        wanted=_puts_under_policy,
    ),
    Kind(
        "ProtectedItems_CreateOrUpdate (stop)",
        "PUT",
        _VAULT + _ITEM,
        lambda c, a: _port(c).stop(_vault(a), _machine(a)),
        _operation,
        wanted=_stops,
    ),
    Kind(
        "ProtectedItems_Delete",
        "DELETE",
        _VAULT + _ITEM,
        lambda c, a: _port(c).remove(_vault(a), _machine(a)),
        _operation,
    ),
    Kind(
        "Backups_Trigger",
        "POST",
        _VAULT + _ITEM + "/backup",
        lambda c, a: _port(c).backup(_vault(a), _machine(a), _expiry(a)),
        _operation,
    ),
    Kind(
        "RecoveryPoints_List",
        "GET",
        _VAULT + _ITEM + "/recoverypoints",
        lambda c, a: _all(_port(c).points(_vault(a), _machine(a))),
        _points,
    ),
    Kind(
        "Restores_Trigger",
        "POST",
        _VAULT + _ITEM + "/recoverypoints/[^/]+/restore",
        lambda c, a: _port(c).restore(_vault(a), _restore(a)),
        _operation,
    ),
    Kind(
        "BackupOperationStatuses_Get",
        "GET",
        _VAULT + "/backupoperations/[^/]+",
        lambda c, a: _port(c).operation(_vault(a), a.last),
        _status,
    ),
    Kind(
        "BackupJobs_List",
        "GET",
        _JOBS,
        lambda c, a: _all(_port(c).jobs(_vault(a), datetime(2016, 1, 1, tzinfo=UTC))),
        _jobs,
        same_query=False,
    ),
    Kind(
        "JobDetails_Get",
        "GET",
        _JOBS + "/[^/]+",
        lambda c, a: _port(c).job(_vault(a), a.last),
        _job,
    ),
    Kind(
        "JobCancellations_Trigger",
        "POST",
        _JOBS + "/[^/]+/cancel",
        lambda c, a: _port(c).cancel(_vault(a), a.exchange.path.split("/")[-2]),
        _nothing,
    ),
)
