"""Listings that lie, break off, hold nothing or go in circles, on the real stack: whatever they
tell, the restored bytes are the disk's."""

from dataclasses import replace

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB, Disk
from tests.e2e.rig import Rig

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

RANGES = Fault(operation="^PageBlob_GetPageRanges")
SOURCE_RANGES = replace(RANGES, path="^/vlsource/")
SOURCE_DIFF = Fault(operation="^PageBlob_GetPageRangesDiff$", path="^/vlsource/")
SOURCE_WHOLE = Fault(operation="^PageBlob_GetPageRanges$", path="^/vlsource/")
BLOBS = Fault(operation="ListBlob")

LIES = {
    "ranges left out": [
        replace(SOURCE_DIFF, lose_cleared=True),
        replace(SOURCE_WHOLE, rows=1, marker="lost", times=2),
        replace(BLOBS, rows=0, marker="kept", times=3),
    ],
    "one range an answer": [replace(RANGES, rows=1, marker="kept")],
    "empty answers, and such that break off": [
        replace(RANGES, rows=0, marker="kept", probability=0.4, seed=3, times=12),
        replace(RANGES, cut_after_bytes=60, times=2),
    ],
    "in circles": [replace(SOURCE_RANGES, rows=1, marker="same", times=4)],
}


def changed(disk: Disk, round_: int) -> None:
    """Written here and there; what was allocated somewhere else is so no more."""
    disk.scribble(6)
    start = round_ * MIB
    disk.write(start + MIB // 2, 64 * 1024)
    disk.clear(start, 256 * 1024)
    disk.clear(start + MIB // 2, 32 * 1024)


@pytest.mark.fault(2, 17, 48, 55)
def test_no_listing_is_trusted_blindly(rig: Rig) -> None:
    disk = rig.disk()
    disk.write(0, 8 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    for round_, (name, lies) in enumerate(LIES.items()):
        changed(disk, round_)
        with rig.storage_faults(*lies):
            point = rig.backup_point(item)
        assert (name, "vault" in point["tiers"]) == (name, True)
        contents[point["id"]] = disk.content
    rig.assert_restorable(item, contents)


@pytest.mark.fault(4, 5)
def test_where_no_diff_is_to_be_had_the_copy_is_full(rig: Rig) -> None:
    """As people bring it about: the snapshot that the next increment needs is deleted, and the
    service says so; the blob is written anew under its name, and is known for another one."""
    disk = rig.disk(name="refused.vhd")
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.blob.delete_blob(delete_snapshots="only")
    changed(disk, 0)
    refusals = _refused_diffs(rig)
    point = rig.backup_point(item)
    assert point["kind"] == "full"
    assert "previous snapshot" in point["kind_reason"]
    assert _refused_diffs(rig) == refusals + 1
    contents[point["id"]] = disk.content
    disk.blob.create_page_blob(len(disk.content))
    other = Disk(disk.blob, len(disk.content), seed=2)
    other.write(2 * MIB, MIB)
    point = rig.backup_point(item)
    assert (point["kind"], "replaced" in point["kind_reason"]) == ("full", True)
    contents[point["id"]] = other.content
    rig.assert_restorable(item, contents)


def _refused_diffs(rig: Rig) -> int:
    """How often the service would not tell a diff of a source."""
    return sum(
        row.errors
        for row in rig.counters()
        if (row.account, row.operation) == ("vlsource", "PageBlob_GetPageRangesDiff")
    )
