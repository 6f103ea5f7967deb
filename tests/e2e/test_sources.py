"""Sources that vanish or are replaced, and transfers that are given up half-way."""

from collections.abc import Iterator

import pytest

from local.storage.controls import Fault
from shared.model.extents import one_disk, replica_image
from shared.model.ids import DiskUrl
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, task

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

UNIT = 4 * MIB
"""The most that one request copies."""


def test_a_deleted_source_fails_its_job_and_keeps_its_points(rig: Rig) -> None:
    disk = rig.disk()
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    point = rig.backup_point(item)["id"]
    disk.blob.delete_blob(delete_snapshots="include")
    job = rig.backup(item, status="Failed")
    assert job["error"]["code"] == "SourceNotFound"
    assert job["error"]["recommended_action"]
    assert task(job, "Take Snapshot") == "Failed"
    assert [each["id"] for each in rig.points(item)] == [point]
    rig.assert_restorable(item, {point: disk.content})


@pytest.mark.fault(5)
def test_a_replaced_source_gets_a_full_copy(rig: Rig) -> None:
    """Fault 5: another disk under the same name."""
    disk = rig.disk(name="replaced.vhd")
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.blob.delete_blob(delete_snapshots="include")
    other = rig.disk(name="replaced.vhd")
    other.write(MIB, 3 * MIB)
    point = rig.backup_point(item)
    assert point["kind"] == "full"
    assert "replaced" in point["kind_reason"]
    contents[point["id"]] = other.content
    rig.assert_restorable(item, contents)


@pytest.mark.fault(7)
def test_a_grown_source_is_followed(rig: Rig) -> None:
    disk = rig.disk()
    disk.write(6 * MIB, 2 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.resize(12 * MIB)
    disk.write(11 * MIB, MIB)
    point = rig.backup_point(item)
    assert (point["kind"], point["size_bytes"]) == ("incremental", 12 * MIB)
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


@pytest.fixture
def impatient_rig(rig: Rig) -> Iterator[Rig]:
    """A host that gives stalled work up after having moved it on twice."""
    rig.refresh_host(VAULTLINE_MAX_ATTEMPTS="2")
    yield rig
    rig.refresh_host()


@pytest.mark.fault(19)
def test_what_an_abandoned_transfer_wrote_is_put_right(impatient_rig: Rig) -> None:
    """Invariant 4, fault 19: pages that it wrote are cleared at the source before the next
    backup."""
    rig = impatient_rig
    disk = rig.disk(24 * MIB)
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.write(0, 5 * UNIT)
    broken = Fault(
        operation="^PageBlob_UploadPagesFromURL$", skip=2, status=500, error_code="InternalError"
    )
    with rig.storage_faults(broken):
        job = rig.backup(item, status="CompletedWithWarnings")
        assert _units_written(rig, item, disk.content) == 2
    assert job["error"]["code"] == "Stalled"
    assert task(job, "Transfer data to vault") == "Failed"
    alone = rig.points(item)[-1]
    assert (alone["job_id"], alone["tiers"]) == (job["id"], ["snapshot"])
    contents[alone["id"]] = disk.content

    disk.clear(0, 5 * UNIT)
    disk.write(22 * MIB, 4096)
    point = rig.backup_point(item)
    assert (point["kind"], point["tiers"]) == ("incremental", ["snapshot", "vault"])
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


def _units_written(rig: Rig, item: str, content: bytes) -> int:
    """How many of the disk's five new units the abandoned transfer brought into the replica."""
    container, _, name = rig.item(item)["replica"].split("/vlvault/", 1)[1].partition("/")
    vault = rig.service("vault").get_container_client(container)
    extents = replica_image(DiskUrl(name), UNIT, one_disk(len(content)))
    replica = b"".join(vault.download_blob(extent.url).readall() for extent in extents)
    units = [slice(start, start + UNIT) for start in range(0, 5 * UNIT, UNIT)]
    return sum(replica[unit] == content[unit] for unit in units)
