"""Scripted faults fire as told and are counted; requests and their bodies are counted."""

import time

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import BlobServiceClient

from local.components import HOST_CLIENT
from local.errors import StackError
from local.storage.controls import (
    Fault,
    FaultCount,
    add_faults,
    clear_faults,
    read_counters,
    read_faults,
)
from tests.stack.azurite_fixtures import SOURCE, RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    allocated,
    headers_of,
    new_disk,
    reason,
    text,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack


def test_an_error_fires_as_often_as_told(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", 4)
    busy = Fault(
        operation="UploadPages", status=503, error_code="ServerBusy", skip=1, times=2, retry_after=1
    )
    add_faults(storage.endpoint, [busy])
    write(disk, 0, "a")
    for _ in range(2):
        with pytest.raises(HttpResponseError) as refused:
            write(disk, 1, "b")
        assert reason(refused.value) == (503, "ServerBusy")
        assert headers_of(refused.value)["Retry-After"] == "1"
    write(disk, 2, "c")
    assert read_faults(storage.endpoint) == (FaultCount(seen=4, fired=2),)
    assert text(disk) == "a.c."


def test_a_cut_before_does_nothing_and_a_cut_after_has_done_it(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", 4)
    add_faults(
        storage.endpoint,
        [
            Fault(operation="UploadPages", drop="before", times=1),
            Fault(operation="UploadPages", drop="after", times=1),
        ],
    )
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        write(disk, 0, "a")
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        write(disk, 1, "b")
    assert text(disk) == ".b.."
    assert [count.fired for count in clear_faults(storage.endpoint)] == [1, 1]


def test_a_delay_delays(storage: RunningStorage) -> None:
    container = storage.container()
    add_faults(storage.endpoint, [Fault(path=container.container_name, delay_ms=300, times=1)])
    began = time.monotonic()
    container.get_container_properties()
    assert time.monotonic() - began >= 0.3


def test_a_listing_can_lose_ranges(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", 8)
    for page in (0, 2, 4):
        write(disk, page, "x")
    add_faults(storage.endpoint, [Fault(operation="GetPageRanges$", lose_ranges=1, times=1)])
    assert allocated(disk) == [Span(0, 1), Span(2, 3)]
    assert allocated(disk) == [Span(0, 1), Span(2, 3), Span(4, 5)]


def test_tables_take_faults_too(storage: RunningStorage) -> None:
    table = storage.tables().create_table("t" + str(time.time_ns()))
    add_faults(
        storage.endpoint,
        [
            Fault(
                service="table", operation="Insert", status=500, error_code="InternalError", times=1
            )
        ],
    )
    with pytest.raises(HttpResponseError):
        table.create_entity({"PartitionKey": "p", "RowKey": "r"}, retry_total=0)
    table.upsert_entity({"PartitionKey": "p", "RowKey": "r"})
    assert read_faults(storage.endpoint) == (FaultCount(seen=1, fired=1),)


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(operation="("), Fault(error_code="ServerBusy")]
)
def test_a_wrong_rule_is_refused(storage: RunningStorage, fault: Fault) -> None:
    with pytest.raises(StackError, match="400"):
        add_faults(storage.endpoint, [fault])
    assert read_faults(storage.endpoint) == ()


def test_the_hosts_requests_are_told_from_others(
    storage: RunningStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_HTTP_USER_AGENT", HOST_CLIENT)
    storage.container()
    storage.tables().create_table("t" + str(time.time_ns()))
    rows = [row for row in read_counters(storage.endpoint) if row.client == HOST_CLIENT]
    assert {(row.service, row.operation) for row in rows} == {
        ("blob", "Container_Create"),
        ("table", "Table_Create"),
    }


def test_requests_and_bodies_are_counted_by_client(storage: RunningStorage) -> None:
    client = BlobServiceClient.from_connection_string(
        storage.connection_string(SOURCE), user_agent="counted"
    )
    disk = new_disk(client.create_container("counted" + str(time.time_ns())), "disk", 8)
    write(disk, 0, "abc")
    disk.download_blob().readall()
    rows = {
        row.operation: row for row in read_counters(storage.endpoint) if row.client == "counted"
    }
    upload, download = rows["PageBlob_UploadPages"], rows["Blob_Download"]
    assert (upload.requests, upload.request_bytes, upload.account) == (1, 3 * PAGE, SOURCE.name)
    assert (download.requests, download.response_bytes) == (1, 8 * PAGE)
    assert sum(row.errors for row in rows.values()) == 0
