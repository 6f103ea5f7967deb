"""`kill -9` of the functions host in the middle of its work, and what the next host makes of it."""

from dataclasses import replace

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

BACKUP_MOMENTS = {
    "the source's snapshot": Fault(operation="^Blob_CreateSnapshot$", path="^/vlsource/"),
    "the fence": Fault(operation="^PageBlob_UpdateSequenceNumber$"),
    "the plan": Fault(operation="^BlockBlob_Upload$", path="^/vlvault/"),
    "a copy": Fault(operation="^PageBlob_UploadPagesFromURL$"),
    "the replica's snapshot": Fault(operation="^Blob_CreateSnapshot$", path="^/vlvault/"),
}
RESTORE_MOMENTS = {
    "the target's lease": Fault(operation="^Blob_AcquireLease$", path="^/vlsource/"),
    "a copy": Fault(operation="^PageBlob_UploadPagesFromURL$", path="^/vlsource/"),
    "the lease's end": Fault(operation="^Blob_ReleaseLease$", path="^/vlsource/"),
}
LATE_MS = 3000
"""The request waits in the storage for so long: the host is dead before it takes effect."""


@pytest.mark.parametrize("lost", [False, True], ids=["done late", "never done"])
@pytest.mark.parametrize("moment", BACKUP_MOMENTS)
def test_a_backup_survives(rig: Rig, moment: str, lost: bool) -> None:
    """Invariants 1, 2, 4 and 6. The dead host's last requests take effect after its death, or
    never do."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.scribble()
    disk.write(5 * MIB, 64 * 1024)
    fault = replace(BACKUP_MOMENTS[moment], delay_ms=LATE_MS, drop="before" if lost else None)
    with rig.storage_faults(fault) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, moment, rig.story)
        rig.kill_host()
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    assert [point["id"] for point in rig.points(item)] == list(contents)
    rig.start()
    assert rig.ended(job)["status"] == "Completed"
    point = rig.points(item)[-1]
    assert (point["job_id"], point["kind"]) == (job, "incremental")
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


@pytest.mark.parametrize("moment", RESTORE_MOMENTS)
def test_a_restore_survives(rig: Rig, moment: str) -> None:
    """Invariant 6: the orchestration goes on where it was; the disk then holds the point."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    point, content = rig.backup_point(item)["id"], disk.content
    disk.scribble()
    disk.write(MIB, MIB)
    overwritten = disk.content
    with rig.storage_faults(replace(RESTORE_MOMENTS[moment], delay_ms=LATE_MS)) as counts:
        job = rig.ask_restore(item, point, "original")
        until(lambda: counts()[0].fired, moment, rig.story)
        rig.kill_host()
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    rig.start()
    assert rig.ended(job)["status"] == "Completed"
    assert rig.content(disk.url) == content
    assert disk.blob.get_blob_properties().lease.state == "available"
    safety = rig.points(item)[-1]["id"]
    rig.assert_restorable(item, {point: content, safety: overwritten})
