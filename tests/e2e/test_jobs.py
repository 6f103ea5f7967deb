"""Acceptance 3: the job table, the Skipped rule and cancel, on a storage that is slow."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.servicebus.faults import Fault as BusFault
from local.storage.controls import Fault
from shared.model.ids import ItemId, JobId
from tests.e2e.disk import MIB, Disk
from tests.e2e.rig import Json, Rig, task, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_SOURCE_SNAPSHOT = Fault(
    operation="^Blob_CreateSnapshot$", path="^/vlsource/", delay_ms=3000, times=1
)
SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=3000)
SLOW_SEAL = Fault(operation="^Blob_CreateSnapshot$", path="^/vlvault/", delay_ms=3000)
SLOW_PLAN = Fault(operation="^BlockBlob_Upload$", path="^/vlvault/", delay_ms=3000)
SLOW_RESTORE = Fault(operation="^PageBlob_UploadPagesFromURL$", path="^/vlsource/", delay_ms=3000)
CANCELLED_AT = {
    "its snapshot": SLOW_SOURCE_SNAPSHOT,
    "its plan": SLOW_PLAN,
    "a copy": SLOW_COPIES,
    "its commit": SLOW_SEAL,
}


@contextmanager
def slowed(rig: Rig, *faults: Fault) -> Iterator[None]:
    """The storage is slow in that for the time of the block."""
    with rig.storage_faults(*faults) as counts:
        yield
        assert all(count.fired for count in counts())


def protected(rig: Rig) -> tuple[Disk, ItemId, dict[str, bytes]]:
    """A disk with one point, changed since; what the point must restore to."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.scribble()
    disk.write(5 * MIB, 64 * 1024)
    return disk, item, contents


def tasks(job: Json) -> tuple[str, str, str]:
    """The job's row in the table: snapshot, transfer, job."""
    return (task(job, "Take Snapshot"), task(job, "Transfer data to vault"), job["status"])


def seen(rig: Rig, job: JobId, row: tuple[str, str, str]) -> Json:
    """The job once it stands in that row."""

    def look() -> Json | None:
        found = rig.job(job)
        return found if found and tasks(found) == row else None

    return until(look, f"{job} to be {row}", rig.story)


def test_a_backup_goes_through_the_table(rig: Rig) -> None:
    """Snapshot, transfer, job: as listed while it happens, with the bytes as they move."""
    disk, item, contents = protected(rig)
    with slowed(rig, SLOW_SOURCE_SNAPSHOT, SLOW_COPIES):
        job = rig.ask_backup(item)
        seen(rig, job, ("InProgress", "NotStarted", "InProgress"))
        moving = seen(rig, job, ("Completed", "InProgress", "InProgress"))
        assert moving["ended_at"] is None
        assert [each["id"] for each in rig.vaultline("jobs", item, "--status", "InProgress")] == [
            job
        ]
        done = rig.ended(job)
    assert tasks(done) == ("Completed", "Completed", "Completed")
    assert done["moved_bytes"] == done["planned_bytes"] > 0
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)


def test_a_transfer_is_skipped_while_one_runs_and_the_next_carries_everything(rig: Rig) -> None:
    """Two backups beside each other, one sub-task of a kind; invariant 5."""
    disk, item, contents = protected(rig)
    with slowed(rig, SLOW_COPIES):
        slow = rig.ask_backup(item)
        rig.snapshot_taken(slow)
        first = disk.content
        disk.write(0, MIB)
        skipped = rig.ended(rig.ask_backup(item))
        assert tasks(skipped) == ("Completed", "Skipped", "Completed")
        second = disk.content
        running = rig.job(slow)
        assert running is not None
        assert tasks(running) == ("Completed", "InProgress", "InProgress")
        assert tasks(rig.ended(slow)) == ("Completed", "Completed", "Completed")
    disk.write(7 * MIB, 4096)
    point = rig.backup_point(item)
    assert (point["kind"], point["changed_bytes"]) == ("incremental", MIB + 4096)
    by_job = {each["job_id"]: each for each in rig.points(item)}
    assert by_job[skipped["id"]]["tiers"] == ["snapshot"]
    contents |= {
        by_job[slow]["id"]: first,
        by_job[skipped["id"]]["id"]: second,
        point["id"]: disk.content,
    }
    rig.assert_restorable(item, contents)


