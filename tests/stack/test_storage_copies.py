"""Copies and snapshots stand on their own; incremental copies build on one another."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, generate_container_sas

from tests.stack.azurite_fixtures import SOURCE, VAULT, RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    at,
    changed,
    clear,
    new_disk,
    read_url,
    reason,
    take_snapshot,
    text,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack


@pytest.fixture
def disk(storage: RunningStorage) -> BlobClient:
    disk = new_disk(storage.container(SOURCE), "disk", 8)
    write(disk, 0, "abcd")
    return disk


@pytest.fixture
def target(storage: RunningStorage) -> BlobClient:
    return storage.container(VAULT).get_blob_client("target")


def test_writes_to_a_copy_leave_source_and_snapshot_alone(
    disk: BlobClient, storage: RunningStorage
) -> None:
    snapshot = take_snapshot(disk)
    copy = storage.blobs().get_blob_client(disk.container_name, "copy")
    copy.start_copy_from_url(at(disk, snapshot).url)
    write(copy, 0, "XX")
    clear(copy, 3)
    write(disk, 7, "Y")
    assert text(copy) == "XXc....."
    assert text(at(disk, snapshot)) == "abcd...."
    assert text(disk) == "abcd...Y"


def test_writes_to_a_restored_disk_leave_its_snapshot_alone(disk: BlobClient) -> None:
    snapshot = take_snapshot(disk)
    disk.start_copy_from_url(at(disk, snapshot).url)
    write(disk, 0, "ZZZZ")
    assert text(at(disk, snapshot)) == "abcd...."


def test_a_copy_across_accounts_needs_a_sas_and_keeps_none(
    disk: BlobClient, target: BlobClient
) -> None:
    url = read_url(disk)
    target.start_copy_from_url(url)
    assert text(target) == "abcd...."
    copy = target.get_blob_properties().copy
    assert (copy.status, copy.source) == ("success", disk.url)
    with pytest.raises(HttpResponseError) as refused:
        target.start_copy_from_url(disk.url)
    assert reason(refused.value)[1] == "CannotVerifyCopySource"


def test_a_huge_copy_across_accounts_is_quick(storage: RunningStorage, target: BlobClient) -> None:
    large = new_disk(storage.container(SOURCE), "large", 2**40 // PAGE)
    write(large, 1000, "x")
    target.start_copy_from_url(read_url(large))
    assert target.get_blob_properties().size == 2**40


def test_snapshots_in_one_millisecond_have_names_of_their_own(disk: BlobClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take_snapshot(disk), range(64)))
    assert len(set(taken)) == 64
    assert all(text(at(disk, snapshot)) == "abcd...." for snapshot in set(taken[:3]))


@pytest.mark.parametrize("permission", ["c", "w"])
def test_a_sas_with_create_or_write_may_take_snapshots(disk: BlobClient, permission: str) -> None:
    by_blob = BlobClient.from_blob_url(read_url(disk, permission=permission), retry_total=0)
    sas = generate_container_sas(
        SOURCE.name,
        disk.container_name,
        account_key=SOURCE.key,
        permission=permission,
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    by_container = BlobClient.from_blob_url(f"{disk.url}?{sas}", retry_total=0)
    for client in (by_blob, by_container):
        assert text(at(disk, take_snapshot(client))) == "abcd...."


def test_a_sas_with_read_may_not_take_snapshots(disk: BlobClient) -> None:
    reader = BlobClient.from_blob_url(read_url(disk), retry_total=0)
    with pytest.raises(HttpResponseError) as refused:
        reader.create_snapshot()
    assert refused.value.status_code == 403


def incremental(target: BlobClient, disk: BlobClient, snapshot: str) -> str:
    """Copies the snapshot; answers the destination's new snapshot."""
    answer = target.start_copy_from_url(read_url(disk, snapshot), incremental_copy=True)
    assert answer["copy_status"] == "success"
    copy = target.get_blob_properties().copy
    assert copy.incremental_copy
    return str(copy.destination_snapshot)


def test_incremental_copies_mirror_the_snapshots_and_their_diffs(
    disk: BlobClient, target: BlobClient
) -> None:
    first = take_snapshot(disk)
    copied_first = incremental(target, disk, first)
    write(disk, 1, "B")
    clear(disk, 3)
    disk.resize_blob(16 * PAGE)
    write(disk, 12, "m")
    second = take_snapshot(disk)
    copied_second = incremental(target, disk, second)

    assert text(at(target, copied_first)) == "abcd...."
    assert text(at(target, copied_second)) == "aBc.........m..."
    expected = [Span(1, 2), Span(3, 4, cleared=True), Span(12, 13)]
    assert changed(at(target, copied_second), copied_first) == expected
    assert changed(at(disk, second), first) == expected


def refusal(target: BlobClient, url: str) -> tuple[int | None, object]:
    with pytest.raises(HttpResponseError) as refused:
        target.start_copy_from_url(url, incremental_copy=True)
    return reason(refused.value)


def test_an_incremental_copy_starts_from_a_snapshot(disk: BlobClient, target: BlobClient) -> None:
    assert refusal(target, read_url(disk)) == (409, "IncrementalCopySourceMustBeSnapshot")
    snapshot = take_snapshot(disk)
    unsigned = at(disk, snapshot).url
    assert refusal(target, unsigned)[1] == "CannotVerifyCopySource"


def test_an_incremental_copy_never_goes_back(disk: BlobClient, target: BlobClient) -> None:
    first, second = take_snapshot(disk), take_snapshot(disk)
    incremental(target, disk, second)
    assert refusal(target, read_url(disk, first)) == (
        409,
        "IncrementalCopyOfEarlierSnapshotNotAllowed",
    )


def test_an_incremental_copy_keeps_to_its_source(
    disk: BlobClient, target: BlobClient, storage: RunningStorage
) -> None:
    mismatch = (409, "IncrementalCopyBlobMismatch")
    incremental(target, disk, take_snapshot(disk))
    other = new_disk(storage.container(SOURCE), "other", 8)
    assert refusal(target, read_url(other, take_snapshot(other))) == mismatch
    plain = new_disk(storage.container(VAULT), "plain", 8)
    assert refusal(plain, read_url(disk, take_snapshot(disk))) == mismatch


def test_an_incremental_copy_is_not_written_to(disk: BlobClient, target: BlobClient) -> None:
    incremental(target, disk, take_snapshot(disk))
    attempts: list[Callable[[], object]] = [
        lambda: write(target, 0, "x"),
        lambda: clear(target, 0),
        lambda: target.resize_blob(16 * PAGE),
        lambda: target.upload_pages_from_url(read_url(disk), 0, PAGE, 0),
    ]
    for attempt in attempts:
        with pytest.raises(HttpResponseError) as refused:
            attempt()
        assert reason(refused.value)[1] == "OperationNotAllowedOnIncrementalCopyBlob"


def test_page_writes_stay_inside_the_disk(disk: BlobClient) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: write(disk, 7, "xx"),
        lambda: clear(disk, 7, 2),
    ]
    for attempt in attempts:
        with pytest.raises(HttpResponseError) as refused:
            attempt()
        assert reason(refused.value) == (416, "InvalidPageRange")
    with pytest.raises(HttpResponseError) as refused:
        disk.upload_page(bytes(4 * 2**20 + PAGE), 0, 4 * 2**20 + PAGE)
    assert refused.value.status_code == 413
