"""Bit rot: a stored page changes, and neither etag nor time nor diff tells of it."""

import pytest
from azure.storage.blob import BlobClient

from local.errors import StackError
from local.storage.azurite import VAULT
from local.storage.controls import rot
from tests.stack.azurite_fixtures import RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    allocated,
    at,
    changed,
    clear,
    new_disk,
    read_url,
    take_snapshot,
    text,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack


def replica_of(storage: RunningStorage) -> tuple[BlobClient, BlobClient]:
    """A disk, and a server-side copy of it that shares its stored bytes."""
    source = new_disk(storage.container(), "source", 8)
    write(source, 0, "abcdefgh")
    replica = new_disk(storage.container(VAULT), "replica", 8)
    replica.upload_pages_from_url(read_url(source), 0, 8 * PAGE, 0)
    return source, replica


def test_a_page_of_a_blob_rots_and_nothing_else(storage: RunningStorage) -> None:
    source, replica = replica_of(storage)
    snapshot = take_snapshot(replica)
    before = replica.get_blob_properties()
    assert rot(storage.endpoint, replica.url, 3 * PAGE + 17) == 1
    assert text(replica) == "abc?efgh"
    content = replica.download_blob(3 * PAGE, PAGE).readall()
    assert [i for i, byte in enumerate(content) if byte != ord("d")] == [17]
    assert text(at(replica, snapshot)) == text(source) == "abcdefgh"
    after = replica.get_blob_properties()
    assert (after.etag, after.last_modified) == (before.etag, before.last_modified)
    assert changed(replica, snapshot) == []
    assert allocated(replica) == [Span(0, 8)]


def test_a_page_of_a_snapshot_rots_alone_or_wherever_it_is_held(storage: RunningStorage) -> None:
    _, replica = replica_of(storage)
    first = take_snapshot(replica)
    write(replica, 7, "z")
    second = take_snapshot(replica)
    assert rot(storage.endpoint, replica.url, PAGE, snapshot=first) == 1
    assert rot(storage.endpoint, replica.url, 5 * PAGE, snapshot=first, shared=True) == 3
    assert rot(storage.endpoint, replica.url, 7 * PAGE, snapshot=first, shared=True) == 1
    assert text(at(replica, first)) == "a?cde?g?"
    assert text(at(replica, second)) == "abcde?gz"
    assert text(replica) == "abcde?gz"
    assert changed(replica, first) == [Span(7, 8)]


def test_what_is_written_over_rot_is_good_and_copies_of_rot_are_rotten(
    storage: RunningStorage,
) -> None:
    _, replica = replica_of(storage)
    for page in (1, 2, 3):
        rot(storage.endpoint, replica.url, page * PAGE)
    snapshot = take_snapshot(replica)
    write(replica, 1, "B")
    clear(replica, 2)
    assert text(replica) == "aB.?efgh"
    assert changed(replica, snapshot) == [Span(1, 2), Span(2, 3, cleared=True)]
    copy = new_disk(storage.container(), "copy", 8)
    copy.upload_pages_from_url(read_url(replica, snapshot), 0, 8 * PAGE, 0)
    assert text(copy) == "a???efgh"


def test_rot_survives_a_restart(own_storage: RunningStorage) -> None:
    _, replica = replica_of(own_storage)
    snapshot = take_snapshot(replica)
    rot(own_storage.endpoint, replica.url, 3 * PAGE)
    own_storage.stop()
    own_storage.start()
    assert text(replica) == "abc?efgh"
    assert changed(replica, snapshot) == []


def test_what_is_not_stored_cannot_rot(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", 8)
    write(disk, 0, "a")
    for url, offset in ((disk.url, PAGE), (disk.url + "x", 0)):
        with pytest.raises(StackError, match="no page is stored"):
            rot(storage.endpoint, url, offset)
