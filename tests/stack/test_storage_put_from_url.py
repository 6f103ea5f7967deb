"""Put Page From URL: fenced, conditional, byte for byte, and without a byte passing by."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    ContainerSasPermissions,
    generate_container_sas,
)

from local.storage.controls import REFUSE_PUT_PAGE_FROM_URL, add_faults, read_counters
from tests.stack.azurite_fixtures import SOURCE, VAULT, RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    allocated,
    changed,
    clear,
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


@pytest.fixture
def source(storage: RunningStorage) -> BlobClient:
    disk = new_disk(storage.container(SOURCE), "disk", 16)
    write(disk, 0, "abcd")
    write(disk, 8, "ef")
    return disk


@pytest.fixture
def replica(storage: RunningStorage) -> BlobClient:
    return new_disk(storage.container(VAULT), "replica", 16)


def copy(
    replica: BlobClient, url: str, first: int, count: int, source_first: int, **options: Any
) -> dict[str, object]:
    answer = replica.upload_pages_from_url(
        url, first * PAGE, count * PAGE, source_first * PAGE, **options
    )
    return dict(answer)


def refusal(replica: BlobClient, url: str, **options: Any) -> tuple[int | None, object]:
    """Status and error code of a copy of the first page that must be refused."""
    with pytest.raises(HttpResponseError) as refused:
        copy(replica, url, 0, 1, 0, **options)
    return reason(refused.value)


def test_pages_arrive_from_the_snapshot_and_not_from_the_disk(
    source: BlobClient, replica: BlobClient
) -> None:
    url = read_url(source, take_snapshot(source))
    write(source, 0, "zzzz")
    copy(replica, url, 4, 4, 0)
    assert text(replica) == "....abcd........"
    assert allocated(replica) == [Span(4, 8)]


def test_holes_of_the_source_arrive_as_written_zeros(
    source: BlobClient, replica: BlobClient
) -> None:
    write(replica, 0, "x" * 16)
    copy(replica, read_url(source), 0, 16, 0)
    assert text(replica) == text(source)
    assert allocated(replica) == [Span(0, 16)]


def test_the_same_copy_again_counts_as_written(source: BlobClient, replica: BlobClient) -> None:
    url = read_url(source)
    copy(replica, url, 0, 4, 0)
    before = take_snapshot(replica)
    copy(replica, url, 1, 2, 1)
    assert changed(replica, before) == [Span(1, 3)]
    assert text(replica)[:4] == "abcd"


def test_a_copy_of_a_copy_stands_when_its_sources_are_gone(
    source: BlobClient, replica: BlobClient, storage: RunningStorage
) -> None:
    copy(replica, read_url(source), 0, 4, 0)
    second = new_disk(storage.container(VAULT), "second", 8)
    copy(second, read_url(replica), 2, 4, 0)
    source.delete_blob()
    write(replica, 0, "zzzz")
    replica.delete_blob()
    assert text(second) == "..abcd.."


def test_the_answer_carries_a_checksum_and_the_new_state(
    source: BlobClient, replica: BlobClient
) -> None:
    body = os.urandom(3 * PAGE)
    source.upload_page(body, 0, len(body))
    plain = copy(replica, read_url(source), 0, 3, 0)
    assert plain["content_md5"] is None
    assert plain["content_crc64"] == crc64(body)
    assert plain["blob_sequence_number"] == 0
    properties = replica.get_blob_properties()
    assert (plain["etag"], plain["last_modified"]) == (properties.etag, properties.last_modified)

    digest = hashlib.md5(body).digest()
    with_md5 = copy(replica, read_url(source), 0, 3, 0, source_content_md5=bytearray(digest))
    assert with_md5["content_md5"] == digest
    assert refusal(replica, read_url(source), source_content_md5=bytearray(digest)) == (
        400,
        "Md5Mismatch",
    )


def crc64(content: bytes) -> bytearray:
    """The service's CRC-64, bit by bit: slow, and independent of the gap-filler's."""
    value = 2**64 - 1
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
    return bytearray((value ^ (2**64 - 1)).to_bytes(8, "little"))


def test_the_checksum_is_the_catalogued_one() -> None:
    assert crc64(b"123456789").hex() == "8898790a86148bae"


def test_a_destination_sas_allows_the_copy_only_with_write(
    source: BlobClient, replica: BlobClient
) -> None:
    by_blob_sas = BlobClient.from_blob_url(read_url(replica, permission="w"), retry_total=0)
    copy(by_blob_sas, read_url(source), 0, 4, 0)
    sas = generate_container_sas(
        VAULT.name,
        replica.container_name,
        account_key=VAULT.key,
        permission=ContainerSasPermissions(write=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    by_container_sas = BlobClient.from_blob_url(f"{replica.url}?{sas}", retry_total=0)
    copy(by_container_sas, read_url(source), 8, 4, 0)
    assert text(replica) == "abcd....abcd...."
    reader = BlobClient.from_blob_url(read_url(replica), retry_total=0)
    assert refusal(reader, read_url(source)) == (403, "AuthorizationPermissionMismatch")


def test_a_source_that_may_not_be_read_is_named_with_its_own_refusal(
    source: BlobClient, replica: BlobClient
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        copy(replica, read_url(source, permission="w"), 0, 1, 0)
    headers = headers_of(refused.value)
    assert refused.value.status_code == 403
    assert reason(refused.value)[1] == "CannotVerifyCopySource"
    assert headers["x-ms-copy-source-status-code"] == "403"
    assert headers["x-ms-copy-source-error-code"] == "AuthorizationPermissionMismatch"
    assert "sig=" not in str(refused.value)

    gone = read_url(source).replace("/disk?", "/gone?")
    assert refusal(replica, gone)[1] == "CannotVerifyCopySource"
    assert refusal(replica, source.url)[1] == "CannotVerifyCopySource"
    elsewhere = "http://127.0.0.1:1/other/container/blob"
    assert refusal(replica, elsewhere) == (404, "CannotVerifyCopySource")
    assert text(replica) == "." * 16


def test_an_expired_or_forged_sas_fails_authentication(
    source: BlobClient, replica: BlobClient
) -> None:
    for url in (read_url(source, hours=-1), read_url(source).replace("sig=", "sig=A")):
        with pytest.raises(HttpResponseError) as refused:
            copy(replica, url, 0, 1, 0)
        assert reason(refused.value) == (403, "CannotVerifyCopySource")
        headers = headers_of(refused.value)
        assert headers["x-ms-copy-source-error-code"] == "AuthenticationFailed"
        with pytest.raises(ClientAuthenticationError) as unauthenticated:
            BlobClient.from_blob_url(url, retry_total=0).get_blob_properties()
        assert reason(unauthenticated.value) == (403, "AuthenticationFailed")


def test_a_snapshot_sas_reads_that_snapshot_only(source: BlobClient, replica: BlobClient) -> None:
    one, other = take_snapshot(source), take_snapshot(source)
    url = read_url(source, one)
    copy(replica, url, 0, 1, 0)
    assert refusal(replica, url.replace(one, other))[0] == 403


def test_source_conditions_hold(source: BlobClient, replica: BlobClient) -> None:
    etag = source.get_blob_properties().etag
    met = {"source_etag": etag, "source_match_condition": MatchConditions.IfNotModified}
    copy(replica, read_url(source), 0, 1, 0, **met)
    write(source, 0, "z")
    assert refusal(replica, read_url(source), **met) == (412, "SourceConditionNotMet")
    newest = source.get_blob_properties().etag
    unmet = {"source_etag": newest, "source_match_condition": MatchConditions.IfModified}
    assert refusal(replica, read_url(source), **unmet) == (412, "SourceConditionNotMet")


def test_a_lease_fences_the_destination(source: BlobClient, replica: BlobClient) -> None:
    url = read_url(source)
    lease = replica.acquire_lease()
    assert refusal(replica, url) == (412, "LeaseIdMissing")
    stale = "00000000-0000-0000-0000-000000000001"
    assert refusal(replica, url, lease=stale) == (412, "LeaseIdMismatchWithBlobOperation")
    copy(replica, url, 0, 1, 0, lease=lease)


def test_a_sequence_number_fences_the_destination(source: BlobClient, replica: BlobClient) -> None:
    url = read_url(source)
    replica.set_sequence_number("update", "7")
    unmet = (412, "SequenceNumberConditionNotMet")
    assert refusal(replica, url, if_sequence_number_eq=6) == unmet
    assert refusal(replica, url, if_sequence_number_lt=7) == unmet
    assert refusal(replica, url, if_sequence_number_lte=6) == unmet
    assert text(replica) == "." * 16
    met: dict[str, int]
    for met in ({"if_sequence_number_eq": 7}, {"if_sequence_number_lt": 8}):
        assert copy(replica, url, 0, 1, 0, **met)["blob_sequence_number"] == 7
    copy(replica, url, 0, 1, 0, if_sequence_number_lte=7)


def test_an_etag_fences_the_destination(source: BlobClient, replica: BlobClient) -> None:
    etag = replica.get_blob_properties().etag
    condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    copy(replica, read_url(source), 0, 1, 0, **condition)
    assert refusal(replica, read_url(source), **condition) == (412, "ConditionNotMet")


def test_ranges_are_checked(
    source: BlobClient, replica: BlobClient, storage: RunningStorage
) -> None:
    large = new_disk(storage.container(SOURCE), "large", 16384)
    target = new_disk(storage.container(VAULT), "large", 16384)
    write(large, 8191, "x")
    copy(target, read_url(large), 0, 8192, 0)
    assert target.download_blob(offset=8191 * PAGE, length=PAGE).readall() == b"x" * PAGE

    def refused(first: int, count: int, source_first: int) -> tuple[int | None, object]:
        with pytest.raises(HttpResponseError) as error:
            copy(target, read_url(large), first, count, source_first)
        return reason(error.value)

    assert refused(0, 8193, 0) == (413, "RequestBodyTooLarge")
    assert refused(16383, 2, 0) == (416, "InvalidPageRange")
    assert refused(0, 2, 16383) == (416, "CannotVerifyCopySource")


def test_a_block_blob_is_a_source_too(replica: BlobClient, storage: RunningStorage) -> None:
    container = storage.container(SOURCE)
    whole, blocks = container.get_blob_client("whole"), container.get_blob_client("blocks")
    content = b"".join(letter.encode() * PAGE for letter in "abcdefgh")
    whole.upload_blob(content)
    for name, part in (("1", content[:700]), ("2", content[700:3000]), ("3", content[3000:])):
        blocks.stage_block(name, part)
    blocks.commit_block_list([BlobBlock("1"), BlobBlock("2"), BlobBlock("3")])
    copy(replica, read_url(whole), 0, 3, 2)
    copy(replica, read_url(blocks), 8, 8, 0)
    assert text(replica) == "cde.....abcdefgh"


def test_a_destination_that_is_missing_or_no_page_blob_is_refused(
    source: BlobClient, storage: RunningStorage
) -> None:
    container = storage.container(VAULT)
    block = container.get_blob_client("block")
    block.upload_blob(b"")
    assert refusal(block, read_url(source)) == (409, "InvalidBlobType")
    assert refusal(container.get_blob_client("no"), read_url(source)) == (404, "BlobNotFound")


def test_no_byte_passes_through_a_request(
    source: BlobClient, replica: BlobClient, storage: RunningStorage
) -> None:
    def moved() -> tuple[int, int]:
        rows = [
            row
            for row in read_counters(storage.endpoint)
            if row.operation in ("Blob_Download", "PageBlob_UploadPages", "Blob_GetProperties")
        ]
        return sum(row.requests for row in rows), sum(
            row.request_bytes + row.response_bytes for row in rows
        )

    before = moved()
    copy(replica, read_url(source), 0, 16, 0)
    assert moved() == before


def test_the_switch_refuses_it(
    source: BlobClient, replica: BlobClient, storage: RunningStorage
) -> None:
    add_faults(storage.endpoint, [REFUSE_PUT_PAGE_FROM_URL])
    assert refusal(replica, read_url(source)) == (409, "CopySourceCannotBeIncrementalCopyBlob")
    write(replica, 0, "a")


def test_clears_of_the_source_can_be_mirrored(source: BlobClient, replica: BlobClient) -> None:
    copy(replica, read_url(source), 0, 4, 0)
    clear(replica, 1, 2)
    assert text(replica)[:4] == "a..d"
    assert allocated(replica) == [Span(0, 1), Span(3, 4)]
