"""Listings that lose ranges, end too early, hold nothing, or never end: of page ranges, of blobs
and of rows."""

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pytest
from azure.data.tables import TableClient
from azure.storage.blob import BlobClient, ContainerClient

from local.storage.controls import Fault, add_faults, clear_faults
from tests.stack.azurite_fixtures import RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    allocated,
    changed,
    clear,
    new_disk,
    spans,
    take_snapshot,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack

RANGES = "^PageBlob_GetPageRanges$"
DIFF = "^PageBlob_GetPageRangesDiff$"
EVERY_OTHER = [Span(page, page + 1) for page in range(0, 10, 2)]


def scattered(storage: RunningStorage) -> BlobClient:
    """A disk with five ranges, one in every other page."""
    disk = new_disk(storage.container(), "disk", 16)
    for page in range(0, 10, 2):
        write(disk, page, "x")
    return disk


def pages_of(paged: Any, limit: int = 12) -> Iterator[list[Any]]:
    """The first `limit` answers of a listing, as they come."""
    pages = paged.by_page()
    for _ in range(limit):
        page = next(pages, None)
        if page is None:
            return
        yield list(page)


def fired(storage: RunningStorage) -> int:
    (count,) = clear_faults(storage.endpoint)
    return count.fired


def test_a_diff_loses_what_lies_somewhere(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", 16)
    write(disk, 8, "yyyy")
    before = take_snapshot(disk)
    write(disk, 0, "xxxx")
    clear(disk, 8, 2)
    write(disk, 14, "x")
    fault = Fault(operation=DIFF, lose_within=(2 * PAGE, 9 * PAGE), times=1)
    add_faults(storage.endpoint, [fault])
    assert changed(disk, before) == [Span(0, 2), Span(9, 10, cleared=True), Span(14, 15)]
    assert changed(disk, before) == [Span(0, 4), Span(8, 10, cleared=True), Span(14, 15)]
    assert fired(storage) == 1


def test_a_diff_loses_what_was_cleared(storage: RunningStorage) -> None:
    disk = scattered(storage)
    before = take_snapshot(disk)
    clear(disk, 0, 3)
    write(disk, 12, "x")
    add_faults(storage.endpoint, [Fault(operation=DIFF, lose_cleared=True, times=1)])
    assert changed(disk, before) == [Span(12, 13)]
    assert [span.cleared for span in changed(disk, before)] == [True, True, False]
    assert fired(storage) == 1


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_range_listing_cut_with_its_marker_is_whole(storage: RunningStorage, rows: int) -> None:
    disk = scattered(storage)
    add_faults(storage.endpoint, [Fault(operation=RANGES, rows=rows, marker="kept")])
    assert allocated(disk) == EVERY_OTHER
    assert fired(storage) == -(-len(EVERY_OTHER) // rows)


def test_a_range_listing_cut_without_its_marker_ends_there(storage: RunningStorage) -> None:
    disk = scattered(storage)
    add_faults(storage.endpoint, [Fault(operation=RANGES, rows=2, marker="lost", times=1)])
    assert allocated(disk) == EVERY_OTHER[:2]
    assert allocated(disk) == EVERY_OTHER
    assert fired(storage) == 1


def test_empty_answers_with_a_marker_lead_on(storage: RunningStorage) -> None:
    disk = scattered(storage)
    add_faults(storage.endpoint, [Fault(operation=RANGES, rows=0, marker="kept", times=3, skip=1)])
    pages = [spans(page) for page in pages_of(disk.list_page_ranges(results_per_page=2))]
    assert pages == [EVERY_OTHER[:2], [], [], [], EVERY_OTHER[2:4], EVERY_OTHER[4:]]
    assert fired(storage) == 3


def test_a_range_listing_goes_in_circles(storage: RunningStorage) -> None:
    disk = scattered(storage)
    add_faults(storage.endpoint, [Fault(operation=RANGES, rows=2, marker="same")])
    listing = disk.list_page_ranges(results_per_page=2).by_page()
    markers = []
    for _ in range(5):
        assert spans(next(listing)) == EVERY_OTHER[:2]
        markers.append(listing.continuation_token)  # type: ignore[attr-defined]
    assert len(set(markers)) == 1
    assert fired(storage) == 5


def names(blobs: Iterable[Any]) -> list[str]:
    return [f"{blob.name}{'@' if blob.snapshot else ''}" for blob in blobs]


def crowd(storage: RunningStorage) -> tuple[ContainerClient, list[str]]:
    """A container with two blobs of three snapshots each, and what a listing of it says."""
    container = storage.container()
    for name in ("a", "b"):
        disk = new_disk(container, name, 1)
        for _ in range(3):
            take_snapshot(disk)
    listed = names(container.list_blobs(include=["snapshots"]))
    assert len(listed) == 8
    return container, listed


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_listing_of_blobs_cut_with_its_marker_is_whole(
    storage: RunningStorage, rows: int
) -> None:
    """Also between the snapshots of one blob."""
    container, whole = crowd(storage)
    times = 4 if rows == 0 else None
    cut = Fault(operation="ListBlob", rows=rows, marker="kept", times=times)
    add_faults(storage.endpoint, [cut])
    pages = [names(page) for page in pages_of(container.list_blobs(include=["snapshots"]))]
    assert list(chain.from_iterable(pages)) == whole
    assert len(pages) == (5 if rows == 0 else -(-len(whole) // rows))
    assert fired(storage) == (4 if rows == 0 else len(pages))


def test_a_listing_of_blobs_is_cut_without_its_marker_or_circles(storage: RunningStorage) -> None:
    container, whole = crowd(storage)
    add_faults(storage.endpoint, [Fault(operation="ListBlob", rows=3, marker="lost", times=1)])
    assert names(container.list_blobs(include=["snapshots"])) == whole[:3]
    assert fired(storage) == 1
    add_faults(storage.endpoint, [Fault(operation="ListBlob", rows=3, marker="same")])
    pages = [names(page) for page in pages_of(container.list_blobs(include=["snapshots"]), 4)]
    assert pages == [whole[:3]] * 4
    assert fired(storage) == 4


def table(storage: RunningStorage) -> TableClient:
    made = storage.tables().create_table("t" + str(time.time_ns()))
    for number in range(5):
        made.upsert_entity({"PartitionKey": "p", "RowKey": f"r{number}"})
    return made


def keys(rows: Iterable[Any]) -> str:
    return " ".join(row["RowKey"] for row in rows)


def test_a_query_of_rows_is_cut_empty_or_circles(storage: RunningStorage) -> None:
    rows = table(storage)
    told = {}
    for name, fault in {
        "kept": Fault(service="table", operation="Query", rows=2, marker="kept"),
        "lost": Fault(service="table", operation="Query", rows=2, marker="lost"),
        "empty": Fault(service="table", operation="Query", rows=0, marker="kept", times=1),
        "same": Fault(service="table", operation="Query", rows=2, marker="same"),
    }.items():
        add_faults(storage.endpoint, [fault])
        told[name] = [keys(page) for page in pages_of(rows.list_entities(), 4)]
        assert fired(storage) > 0
    assert told == {
        "kept": ["r0 r1", "r2 r3", "r4"],
        "lost": ["r0 r1"],
        "empty": ["", "r0 r1 r2 r3 r4"],
        "same": ["r0 r1"] * 4,
    }