@pytest.mark.parametrize("moment", CANCELLED_AT)
def test_a_backup_is_cancelled_at(rig: Rig, moment: str) -> None:
    """No point of it; the replica is put right by the next transfer (invariant 4)."""
    disk, item, contents = protected(rig)
    with rig.storage_faults(CANCELLED_AT[moment]) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, moment, rig.story)
        told = rig.vaultline("cancel", job, "--wait")
        assert (told["id"], told["status"]) == (job, "Cancelled")
        rig.drained("snapshot", "transfer-to-vault", "incremental-copy", "retention")
    assert [point["id"] for point in rig.points(item)] == list(contents)
    disk.clear(0, 2 * MIB)
    disk.scribble()
    point = rig.backup_point(item)
    assert point["kind"] == "incremental"
    contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)
    assert [dead for dead in rig.vaultline("dead-letters", "list") if dead["item_id"] == item] == []


@pytest.mark.parametrize("target", ["original", "alternate"])
def test_a_restore_is_cancelled(rig: Rig, target: str) -> None:
    """Lease and pin go, its orchestration ends; the disk is protected on."""
    disk, item, contents = protected(rig)
    (point,) = contents
    to = "original" if target == "original" else rig.new_url()
    overwritten = disk.content
    with rig.storage_faults(SLOW_RESTORE) as counts:
        job = rig.ask_restore(item, point, to)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        told = rig.vaultline("cancel", job, "--wait")
    assert told["status"] == "Cancelled"
    written = disk.blob if target == "original" else rig.blob(to)
    assert written.get_blob_properties().lease.state == "available"
    if target == "original":
        safety = next(each for each in rig.points(item) if each["job_id"] == job)
        contents[safety["id"]] = overwritten
        assert rig.ended(rig.ask_restore(item, point, to))["status"] == "Completed"
        assert rig.content(disk.url) == contents[point]
    rig.backup(item)
    rig.assert_restorable(item, contents)


@pytest.mark.fault(35)
def test_a_restore_whose_host_forgot_it_is_started_again(rig: Rig) -> None:
    """Fault 35: the task hub is gone, with every orchestration in it."""
    _, item, contents = protected(rig)
    (point,) = contents
    url = rig.new_url()
    with rig.storage_faults(SLOW_RESTORE) as counts:
        job = rig.ask_restore(item, point, url)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        rig.kill_host()
    hubs = list(rig.config.data_dir.rglob("taskhub-*"))
    assert hubs
    for each in hubs:
        each.unlink()
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    rig.start()
    assert rig.ended(job)["status"] == "Completed"
    assert rig.content(url) == contents[point]
    assert rig.blob(url).get_blob_properties().lease.state == "available"
    rig.backup(item)


@pytest.mark.fault(11)
def test_a_lost_snapshot_message_is_sent_again(rig: Rig) -> None:
    """The job is there from the request on; the reconciler moves it."""
    disk, item, contents = protected(rig)
    lost = rig.bus.fired("snapshot", BusFault.DROP)
    rig.bus.arm("snapshot", BusFault.DROP, count=1)
    job = rig.ask_backup(item)
    seen(rig, job, ("NotStarted", "NotStarted", "NotStarted"))
    until(lambda: rig.bus.fired("snapshot", BusFault.DROP) > lost, "the loss", rig.story)
    assert tasks(rig.ended(job)) == ("Completed", "Completed", "Completed")
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)


def test_a_dead_letter_is_redriven(rig: Rig) -> None:
    """A command for an item that does not exist yet; when it does, the letter is sent again."""
    disk = rig.disk()
    disk.write(0, MIB)
    item = ItemId(f"late-{disk.url[-8:]}")
    rig.post(type="backup-now", item_id=item)

    def look() -> Json | None:
        letters = rig.vaultline("dead-letters", "list", "--queue", "commands", "--limit", "1000")
        return next((each for each in letters if each["item_id"] == item), None)

    letter = until(look, "the dead letter", rig.story)
    assert letter["code"] == "NotFound"
    rig.protect(disk, item)
    assert rig.vaultline("dead-letters", "redrive", letter["id"]) == {"redriven": [letter["id"]]}
    until(lambda: rig.points(item), "a point", rig.story)
    assert rig.restored(item) == disk.content
    assert look() is None
