"""From discovery to deletion on the whole stack: real searches, real claims, real removal."""

import re

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.model.ids import RequestId, default_item_id, request_job
from tests.e2e.rig import POLICY, VAULT, Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]


def test_disks_are_found_registered_and_protected_in_bulk(rig: Rig) -> None:
    """The replica of one of them lies in the other account and is found by nobody."""
    disks = [rig.disk(512, name=f"farm/web-{n}.vhd") for n in range(3)]
    disks[0].blob.set_blob_tags({"backup": "yes"})
    prefix = re.sub(r"web-0.vhd$", "", disks[0].url)
    found = rig.vaultline("discover", prefix, "--wait")
    assert (found["status"], found["found"], found["registered"]) == ("Completed", 3, 3)
    tagged = rig.vaultline("discover", prefix, "--tag", "backup=yes", "--wait")
    assert (tagged["found"], tagged["registered"]) == (1, 0)
    told = rig.vaultline(
        "protect", "--prefix", prefix, "--policy", POLICY, "--vault", VAULT, "--wait"
    )
    assert (told["asked"], told["completed"], told["failed"]) == (3, 3, 0)
    listed = rig.vaultline("disks", "--prefix", prefix)
    assert {each["state"] for each in listed} == {"InitialBackupPending"}
    request = rig.post(
        type="protect", source=disks[0].url, policy=POLICY, vault=VAULT, item_id="web-again"
    )
    letter = rig.dead_letters([request])[request]
    assert letter.reason == "SourceProtected"
    assert default_item_id(listed[0]["url"]) in letter.description


def test_a_deleted_item_is_had_back_or_goes_when_its_time_is_over(rig: Rig) -> None:
    disk = rig.disk()
    disk.blob.upload_page(b"x" * 512, 0, 512)
    item = rig.protect(disk)
    assert rig.vaultline("backup", item, "--wait")["status"] == "Completed"
    rig.vaultline("stop", item, "--delete-data", "--wait")
    assert rig.item(item)["delete_after"]
    assert rig.vaultline("undelete", item, "--wait")["status"] == "Completed"
    assert (rig.item(item)["delete_after"], len(rig.points(item))) == (None, 1)
    replica = rig.item(item)["replica"]
    rig.refresh_host(VAULTLINE_SOFT_DELETE_DAYS="0")
    try:
        request = rig.post(type="stop-protection", item_id=item, delete_data=True)
        rig.ended(request_job(item, "stop", RequestId(request)))
        until(lambda: item not in _items(rig), "the item to be gone", rig.story)
    finally:
        rig.refresh_host()
    container, _, name = replica.split("/vlvault/", 1)[1].partition("/")
    with pytest.raises(ResourceNotFoundError):
        rig.service("vault").get_blob_client(container, name).get_blob_properties()
    again = rig.protect(disk, f"{item}-again")
    assert again in _items(rig)


def _items(rig: Rig) -> set[str]:
    return {each["id"] for each in rig.vaultline("items")}
