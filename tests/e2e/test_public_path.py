"""What people can do with the public SDKs, posted commands and the command line alone."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from local.storage.controls import REFUSE_PUT_PAGE_FROM_URL, Fault
from shared.decide.sampling import SAMPLE_BYTES
from shared.model.extents import extent_bytes_for, one_disk, replica_image
from shared.model.ids import DiskUrl, ItemId
from shared.model.pace import Pace
from tests.e2e.disk import MIB
from tests.e2e.rig import Json, Rig, task, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=2500)
SLOW_SEAL = Fault(operation="^Blob_CreateSnapshot$", path="^/vlvault/", delay_ms=2500)


def test_a_disk_is_backed_up_and_restored_by_public_means(rig: Rig) -> None:
    """Acceptance 3: the bytes are restored, and the listings tell the truth throughout."""
    disk = rig.disk(16 * MIB)
    disk.write(0, 6 * MIB)
    item = rig.protect(disk)
    assert rig.item(item)["state"] == "InitialBackupPending"
    assert rig.points(item) == []

    contents = [disk.content]
    full = _backup_and_watch(rig, item, planned=6 * MIB)
    assert (full["kind"], full["kind_reason"]) == ("full", "first backup")
    assert rig.item(item)["state"] == "Protected"

    disk.write(MIB, MIB)
    disk.clear(4 * MIB, MIB)
    contents.append(disk.content)
    increment = _backup_and_watch(rig, item, planned=MIB)
    assert increment["kind"] == "incremental"
    assert increment["changed_bytes"] == 2 * MIB
    assert (increment["copied_bytes"], increment["cleared_bytes"]) == (MIB, MIB)

    listed = [point["id"] for point in rig.points(item)]
    assert listed == [full["id"], increment["id"]]
    rig.assert_restorable(item, dict(zip(listed, contents, strict=True)))


def _backup_and_watch(rig: Rig, item: ItemId, planned: int) -> Json:
    """One backup, looked at while it copies, while it commits, and at its end; its point."""
    before = rig.points(item)
    with rig.storage_faults(SLOW_COPIES, SLOW_SEAL) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        _assert_under_way(rig, rig.job(job), planned=planned, moved=0)
        assert rig.points(item) == before
        until(lambda: counts()[1].fired, "the replica to be sealed", rig.story)
        _assert_under_way(rig, rig.job(job), planned=planned, moved=planned)
        assert rig.points(item) == before
        done = rig.ended(job)
    assert (done["status"], done["error"]) == ("Completed", None)
    assert {each["status"] for each in done["sub_tasks"]} == {"Completed"}
    assert (done["planned_bytes"], done["moved_bytes"]) == (planned, planned)
    assert done["started_at"] < done["ended_at"]
    point = rig.points(item)[-1]
    assert point["job_id"] == job
    assert point["tiers"] == ["snapshot", "vault"]
    assert point["reasons"]
    assert point["expires_at"] > point["created_at"]
    assert rig.item(item)["last_point_at"] == point["created_at"]
    return point


def _assert_under_way(rig: Rig, job: Json | None, *, planned: int, moved: int) -> None:
    assert job is not None
    assert (job["operation"], job["status"], job["ended_at"]) == ("Backup", "InProgress", None)
    assert task(job, "Take Snapshot") == "Completed"
    assert task(job, "Transfer data to vault") == "InProgress"
    assert (job["planned_bytes"], job["moved_bytes"]) == (planned, moved)


def test_the_original_is_restored_and_protected_on(rig: Rig) -> None:
    """Onto the disk itself: what was there can be had back, and the next backup is an increment."""
    disk = rig.disk()
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.scribble()
    overwritten, (first,) = disk.content, contents
    with rig.storage_faults(SLOW_COPIES):
        job = rig.ask_restore(item, first, "original")
        until(lambda: (rig.job(job) or {}).get("planned_bytes"), "the restore's plan", rig.story)
        assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
        done = rig.ended(job)
    assert done["status"] == "Completed", done
    assert {each["status"] for each in done["sub_tasks"]} == {"Completed"}
    assert rig.content(disk.url) == contents[first]

    safety = rig.points(item)[-1]
    assert (safety["job_id"], safety["tiers"]) == (job, ["snapshot"])
    after = rig.backup_point(item)
    assert after["kind"] == "incremental"
    contents |= {safety["id"]: overwritten, after["id"]: contents[first]}
    rig.assert_restorable(item, contents)


def test_a_restored_disk_goes_on_incrementally(rig: Rig) -> None:
    """The seven steps: the new disk, protected, is not copied whole from the source again."""
    disk = rig.disk()
    disk.write(0, 4 * MIB)
    item = rig.protect(disk)
    rig.backup(item)
    url = rig.new_url()
    assert rig.ended(rig.ask_restore(item, "latest", url))["status"] == "Completed"
    copy = disk.continued(rig.blob(url))
    other = rig.protect(copy)
    copy.write(8192, 4096)
    point = rig.backup_point(other)
    assert (point["kind"], point["copied_bytes"]) == ("incremental", 4096)
    assert rig.restored(other, point["id"]) == copy.content


def test_no_disk_byte_passes_through_a_function(rig: Rig) -> None:
    """Acceptance 4: the storage's own counters of the host's requests see no page bodies but those
    of a few samples (invariant 32)."""
    disk = rig.disk(16 * MIB)
    disk.write(0, 12 * MIB)
    item = rig.protect(disk)
    rig.backup(item)
    rig.at_rest()  # the first copy is verified
    disk.write(MIB, 3 * MIB)
    before = _host_traffic(rig)
    rig.backup(item)
    spent = _host_traffic(rig)
    spent.subtract(before)
    point = rig.points(item)[-1]
    assert point["copied_bytes"] == 3 * MIB <= 1.25 * point["changed_bytes"]
    assert point["worker_bytes"] == 0
    assert spent["PageBlob_UploadPagesFromURL requests"] > 0
    assert spent["PageBlob_UploadPages requests"] == 0
    assert spent["vlsource Blob_Download requests"] <= Pace().samples
    assert 0 < spent["bytes"] < 64 * 1024 + 2 * Pace().samples * SAMPLE_BYTES


def test_bytes_are_streamed_where_the_service_refuses_to_read_the_source(rig: Rig) -> None:
    """The same counters see the bytes then; they are as exact."""
    disk = rig.disk()
    disk.write(0, 5 * MIB)
    item = rig.protect(disk)
    before = _host_traffic(rig)
    with rig.storage_faults(REFUSE_PUT_PAGE_FROM_URL):
        point = rig.backup_point(item)
    spent = _host_traffic(rig)
    spent.subtract(before)
    assert point["worker_bytes"] == point["copied_bytes"] == 5 * MIB
    assert spent["bytes"] >= 2 * 5 * MIB
    assert rig.restored(item, point["id"]) == disk.content


def _host_traffic(rig: Rig) -> Counter[str]:
    """What the functions host has asked of source and vault: body bytes, requests by operation."""
    traffic: Counter[str] = Counter()
    for row in rig.counters():
        if row.client == "vaultline-host" and row.account in ("vlsource", "vlvault"):
            traffic["bytes"] += row.request_bytes + row.response_bytes
            traffic["requests"] += row.requests
            traffic[f"{row.operation} requests"] += row.requests
            traffic[f"{row.account} {row.operation} requests"] += row.requests
    return traffic


@pytest.mark.parametrize("size", [0, 3 * 1024**4], ids=["0 bytes", "3 TiB sparse"])
def test_the_work_grows_with_what_is_written_not_with_the_disk(rig: Rig, size: int) -> None:
    """An empty disk and a huge, nearly empty one: few requests an extent, exact result."""
    disk = rig.disk(0)
    disk.blob.resize_blob(size)
    if size:
        disk.blob.upload_page(b"end." * 1024, size - 4096, 4096)
    item = rig.protect(disk)
    before = _host_traffic(rig)
    point = rig.backup_point(item)
    url = rig.new_url()
    assert rig.ended(rig.ask_restore(item, point["id"], url))["status"] == "Completed"
    extents = len(replica_image(DiskUrl(url), extent_bytes_for(size, 4 * MIB), one_disk(size)))
    assert extents == (96 if size else 1)
    # The copy, its verification and the restore; under load some steps come twice.
    assert _host_traffic(rig)["requests"] - before["requests"] < 100 + 40 * extents
    assert point["size_bytes"] == size
    assert point["copied_bytes"] == (4096 if size else 0)
    target = rig.blob(url)
    assert target.get_blob_properties().size == size
    if size:
        assert [(each.start, each.end) for each in target.list_page_ranges()] == [
            (size - 4096, size - 1)
        ]
        assert target.download_blob(size - 4096, 4096).readall() == b"end." * 1024


def test_the_console_script_says_the_same(rig: Rig) -> None:
    """`python -m cli` in a process of its own, as people run it."""
    rig.at_rest()
    told = subprocess.run(
        [sys.executable, "-m", "cli", "items", "--json"],
        cwd=rig.config.root,
        env=rig.people_environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(told.stdout) == rig.vaultline("items")
