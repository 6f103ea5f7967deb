"""Diffs that lose what was written, and bits that rot in the vault, on the real stack: a sample or
a check finds out, and what is restored is the disk."""

from dataclasses import replace

import pytest

from local.storage.controls import REFUSE_PUT_PAGE_FROM_URL, Fault, rot
from shared.model.ids import request_job
from tests.e2e.disk import MIB
from tests.e2e.rig import Json, Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

BLOCK = 4096
SOURCE_DIFF = Fault(operation="^PageBlob_GetPageRangesDiff$", path="^/vlsource/")


@pytest.mark.fault(1)
def test_a_write_that_the_diff_loses_is_found_and_made_good(rig: Rig) -> None:
    """All that the diff calls unchanged is one block, so the samples are of that: it is the one
    that has changed."""
    disk = rig.disk()
    disk.write(MIB, BLOCK)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.write(MIB, BLOCK)
    disk.write(5 * MIB, BLOCK)
    lost = replace(SOURCE_DIFF, lose_within=(MIB, MIB + BLOCK))
    with rig.storage_faults(lost):
        job = rig.backup(item, status="CompletedWithWarnings")
    assert job["error"]["code"] == "DiffIncomplete"
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)


@pytest.mark.fault(15)
def test_rot_in_the_vault_is_found_and_repaired(rig: Rig) -> None:
    """A bit of the replica and of every snapshot that shares the page flips. Nothing tells of it
    until the check has read both sides."""
    disk = rig.disk()
    disk.write(0, 6 * MIB)
    item = rig.protect(disk)
    point = rig.backup_point(item)["id"]
    rig.at_rest()
    replica = rig.item(item)["replica"]
    root = rig.environment.storage_url
    assert rot(root, replica, 3 * MIB + 77, shared=True) >= 2
    assert rig.restored(item, point) != disk.content
    request = rig.post(type="consistency-check", item_id=item)
    job = rig.ended(request_job(item, "check", request))
    assert (job["status"], job["error"]["code"]) == ("CompletedWithWarnings", "ReplicaDamaged")
    assert job["differing_ranges"] == [{"start": 3 * MIB, "end": 3 * MIB + 512}]
    assert rig.restored(item, point) == disk.content
    disk.write(MIB, BLOCK)
    newer = rig.backup_point(item)["id"]
    rig.assert_restorable(item, {newer: disk.content})


@pytest.mark.fault(15)
def test_a_bit_that_flips_on_the_way_is_found_by_the_first_verification(rig: Rig) -> None:
    """The first copy goes through the worker, which is given one wrong bit. Every first copy is
    verified once."""
    disk = rig.disk()
    disk.write(0, MIB)
    item = rig.protect(disk)
    flipped = Fault(operation="^Blob_Download$", path="^/vlsource/", flip_byte=4242, times=1)
    with rig.storage_faults(REFUSE_PUT_PAGE_FROM_URL, flipped):
        assert rig.backup_point(item)["worker_bytes"] > 0
        verified = until(lambda: _verification(rig, item), "the verification", rig.story)
    assert (verified["status"], verified["differing_bytes"]) == ("CompletedWithWarnings", 512)
    assert rig.restored(item) == disk.content


def _verification(rig: Rig, item: str) -> Json | None:
    """The item's verification, once it has ended."""
    jobs = rig.vaultline("jobs", item)
    return next((job for job in jobs if job["operation"] == "Verify" and job["ended_at"]), None)
