"""Get Page Ranges and its diffs, as the SDK asks for them."""

import urllib.request
from itertools import chain

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError
from azure.storage.blob import BlobClient

from tests.stack.azurite_fixtures import SOURCE, RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    allocated,
    at,
    changed,
    clear,
    new_disk,
    raw_spans,
    read_url,
    reason,
    spans,
    take_snapshot,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack


@pytest.fixture
def disk(storage: RunningStorage) -> BlobClient:
    return new_disk(storage.container(), "disk", 64)


def test_neighbouring_writes_are_one_range(disk: BlobClient) -> None:
    write(disk, 3, "a")
    write(disk, 4, "bc")
    write(disk, 9, "d")
    assert allocated(disk) == [Span(3, 6), Span(9, 10)]


def test_an_empty_blob_lists_nothing(storage: RunningStorage) -> None:
    container = storage.container()
    assert allocated(new_disk(container, "empty", 0)) == []
    assert allocated(new_disk(container, "sparse", 8)) == []


def test_a_listing_comes_in_pages(disk: BlobClient) -> None:
    for page in range(0, 20, 2):
        write(disk, page, "x")
    pages = [spans(page) for page in disk.list_page_ranges(results_per_page=4).by_page()]
    assert [len(page) for page in pages] == [4, 4, 2]
    assert list(chain(*pages)) == [Span(page, page + 1) for page in range(0, 20, 2)]


def test_a_window_cuts_the_listing(disk: BlobClient) -> None:
    write(disk, 2, "aaaa")
    window = disk.list_page_ranges(offset=3 * PAGE, length=2 * PAGE)
    assert spans(window) == [Span(3, 5)]
    with pytest.raises(HttpResponseError) as refused:
        list(disk.list_page_ranges(offset=64 * PAGE, length=PAGE))
    assert reason(refused.value) == (416, "InvalidPageRange")


def test_a_diff_has_writes_and_clears_in_order(disk: BlobClient) -> None:
    write(disk, 0, "aaaa")
    write(disk, 10, "bbbb")
    before = take_snapshot(disk)
    clear(disk, 1)
    write(disk, 2, "c")
    clear(disk, 11, 2)
    write(disk, 20, "d")
    expected = [
        Span(1, 2, cleared=True),
        Span(2, 3),
        Span(11, 13, cleared=True),
        Span(20, 21),
    ]
    assert changed(disk, before) == expected
    after = take_snapshot(disk)
    write(disk, 30, "late")
    assert changed(at(disk, after), before) == expected
    assert raw_spans(disk.get_page_ranges(previous_snapshot_diff=before)) == [
        *expected,
        Span(30, 34),
    ]


def test_the_lists_interleave_on_the_wire(disk: BlobClient) -> None:
    write(disk, 0, "aaa")
    before = take_snapshot(disk)
    clear(disk, 0)
    write(disk, 1, "b")
    clear(disk, 2)
    url = f"{read_url(disk)}&comp=pagelist&prevsnapshot={before}"
    with urllib.request.urlopen(url) as answer:
        body = answer.read().decode()
    assert body.index("<ClearRange>") < body.index("<PageRange>") < body.rindex("<ClearRange>")


def test_a_rewrite_with_the_same_bytes_is_a_change(disk: BlobClient) -> None:
    write(disk, 0, "aaa")
    before = take_snapshot(disk)
    write(disk, 1, "a")
    assert changed(disk, before) == [Span(1, 2)]


def test_a_diff_with_itself_is_empty(disk: BlobClient) -> None:
    write(disk, 0, "aaa")
    before = take_snapshot(disk)
    assert changed(at(disk, before), before) == []


def test_a_diff_comes_in_pages_across_both_lists(disk: BlobClient) -> None:
    write(disk, 0, "a" * 40)
    before = take_snapshot(disk)
    for page in range(0, 40, 4):
        clear(disk, page)
        write(disk, page + 2, "b")
    listing = disk.list_page_ranges(previous_snapshot=before, results_per_page=7)
    pages = [spans(page) for page in listing.by_page()]
    assert [len(page) for page in pages] == [7, 7, 6]
    assert list(chain(*pages)) == [
        Span(page + shift, page + shift + 1, cleared=shift == 0)
        for page in range(0, 40, 4)
        for shift in (0, 2)
    ]


def test_a_grown_disk_lists_what_was_written_beyond_the_old_end(disk: BlobClient) -> None:
    write(disk, 63, "a")
    before = take_snapshot(disk)
    disk.resize_blob(128 * PAGE)
    write(disk, 100, "b")
    assert changed(disk, before) == [Span(100, 101)]


