"""SAS that end before their time: refused as the service refuses an expired one, for good."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, generate_blob_sas

from local.storage.azurite import VAULT
from local.storage.controls import Fault, FaultCount, add_faults, clear_faults, read_faults
from tests.stack.azurite_fixtures import RunningStorage
from tests.stack.storage_disks import (
    KEYS,
    PAGE,
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

COPY = "^PageBlob_UploadPagesFromURL$"


def signed(disk: BlobClient, started_at: datetime) -> str:
    """A URL with leave to read from then on for a day."""
    sas = generate_blob_sas(
        disk.account_name or "",
        disk.container_name,
        disk.blob_name,
        account_key=KEYS[disk.account_name],
        permission="r",
        start=started_at,
        expiry=started_at + timedelta(days=1),
    )
    return f"{disk.url}?{sas}"


def source_and_target(storage: RunningStorage) -> tuple[BlobClient, BlobClient]:
    source = new_disk(storage.container(), "source", 8)
    write(source, 0, "abcdefgh")
    return source, new_disk(storage.container(VAULT), "target", 8)


def copy(target: BlobClient, url: str, page: int) -> None:
    target.upload_pages_from_url(url, page * PAGE, PAGE, page * PAGE)


def refused_copy(target: BlobClient, url: str, page: int) -> None:
    """A copy fails as where its source's SAS has expired."""
    with pytest.raises(HttpResponseError) as refusal:
        copy(target, url, page)
    assert reason(refusal.value) == (403, "CannotVerifyCopySource")
    headers = headers_of(refusal.value)
    assert headers["x-ms-copy-source-status-code"] == "403"
    assert headers["x-ms-copy-source-error-code"] == "AuthenticationFailed"


def test_a_sas_ends_among_copies_as_one_that_has_expired(storage: RunningStorage) -> None:
    source, target = source_and_target(storage)
    snapshot = take_snapshot(source)
    url, another = read_url(source, snapshot), read_url(source, snapshot, hours=2)
    refused_copy(target, read_url(source, snapshot, hours=-1), 0)
    add_faults(storage.endpoint, [Fault(operation=COPY, end_sas=True, skip=2, times=1)])
    copy(target, url, 0)
    copy(target, url, 1)
    refused_copy(target, url, 2)
    refused_copy(target, url, 3)
    copy(target, another, 4)
    assert text(target) == "ab..e..."
    # The rule sees requests with a SAS that is still good: three of the first, one of the other.
    assert read_faults(storage.endpoint) == (FaultCount(seen=4, fired=1),)


def test_a_sas_ends_for_reads_and_is_good_again_without_faults(storage: RunningStorage) -> None:
    source, _ = source_and_target(storage)
    reader = BlobClient.from_blob_url(read_url(source), retry_total=0)
    assert text(reader) == "abcdefgh"
    add_faults(storage.endpoint, [Fault(operation="Download", end_sas=True, times=1)])
    for _ in range(2):
        with pytest.raises(HttpResponseError) as refusal:
            text(reader)
        assert reason(refusal.value) == (403, "AuthenticationFailed")
    assert text(source) == "abcdefgh"
    assert clear_faults(storage.endpoint) == (FaultCount(seen=1, fired=1),)
    assert text(reader) == "abcdefgh"


def test_a_sas_is_revoked_by_its_signature(storage: RunningStorage) -> None:
    source, target = source_and_target(storage)
    url, another = read_url(source), read_url(source, hours=2)
    (signature,) = parse_qs(urlsplit(url).query)["sig"]
    escaped = "".join(f"[{letter}]" for letter in signature)
    add_faults(storage.endpoint, [Fault(signature=f"^{escaped}$", end_sas=True)])
    copy(target, another, 0)
    refused_copy(target, url, 1)
    assert text(target) == "a......."


def test_what_was_signed_before_a_moment_is_revoked(storage: RunningStorage) -> None:
    """As when the key that it was signed with is taken back."""
    source, target = source_and_target(storage)
    now = datetime.now(UTC)
    old, new = signed(source, now - timedelta(hours=2)), signed(source, now - timedelta(minutes=5))
    revoked = Fault(signed_before=now - timedelta(hours=1), end_sas=True)
    add_faults(storage.endpoint, [revoked])
    refused_copy(target, old, 0)
    copy(target, new, 1)
    assert text(target) == ".b......"
    assert read_faults(storage.endpoint) == (FaultCount(seen=1, fired=1),)
