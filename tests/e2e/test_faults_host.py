"""Locks that end and hosts that are killed in the midst of a part, on the real stack."""

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=800)
RUNS = 30


@pytest.mark.fault(20, 21)
def test_a_part_that_outlives_its_lock_is_done_beside_itself(rig: Rig) -> None:
    """Its message is given out again while it is under way; both do the work, one counts."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.write(MIB, 2 * MIB)
    disk.clear(0, MIB)
    with rig.storage_faults(SLOW_COPIES) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        rig.bus.call("expire-locks", queue="incremental-copy")
        assert rig.ended(job)["status"] == "Completed"
        rig.drained("incremental-copy")
        (copies,) = counts()
    point = rig.points(item)[-1]
    assert copies.fired >= 2, "nobody did the work again"
    assert point["copied_bytes"] == point["changed_bytes"] - point["cleared_bytes"]
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


@pytest.mark.fault(9, 23)
def test_a_host_that_ends_leaves_off_where_it_was(rig: Rig) -> None:
    """The grace of its drain is over, the host is killed in the midst of a part. The next one goes
    on from what was noted (the first one notes often), and copies little twice."""
    rig.refresh_host(VAULTLINE_COPY_CONCURRENCY="2", VAULTLINE_CHECKPOINT_SECONDS="0.3")
    disk = rig.disk(16 * MIB)
    disk.write(0, MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    for number in range(RUNS):
        disk.write(number * MIB // 2, 4096)
    slow = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=250)
    with rig.storage_faults(slow) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired > RUNS * 2 // 3, "most copies to be under way", rig.story)
        rig.kill_host()
        (before,) = counts()
        assert before.fired < RUNS, "the part was done before its host ended"
        rig.start()
        rig.bus.call("expire-locks", queue="incremental-copy")
        assert rig.ended(job)["status"] == "Completed"
        (after,) = counts()
    assert after.fired < RUNS * 3 // 2, "what was done was done again"
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)
