"""Requests that are refused, delayed, done without an answer, or whose grant ends, on the real
stack."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB, Disk
from tests.e2e.rig import Json, Rig

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

COPY = Fault(operation="^PageBlob_UploadPagesFromURL$")
PAGES = Fault(operation="^PageBlob_(UploadPages|ClearPages)")
TABLE = Fault(service="table")
BATCH = Fault(operation="^Table_Batch$")
SOURCE_SNAPSHOT = Fault(operation="^Blob_CreateSnapshot$", path="^/vlsource/")
SEAL = Fault(operation="^Blob_CreateSnapshot$", path="^/vlvault/")
BUSY: dict[str, Any] = {"status": 503, "error_code": "ServerBusy"}


def spread(disk: Disk) -> None:
    """Thirty changes apart from each other: as many requests."""
    for number in range(24):
        disk.write(number * 340 * 1024 // 4096 * 4096, 4096)
    for number in range(6):
        disk.clear((number * 1360 * 1024 + 600 * 1024) // 4096 * 4096, 8192)


class Story:
    """A disk, its item, and what each of its points must restore to."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.disk = rig.disk()
        self.disk.write(0, 8 * MIB)
        self.item = rig.protect(self.disk)
        self.contents: dict[str, bytes] = {}
        self.backed_up()

    def backed_up(self, *faults: Fault) -> Json:
        """One more point, made under the faults, each of which must fire."""
        with self.rig.storage_faults(*faults):
            point = self.rig.backup_point(self.item)
        assert "vault" in point["tiers"]
        self.contents[point["id"]] = self.disk.content
        return point

    def proved(self) -> None:
        self.rig.assert_restorable(self.item, self.contents)


@pytest.fixture
def story(rig: Rig) -> Iterator[Story]:
    told = Story(rig)
    yield told
    told.proved()


@pytest.mark.fault(16, 40)
def test_page_operations_are_refused_delayed_and_done_in_vain(story: Story) -> None:
    """A third of them 503, first without and then with a word on when to come again; others whose
    answers are lost."""
    rate = replace(PAGES, probability=0.3, seed=11, **BUSY)
    for faults in (
        [replace(PAGES, drop="after", times=4), rate],
        [replace(rate, retry_after=1, times=5), replace(PAGES, drop="before", times=3)],
    ):
        spread(story.disk)
        point = story.backed_up(*faults)
        assert point["kind"] == "incremental"


AT_SOURCE = {
    "busy": (503, "ServerBusy", 3),
    "not authorised": (403, "AuthenticationFailed", 2),
    "refused for good": (409, "CopySourceCannotBeIncrementalCopyBlob", None),
}


@pytest.mark.fault(41, 42, 45)
def test_a_copy_that_cannot_read_its_source(story: Story) -> None:
    """`CannotVerifyCopySource`: by its inner code it is repeated, granted again, or streamed. And
    signatures that really end in the midst of the copies, one after the other."""
    ends = replace(COPY, end_sas=True, skip=2, times=2)
    spread(story.disk)
    assert story.backed_up(ends)["worker_bytes"] == 0
    for status, inner, times in AT_SOURCE.values():
        spread(story.disk)
        refused = replace(COPY, at_source=True, status=status, error_code=inner, times=times)
        point = story.backed_up(refused)
        assert (point["worker_bytes"] > 0) == (inner == "CopySourceCannotBeIncrementalCopyBlob")


@pytest.mark.fault(41)
def test_a_source_that_is_gone_in_mid_copy_fails_its_job_alone(story: Story) -> None:
    """404 at the source is no matter of time."""
    spread(story.disk)
    gone = replace(COPY, at_source=True, status=404, error_code="BlobNotFound", skip=2)
    with story.rig.storage_faults(gone):
        job = story.rig.ended(story.rig.ask_backup(story.item))
    assert job["status"] in ("Failed", "CompletedWithWarnings")
    assert job["error"]["code"] == "SourceNotFound"
    spread(story.disk)
    story.backed_up()


@pytest.mark.fault(52, 53)
def test_tables_that_are_busy_lose_answers_and_are_written_by_others(story: Story) -> None:
    """503, a transaction whose answer is lost, one that meets an etag of somebody else's, and
    queries that begin with an empty page."""
    spread(story.disk)
    story.backed_up(
        replace(BATCH, drop="after", skip=1, times=2),
        replace(BATCH, status=412, error_code="UpdateConditionNotSatisfied", times=3),
        replace(TABLE, probability=0.1, seed=5, times=25, **BUSY),
    )


@pytest.mark.fault(46, 50)
def test_snapshots_beyond_a_limit_and_without_an_answer(story: Story) -> None:
    """The service takes no more for the moment; then it takes one and its answer is lost. One
    snapshot is there in the end."""
    for code in ("SnapshotOperationRateExceeded", "SnapshotCountExceeded"):
        spread(story.disk)
        limited: dict[str, Any] = {"status": 409, "error_code": code, "times": 3}
        story.backed_up(
            replace(SOURCE_SNAPSHOT, **limited),
            replace(SOURCE_SNAPSHOT, drop="after", times=1),
            replace(SEAL, **limited),
            replace(SEAL, drop="after", times=1),
        )
    container = story.rig.service().get_container_client("disks")
    tags = [
        (blob.metadata or {}).get("vaultline_tag")
        for blob in container.list_blobs(
            story.disk.blob.blob_name, include=["snapshots", "metadata"]
        )
        if blob.snapshot
    ]
    assert len(tags) == len(set(tags)) <= len(story.contents)


@pytest.mark.fault(16)
def test_bodies_that_break_off_while_bytes_are_streamed(story: Story) -> None:
    """The worker reads and writes itself; what it reads ends too early, more than once."""
    spread(story.disk)
    refused: dict[str, Any] = {"status": 409, "error_code": "CopySourceCannotBeIncrementalCopyBlob"}
    reads = Fault(operation="^Blob_Download$", path="^/vlsource/")
    point = story.backed_up(replace(COPY, **refused), replace(reads, cut_after_bytes=500, times=5))
    assert point["worker_bytes"] > 0
