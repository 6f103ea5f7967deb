"""A machine in a Recovery Services vault of the laptop's Azure, through the running host."""

from uuid import uuid4

import pytest

from shared.model.ids import ItemId, JobId, request_job
from tests.e2e.managed import GROUP, REGION, Cloud
from tests.e2e.rig import POLICY, Rig, task

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
SECONDS = 240.0
"""A backup takes Azure three quarters of an hour, which pass here in one of a minute."""


@pytest.fixture
def cloud(rig: Rig) -> Cloud:
    return Cloud(rig)


@pytest.fixture
def vault(rig: Rig, cloud: Cloud) -> str:
    name = f"rs-{uuid4().hex[:6]}"
    id_ = f"{cloud.group(GROUP)}/providers/Microsoft.RecoveryServices/vaults/{name}"
    made = rig.vaultline(
        "vault", "create", name, "--kind", "recovery-services", "--id", id_, "--region", REGION
    )
    assert (made["kind"], made["redundancy"]) == ("recovery-services", "GRS")
    return name


def asked(rig: Rig, item: ItemId, operation: str, **command: object) -> JobId:
    return request_job(item, operation, rig.post(item_id=item, **command))


def test_a_machine_lives_in_azures_own_vault(rig: Rig, cloud: Cloud, vault: str) -> None:
    machine = cloud.machine(f"web-{uuid4().hex[:6]}", 0, cloud.disk(f"data-{uuid4().hex[:6]}"))
    told = rig.vaultline(
        "protect", machine, "--policy", POLICY, "--vault", vault, "--accept-losses", "--wait"
    )
    item = ItemId(told["item_id"])
    assert rig.item(item)["state"] == "InitialBackupPending"

    job = rig.ended(rig.ask_backup(item), SECONDS)
    assert job["status"] == "Completed", job
    assert task(job, "Transfer data to vault") == "Completed"
    # The vault's clock is fast: its own schedule may have made a point besides.
    [point] = [point for point in rig.points(item) if point["job_id"] == job["id"]]
    assert point["tiers"] == ["snapshot", "vault"]

    target = {
        "kind": "disks",
        "group": cloud.group("restored"),
        "prefix": "rs",
        "staging_account": f"{cloud.group(GROUP)}/providers/Microsoft.Storage/storageAccounts/e2e",
    }
    restore = rig.ended(asked(rig, item, "restore", type="restore", target=target), SECONDS)
    assert restore["status"] == "Completed", restore

    stop = asked(rig, item, "stop", type="stop-protection", delete_data=True)
    assert rig.ended(stop, SECONDS)["status"] == "Completed"
    assert rig.item(item)["delete_after"] is not None
    assert (
        rig.ended(asked(rig, item, "undelete", type="undelete"), SECONDS)["status"] == "Completed"
    )
    assert rig.item(item)["delete_after"] is None
