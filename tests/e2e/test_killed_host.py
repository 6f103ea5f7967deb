"""`kill -9` of the functions host in the middle of its work, and what the next host makes of it."""

from dataclasses import replace
from typing import Any

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SNAPSHOT = Fault(operation="^Blob_CreateSnapshot$", path="^/vlsource/")
FENCE = Fault(operation="^PageBlob_UpdateSequenceNumber$")
PLAN = Fault(operation="^BlockBlob_Upload$", path="^/vlvault/")
COPY = Fault(operation="^PageBlob_UploadPagesFromURL$")
SEAL = Fault(operation="^Blob_CreateSnapshot$", path="^/vlvault/")

DONE_LATE: dict[str, Any] = {"delay_ms": 3000}
"""The request waits in the storage and takes effect when the host that sent it is long dead."""
NEVER_DONE: dict[str, Any] = {"delay_ms": 3000, "drop": "before"}
"""The request is lost with the host that sent it."""

BACKUP_DEATHS = {
    "while the source's snapshot is taken, late": (SNAPSHOT, DONE_LATE),
    "before the source's snapshot is taken": (SNAPSHOT, NEVER_DONE),
    "while the replica is fenced, late": (FENCE, DONE_LATE),
    "before the plan is written": (PLAN, NEVER_DONE),
    "while pages are copied, late": (COPY, DONE_LATE),
    "before pages are copied": (COPY, NEVER_DONE),
    "while the replica's snapshot is taken, late": (SEAL, DONE_LATE),
    "before the replica's snapshot is taken": (SEAL, NEVER_DONE),
}
RESTORE_MOMENTS = {
    "the target's lease": Fault(operation="^Blob_AcquireLease$", path="^/vlsource/"),
    "a copy": Fault(operation="^PageBlob_UploadPagesFromURL$", path="^/vlsource/"),
    "the lease's end": Fault(operation="^Blob_ReleaseLease$", path="^/vlsource/"),
}


@pytest.mark.fault(9, 16)
@pytest.mark.parametrize("moment", BACKUP_DEATHS)
def test_a_backup_survives_a_death(rig: Rig, moment: str) -> None:
    """Invariants 1, 2, 4 and 6."""
    fault, manner = BACKUP_DEATHS[moment]
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.scribble()
    disk.write(5 * MIB, 64 * 1024)
    with rig.storage_faults(replace(fault, **manner)) as counts:
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
def test_a_restore_survives_a_death(rig: Rig, moment: str) -> None:
    """Invariant 6: the orchestration goes on where it was; the disk then holds the point."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    point, content = rig.backup_point(item)["id"], disk.content
    disk.scribble()
    disk.write(MIB, MIB)
    overwritten = disk.content
    with rig.storage_faults(replace(RESTORE_MOMENTS[moment], **DONE_LATE)) as counts:
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


def test_a_restore_survives_a_death_before_its_orchestration_begins(rig: Rig) -> None:
    """The point is pinned and the job stored, nothing else: the command comes again once its lock
    has ended, and one restore is made."""
    disk = rig.disk()
    disk.write(0, MIB)
    item = rig.protect(disk)
    point = rig.backup_point(item)["id"]
    rig.at_rest()
    url = rig.new_url()
    pin = Fault(operation="^Table_Batch$", path="^/vlstate/")
    stored, repeated = replace(pin, times=1, drop="after"), replace(pin, **NEVER_DONE)
    with rig.storage_faults(stored, repeated) as counts:
        job = rig.ask_restore(item, point, url)
        until(lambda: counts()[1].fired, "the pin's transaction to be repeated", rig.story)
        rig.kill_host()
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    rig.start()
    rig.bus.call("expire-locks", queue="commands")
    assert rig.ended(job)["status"] == "Completed"
    assert rig.content(url) == disk.content
