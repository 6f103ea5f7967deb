"""Checks on the real stack: damage that no listing tells of is found, repaired and reported."""

from collections.abc import Iterator

import pytest

from local.storage.controls import Fault, rot
from shared.model.ids import ItemId, JobId, request_job
from tests.e2e.disk import MIB, Disk
from tests.e2e.rig import Json, Rig

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

EXTENT = 4 * MIB


def protected(rig: Rig, size: int) -> tuple[Disk, ItemId]:
    disk = rig.disk(size)
    disk.write(0, size)
    return disk, rig.protect(disk)


def check(rig: Rig, item: ItemId) -> Json:
    """A check by a posted command, at its end."""
    return rig.ended(request_job(item, "check", rig.post(type="consistency-check", item_id=item)))


def verification(rig: Rig, point: Json) -> Json:
    """The check that follows a full copy by itself, at its end."""
    return rig.ended(JobId(point["job_id"].replace(".backup-", ".verify-")))


def verified(rig: Rig, point: Json) -> Json:
    """The point, once that check is over."""
    assert verification(rig, point)["status"] == "Completed"
    return point


def replica_blob(rig: Rig, item: ItemId, offset: int) -> tuple[str, int]:
    """The page blob of the vault that holds the disk's byte at `offset`, and where in it."""
    replica = str(rig.item(item)["replica"])
    number = offset // EXTENT
    return (f"{replica}.extents/{number}" if number else replica), offset % EXTENT


@pytest.mark.fault(15)
@pytest.mark.parametrize("offset", [MIB + 5, 5 * MIB], ids=["first extent", "second extent"])
def test_rot_in_the_vault_is_found_repaired_and_told(rig: Rig, offset: int) -> None:
    disk, item = protected(rig, 6 * MIB)
    older = verified(rig, rig.backup_point(item))["id"]
    disk.write(3 * MIB, 4096)
    newer = rig.backup_point(item)["id"]
    url, at = replica_blob(rig, item, offset)
    assert rot(rig.environment.storage_url, url, at, shared=True) >= 2
    job = check(rig, item)
    assert (job["status"], job["error"]["code"]) == ("CompletedWithWarnings", "ReplicaDamaged")
    page = offset // 512 * 512
    assert job["differing_ranges"] == [{"start": page, "end": page + 512}]
    assert job["suspect_points"] == [older]
    assert job["moved_bytes"] == job["differing_bytes"] == 512
    points = {point["id"]: point for point in rig.points(item)}
    assert points[older]["suspect"]
    assert points[newer]["suspect"] is None
    assert points[newer]["healed"]
    rig.assert_restorable(item, {newer: disk.content})
    assert rig.vaultline("check", item, "--wait")["status"] == "Completed"
    disk.write(0, 4096)
    third = rig.backup_point(item)
    assert third["kind"] == "incremental"
    rig.assert_restorable(item, {third["id"]: disk.content})


def test_what_others_write_into_the_replica_is_put_right(rig: Rig) -> None:
    """Behind our back, with the SDK, at the sequence number of the day."""
    disk, item = protected(rig, MIB)
    point = verified(rig, rig.backup_point(item))["id"]
    url, _ = replica_blob(rig, item, 0)
    container, _, name = url.split("/vlvault/", 1)[1].partition("/")
    blob = rig.service("vault").get_blob_client(container, name)
    blob.upload_page(b"?" * 1024, 8192, 1024)
    blob.clear_page(64 * 1024, 4096)
    job = check(rig, item)
    assert (job["status"], job["error"]["code"]) == ("CompletedWithWarnings", "ReplicaWrittenTo")
    assert job["differing_bytes"] == 1024 + 4096
    assert rig.points(item)[0]["suspect"] is None
    assert blob.download_blob().readall() == disk.content
    rig.assert_restorable(item, {point: disk.content})


@pytest.fixture
def doubting_rig(rig: Rig) -> Iterator[Rig]:
    """A host that takes so many samples that every block of a small disk is among them."""
    rig.refresh_host(VAULTLINE_SAMPLES="600")
    yield rig
    rig.refresh_host()


@pytest.mark.fault(1)
def test_what_the_diff_does_not_tell_of_is_found_by_a_sample(doubting_rig: Rig) -> None:
    rig = doubting_rig
    disk, item = protected(rig, 256 * 1024)
    contents = {verified(rig, rig.backup_point(item))["id"]: disk.content}
    disk.write(8192, 4096)
    disk.write(128 * 1024, 4096)
    lost = Fault(
        operation="^PageBlob_GetPageRangesDiff$",
        path="^/vlsource/",
        lose_within=(128 * 1024, 132 * 1024),
    )
    with rig.storage_faults(lost):
        job = rig.backup(item, status="CompletedWithWarnings")
    assert job["error"]["code"] == "DiffIncomplete"
    point = rig.points(item)[-1]
    assert (point["kind"], point["repaired_bytes"]) == ("incremental", 4096)
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


def test_a_first_copy_is_verified_by_itself(rig: Rig) -> None:
    disk, item = protected(rig, MIB)
    job = verification(rig, rig.backup_point(item))
    assert (job["operation"], job["status"]) == ("Verify", "Completed")
    assert (job["compared_bytes"], job["differing_bytes"]) == (len(disk.content), 0)