def test_a_shrunk_disk_lists_nothing_beyond_its_end(disk: BlobClient) -> None:
    write(disk, 10, "a")
    write(disk, 60, "a")
    before = take_snapshot(disk)
    disk.resize_blob(32 * PAGE)
    assert changed(disk, before) == []
    disk.resize_blob(64 * PAGE)
    assert changed(disk, before) == [Span(60, 61, cleared=True)]


def test_a_missing_previous_snapshot_is_refused(disk: BlobClient) -> None:
    with pytest.raises(HttpResponseError) as refused:
        changed(disk, "2020-01-01T00:00:00.0000000Z")
    assert reason(refused.value) == (
        409,
        "PreviousSnapshotNotFound",
    )


def test_a_newer_previous_snapshot_is_refused(disk: BlobClient) -> None:
    older, newer = take_snapshot(disk), take_snapshot(disk)
    assert older < newer
    with pytest.raises(HttpResponseError) as refused:
        changed(at(disk, older), newer)
    # 400 is what the service's table of error codes says.
    assert reason(refused.value) == (
        400,
        "PreviousSnapshotCannotBeNewer",
    )


def test_a_blob_made_anew_since_is_refused(disk: BlobClient) -> None:
    before = take_snapshot(disk)
    disk.create_page_blob(64 * PAGE)
    with pytest.raises(HttpResponseError) as refused:
        changed(disk, before)
    assert reason(refused.value) == (409, "BlobOverwritten")


def test_conditions_and_leases_hold_for_listings(disk: BlobClient) -> None:
    etag = disk.get_blob_properties().etag
    lease = disk.acquire_lease()
    assert (
        spans(
            disk.list_page_ranges(
                lease=lease, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        )
        == []
    )
    write_with_lease = disk.upload_page(b"a" * PAGE, 0, PAGE, lease=lease)
    assert write_with_lease["etag"] != etag
    with pytest.raises(ResourceModifiedError):
        list(disk.list_page_ranges(etag=etag, match_condition=MatchConditions.IfNotModified))


def test_the_managed_disk_form_takes_a_url(disk: BlobClient) -> None:
    write(disk, 0, "aaa")
    before = take_snapshot(disk)
    clear(disk, 0)
    write(disk, 5, "b")
    expected = [Span(0, 1, cleared=True), Span(5, 6)]
    signed = disk.get_page_range_diff_for_managed_disk(read_url(disk, before))
    assert raw_spans(signed) == expected
    unsigned = disk.get_page_range_diff_for_managed_disk(at(disk, before).url)
    assert raw_spans(unsigned) == expected


def test_the_managed_disk_form_works_between_copies(
    disk: BlobClient, storage: RunningStorage
) -> None:
    """A managed-disk snapshot is a blob of its own, here a copy of the disk."""
    container = storage.blobs().get_container_client(disk.container_name)
    write(disk, 0, "aaa")
    first = container.get_blob_client("snapshot-1")
    first.start_copy_from_url(disk.url)
    write(disk, 1, "b")
    clear(disk, 2)
    second = container.get_blob_client("snapshot-2")
    second.start_copy_from_url(disk.url)
    diff = second.get_page_range_diff_for_managed_disk(read_url(first))
    assert raw_spans(diff) == [Span(1, 2), Span(2, 3, cleared=True)]
    with pytest.raises(HttpResponseError) as refused:
        first.get_page_range_diff_for_managed_disk(read_url(second))
    assert reason(refused.value)[1] == "PreviousSnapshotCannotBeNewer"


def test_the_managed_disk_form_refuses_a_sas_that_does_not_allow_reading(disk: BlobClient) -> None:
    before = take_snapshot(disk)
    with pytest.raises(HttpResponseError) as refused:
        disk.get_page_range_diff_for_managed_disk(read_url(disk, before, permission="w"))
    assert refused.value.status_code == 403
    with pytest.raises(HttpResponseError) as refused:
        disk.get_page_range_diff_for_managed_disk(f"{disk.url}-gone")
    assert reason(refused.value)[1] == "PreviousSnapshotNotFound"


def test_a_sparse_disk_of_3_tib_is_quick(storage: RunningStorage) -> None:
    pages = 3 * 2**40 // PAGE
    disk = new_disk(storage.container(SOURCE), "large", pages)
    before = take_snapshot(disk)
    write(disk, pages - 1, "z")
    write(disk, pages // 2, "m")
    assert changed(disk, before) == [Span(pages // 2, pages // 2 + 1), Span(pages - 1, pages)]
    tail = disk.download_blob(offset=(pages - 2) * PAGE, length=2 * PAGE).readall()
    assert tail == bytes(PAGE) + b"z" * PAGE
