"""Answers that fail at a rate, break off in their midst, or come with a wrong bit."""

import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobClient

from local.errors import StackError
from local.storage.azurite import VAULT
from local.storage.controls import Fault, FaultCount, add_faults, clear_faults, read_faults
from tests.stack.azurite_fixtures import RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    allocated,
    headers_of,
    new_disk,
    read_url,
    reason,
    take_snapshot,
    text,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack

WRITES = 40


def outcomes(disk: BlobClient) -> str:
    """`.` for each write that was taken, `x` for each that was refused as busy, without
    a word on when to come again."""
    told = ""
    for page in range(WRITES):
        try:
            write(disk, page, "w")
        except HttpResponseError as error:
            refusal = (*reason(error), headers_of(error).get("Retry-After"))
            told += "x" if refusal == (503, "ServerBusy", None) else "?"
        else:
            told += "."
    return told


def test_a_rate_of_refusals_repeats_with_its_seed(storage: RunningStorage) -> None:
    disk = new_disk(storage.container(), "disk", WRITES)
    told = []
    for seed in (7, 7, 8):
        busy = Fault(
            operation="UploadPages",
            status=503,
            error_code="ServerBusy",
            probability=0.3,
            seed=seed,
        )
        add_faults(storage.endpoint, [busy])
        told.append(outcomes(disk))
        (count,) = clear_faults(storage.endpoint)
        assert count == FaultCount(seen=WRITES, fired=told[-1].count("x"))
    assert told[0] == told[1] != told[2]
    assert 0.15 * WRITES < told[0].count("x") < 0.45 * WRITES


@pytest.mark.parametrize("sent", [0, 700])
def test_a_download_breaks_off(storage: RunningStorage, sent: int) -> None:
    """The SDK reads a broken body again by itself."""
    disk = new_disk(storage.container(), "disk", 8)
    write(disk, 0, "abcdefgh")
    cut = Fault(operation="^Blob_Download$", cut_after_bytes=sent, times=1)
    add_faults(storage.endpoint, [cut])
    assert text(disk) == "abcdefgh"
    assert clear_faults(storage.endpoint) == (FaultCount(seen=2, fired=1),)


@pytest.mark.parametrize("end", [{"cut_after_bytes": 60}, {"shorten_to": 60}])
def test_a_listing_breaks_off(storage: RunningStorage, end: dict[str, int]) -> None:
    disk = new_disk(storage.container(), "disk", 8)
    write(disk, 0, "abcdefgh")
    cut = Fault(operation="^PageBlob_GetPageRanges$", times=1, **end)  # type: ignore[arg-type]
    add_faults(storage.endpoint, [cut])
    with pytest.raises(AzureError):
        allocated(disk)
    assert read_faults(storage.endpoint) == (FaultCount(seen=1, fired=1),)
    assert len(allocated(disk)) == 1


def test_a_bit_of_what_is_read_flips_and_of_what_is_stored_does_not(
    storage: RunningStorage,
) -> None:
    disk = new_disk(storage.container(), "disk", 4)
    write(disk, 0, "abcd")
    add_faults(storage.endpoint, [Fault(operation="Download", flip_byte=2 * PAGE + 5, times=1)])
    assert text(disk) == "ab?d"
    assert text(disk) == "abcd"


@pytest.mark.parametrize(
    ("status", "inner"), [(404, "BlobNotFound"), (403, "AuthorizationFailure"), (503, "ServerBusy")]
)
def test_a_source_refuses_a_copy(storage: RunningStorage, status: int, inner: str) -> None:
    source = new_disk(storage.container(), "source", 4)
    write(source, 0, "abcd")
    url = read_url(source, take_snapshot(source))
    target = new_disk(storage.container(VAULT), "target", 4)
    other = Fault(operation="FromURL", source="/other$", status=500, error_code="InternalError")
    refused = Fault(
        operation="FromURL", source="/source[?]", at_source=True, status=status, error_code=inner
    )
    add_faults(storage.endpoint, [other, refused])
    with pytest.raises(HttpResponseError) as refusal:
        target.upload_pages_from_url(url, 0, 4 * PAGE, 0)
    assert reason(refusal.value) == (status, "CannotVerifyCopySource")
    headers = headers_of(refusal.value)
    assert headers["x-ms-copy-source-status-code"] == str(status)
    assert headers["x-ms-copy-source-error-code"] == inner
    assert [count.fired for count in clear_faults(storage.endpoint)] == [0, 1]
    target.upload_pages_from_url(url, 0, 4 * PAGE, 0)
    assert text(target) == "abcd"


@pytest.mark.parametrize(
    "fault", [Fault(rows=1), Fault(marker="lost"), Fault(lose_within=(512, 512))]
)
def test_a_wrong_rule_is_refused(storage: RunningStorage, fault: Fault) -> None:
    with pytest.raises(StackError, match="400"):
        add_faults(storage.endpoint, [fault])
    assert read_faults(storage.endpoint) == ()
