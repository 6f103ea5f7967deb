"""Restores whose resource group somebody deletes while bytes are copied into it."""

from uuid import uuid4

import pytest

from local.settings import RESTORE_GROUP
from local.storage.controls import Fault as StorageFault
from shared.model.ids import ItemId, JobId, request_job
from tests.e2e.managed import BLOCK, REGION, Cloud
from tests.e2e.rig import POLICY, Rig, until

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
VAULT = "targets"
SLOW = StorageFault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=1500)


@pytest.fixture
def cloud(rig: Rig) -> Cloud:
    rig.vaultline("vault", "create", VAULT)
    return Cloud(rig)


def protected(rig: Rig, source: str) -> ItemId:
    told = rig.vaultline("protect", source, "--policy", POLICY, "--vault", VAULT, "--wait")
    return ItemId(told["item_id"])


@pytest.mark.fault(51)
def test_a_target_group_that_goes_while_bytes_are_copied(rig: Rig, cloud: Cloud) -> None:
    """The job ends by itself and says what is gone; nothing is held, and the point can be restored
    again."""
    data = cloud.disk(f"data-{uuid4().hex[:6]}")
    for number in range(6):
        data.write(number * 128 * BLOCK, number)
    machine = cloud.machine(f"vm-{uuid4().hex[:6]}", 0, data)
    item = protected(rig, machine)
    point = rig.backup_point(item)
    with rig.storage_faults(SLOW) as counts:
        job = ask(rig, item, point["id"], cloud.group(RESTORE_GROUP))
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        cloud.call("DELETE", cloud.group(RESTORE_GROUP), version="2021-04-01")
        ended = rig.ended(job, 120)
    assert ended["status"] == "Failed", ended
    assert ended["error"]["code"] == "TargetNotFound"
    assert [each["id"] for each in rig.points(item)] == [point["id"]]
    cloud.call("PUT", cloud.group(RESTORE_GROUP), {"location": REGION}, "2021-04-01")
    again = rig.ended(ask(rig, item, point["id"], cloud.group(RESTORE_GROUP)), 120)
    assert again["status"] == "Completed", again


def ask(rig: Rig, item: ItemId, point: str, group: str) -> JobId:
    target = {"kind": "disks", "group": group, "prefix": f"r{uuid4().hex[:4]}"}
    request = rig.post(type="restore", item_id=item, point=point, target=target)
    return request_job(item, "restore", request)
