"""What Recovery Services write oddly: numbers for names, years that never were, spans of .NET."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.azure.recovery.naming import machine_in, operation_name
from shared.azure.recovery.wire import item_of, job_of, moment, operation_of, point_of, seconds
from shared.model.arm_ids import recovery_vault_id
from shared.model.errors import Invalid
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Status
from shared.model.machine import Consistency
from shared.model.point import Tier
from shared.model.recovery import VaultItemState

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
VAULT = recovery_vault_id(
    f"{SUBSCRIPTION}/resourceGroups/RG/providers/Microsoft.RecoveryServices/vaults/V1"
)
MACHINE = f"{SUBSCRIPTION}/resourcegroups/rg/providers/microsoft.compute/virtualmachines/vm1"


def job(**properties: Any) -> Any:
    shown = {
        "operation": "Backup",
        "status": "InProgress",
        "startTime": "2024-05-13T10:28:32.761067Z",
        "containerName": "iaasvmcontainerv2;RG;vm1",
    }
    return job_of({"name": "j", "properties": shown | properties}, VAULT)


def point(**properties: Any) -> Any:
    shown = {"recoveryPointTime": "2024-05-14T08:49:45.8802125Z", **properties}
    return point_of({"name": "520981742781621", "properties": shown})


def item(**properties: Any) -> Any:
    return item_of({"id": "/A/B", "properties": {"sourceResourceId": MACHINE.upper()} | properties})


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-05-14T08:49:45.8802125Z", datetime(2024, 5, 14, 8, 49, 45, 880212, UTC)),
        ("2024-06-13T00:00:00", datetime(2024, 6, 13, tzinfo=UTC)),
        ("2017-06-14T22:27:09.2-07:00", datetime(2017, 6, 15, 5, 27, 9, 200000, UTC)),
        ("0001-01-01T00:00:00", None),
        ("2001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_moments(text: str | None, at: datetime | None) -> None:
    assert moment(text) == at


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("13.23:59:42.86", 13 * 86400 + 86382.86),
        ("00:10:00", 600.0),
        ("PT10M", None),
        ("", None),
    ],
)
def test_spans(text: str, length: float | None) -> None:
    assert seconds(text) == length


def test_tiers_by_name_by_number_and_from_before_there_were_any() -> None:
    valid, gone = {"type": 1, "status": 1}, {"type": "HardenedRP", "status": 3}
    assert point(recoveryPointTierDetails=[valid, gone]).tiers == (Tier.SNAPSHOT,)
    archived = {"type": "ArchivedRP", "status": "Valid"}
    assert point(recoveryPointTierDetails=[archived]).tiers == ()
    assert point(recoveryPointTierDetails=None).tiers == (Tier.VAULT,)
    assert point(recoveryPointType="FileSystemConsistent").consistency is Consistency.FILE_SYSTEM
    assert point(recoveryPointType="Whatever").consistency is Consistency.CRASH


def test_a_jobs_states_tasks_and_facts() -> None:
    tasks = [
        {"taskId": "Take Snapshot", "status": "Completed"},
        {"taskId": "Transfer Data to Vault", "status": "NotStarted"},
    ]
    bag = {"Backup Size": "11390 MB", "Recovery point time ": "9/8/2017 10:47:57 AM"}
    found = job(status=4, extendedInfo={"tasksList": tasks, "propertyBag": bag})
    assert found.status is Status.COMPLETED_WITH_WARNINGS
    assert [(task.name, task.status) for task in found.sub_tasks] == [
        (TAKE_SNAPSHOT, Status.COMPLETED),
        (TRANSFER, Status.NOT_STARTED),
    ]
    assert (found.backup_bytes, found.machine) == (11390 * 1024**2, MACHINE)
    assert job(status="SomethingNew").status is Status.IN_PROGRESS
    assert job(extendedInfo={"tasksList": None, "propertyBag": None}).sub_tasks == ()


def test_several_errors_of_a_job_are_one() -> None:
    details = [
        {"errorCode": 1, "errorTitle": "First", "errorString": " One. ", "recommendations": ["A."]},
        {"errorCode": 2, "errorString": "Two https://x.y/z?sig=abc", "recommendations": None},
    ]
    error = job(status="Failed", errorDetails=details).error
    assert (error.code, error.recommended_action) == ("First", "A.")
    assert error.message.startswith("One. Two https://x.y/z?…")
    assert "abc" not in error.message


def test_operations() -> None:
    done = operation_of({"status": "Succeeded", "properties": {"jobId": "j"}})
    assert (done.status, done.job, done.error) == (Status.COMPLETED, "j", None)
    failed = operation_of({"status": "Failed", "error": {"code": "Odd", "message": "It failed."}})
    assert (failed.status, failed.job) == (Status.FAILED, "")
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("Odd", "It failed.")


def test_an_item_whose_backups_fail_and_one_that_is_deleted() -> None:
    details = [{"code": 400206, "title": "ExtensionSnapshotFailedNoNetwork", "message": "No."}]
    ill = item(protectionStatus="Unhealthy", healthStatus="ActionRequired", healthDetails=details)
    assert (ill.healthy, ill.health) == (False, "ExtensionSnapshotFailedNoNetwork: No.")
    assert (ill.machine, ill.state) == (MACHINE, VaultItemState.OTHER)
    gone = item(isScheduledForDeferredDelete=True, deferredDeleteTimeRemaining="13.00:00:01")
    assert (gone.deleted, gone.kept_seconds) == (True, 13 * 86400 + 1)
    assert item().healthy
    assert not item().deleted


@pytest.mark.parametrize(
    ("container", "machine"),
    [
        ("iaasvmcontainerv2;rg;vm1", MACHINE),
        ("IaasVMContainer;iaasvmcontainerv2;RG;VM1", MACHINE),
        ("iaasvmcontainer;rg;classic", ""),
        ("StorageContainer;storage;rg;account", ""),
        ("", ""),
    ],
)
def test_machines_by_their_containers(container: str, machine: str) -> None:
    assert machine_in(container, VAULT) == machine


def test_names_of_operations_are_without_their_signature() -> None:
    url = "https://management.azure.com/subscriptions/s/operationsStatus/abc-1?t=1&c=MII&s=xyz"
    assert operation_name(url) == "abc-1"
    assert operation_name("") == ""


@pytest.mark.parametrize("wrong", ["", "vault", str(VAULT) + "/x", str(VAULT)[:-2] + "9v"])
def test_ids_of_vaults(wrong: str) -> None:
    assert str(VAULT).endswith("/resourcegroups/rg/providers/microsoft.recoveryservices/vaults/v1")
    with pytest.raises(Invalid):
        recovery_vault_id(wrong)
