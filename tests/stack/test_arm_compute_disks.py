"""Managed disks on the fake ARM, through the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient as SyncComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.storage.blob import BlobClient, BlobSasPermissions, generate_blob_sas

from local.arm.compute.footer import footer, is_footer
from local.arm.controls import open_disk
from tests.stack.arm_fixtures import (
    GROUP,
    REGION,
    SUBSCRIPTION,
    Arm,
    running_arm,
    sdk_options,
    settings_for,
)
from tests.stack.azurite_fixtures import SOURCE, VAULT, RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack

GIB = 1024**3
MIB = 1024**2
READ = {"access": "Read", "durationInSeconds": 3600}
WRITE = {"access": "Write", "durationInSeconds": 3600}
UPLOAD_BYTES = 20 * MIB
FOOTER = footer(UPLOAD_BYTES, UUID(int=1))


@pytest.fixture
async def compute(arm: Arm) -> AsyncIterator[ComputeManagementClient]:
    async with arm.compute() as client:
        yield client


def empty(size_gib: int = 1, sku: str = "Premium_LRS") -> dict[str, object]:
    return {
        "location": REGION,
        "sku": {"name": sku},
        "tags": {"team": "a"},
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": size_gib},
    }


async def test_an_empty_disk_has_what_azure_adds(compute: ComputeManagementClient) -> None:
    disk = await (await compute.disks.begin_create_or_update(GROUP, "d1", empty(10))).result()
    assert (disk.disk_state, disk.disk_size_bytes, disk.tier) == ("Unattached", 10 * GIB, "P3")
    assert (disk.disk_iops_read_write, disk.disk_m_bps_read_write) == (120, 25)
    assert disk.unique_id
    assert disk.sku.tier == "Premium"
    assert (await compute.disks.get(GROUP, "D1")).unique_id == disk.unique_id


async def test_what_is_not_there_is_404_in_azures_words(compute: ComputeManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as refused:
        await compute.disks.get(GROUP, "none")
    assert refused.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceNotFoundError) as refused:
        await compute.disks.get("no-group", "none")
    assert refused.value.error.code == "ResourceGroupNotFound"


async def test_lists_come_in_pages(arm: Arm, compute: ComputeManagementClient) -> None:
    await arm.make_group("rg-other")
    for number in range(3):
        await compute.disks.begin_create_or_update(GROUP, f"d{number}", empty())
    await compute.disks.begin_create_or_update("rg-other", "elsewhere", empty())
    here = [each.name async for each in compute.disks.list_by_resource_group(GROUP)]
    everywhere = [each.name async for each in compute.disks.list()]
    assert here == ["d0", "d1", "d2"]
    assert everywhere == [*here, "elsewhere"]


async def test_more_disks_than_a_page_holds(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.arm.paging.PAGE", 2)
    async with arm.compute() as compute:
        for number in range(5):
            await compute.disks.begin_create_or_update(GROUP, f"d{number}", empty())
        names = [each.name async for each in compute.disks.list()]
    assert names == [f"d{number}" for number in range(5)]


async def test_a_disk_grows_and_never_shrinks(compute: ComputeManagementClient) -> None:
    await compute.disks.begin_create_or_update(GROUP, "d1", empty(1))
    larger = {"properties": {"diskSizeGB": 2}, "sku": {"name": "Standard_LRS"}}
    disk = await (await compute.disks.begin_update(GROUP, "d1", larger)).result()
    assert (disk.disk_size_bytes, disk.sku.name, disk.tier) == (2 * GIB, "Standard_LRS", None)
    with pytest.raises(HttpResponseError, match="smaller size"):
        await compute.disks.begin_update(GROUP, "d1", {"properties": {"diskSizeGB": 1}})


async def test_a_disk_stays_what_it_was_made_from(compute: ComputeManagementClient) -> None:
    await compute.disks.begin_create_or_update(GROUP, "d1", empty())
    body = empty()
    for option, code in (("Copy", "PropertyChangeNotAllowed"), ("Empty", "BadRequest")):
        body["properties"] = {"creationData": {"createOption": option, "sourceUri": "/x/y"}}
        with pytest.raises(HttpResponseError) as refused:
            await compute.disks.begin_create_or_update(GROUP, "d1", body)
        assert refused.value.error.code == code


async def upload(compute: ComputeManagementClient, name: str, content: bytes) -> None:
    """The whole story of an upload: create, write access, pages, revoke."""
    body = {
        "location": REGION,
        "properties": {
            "creationData": {"createOption": "Upload", "uploadSizeBytes": UPLOAD_BYTES + 512}
        },
    }
    disk = await (await compute.disks.begin_create_or_update(GROUP, name, body)).result()
    assert (disk.disk_state, disk.disk_size_bytes) == ("ReadyToUpload", None)
    access = await (await compute.disks.begin_grant_access(GROUP, name, WRITE)).result()
    assert (await compute.disks.get(GROUP, name)).disk_state == "ActiveUpload"
    with BlobClient.from_blob_url(access.access_sas, retry_total=0) as blob:
        blob.upload_page(content, 0, len(content))
        blob.upload_page(FOOTER, UPLOAD_BYTES, 512)


async def test_an_upload_becomes_a_disk_that_reads_as_written(
    compute: ComputeManagementClient,
) -> None:
    content = bytes(range(256)) * 16
    await upload(compute, "up", content)
    await (await compute.disks.begin_revoke_access(GROUP, "up")).result()
    disk = await compute.disks.get(GROUP, "up")
    assert (disk.disk_state, disk.disk_size_bytes) == ("Unattached", UPLOAD_BYTES)
    access = await (await compute.disks.begin_grant_access(GROUP, "up", READ)).result()
    assert (await compute.disks.get(GROUP, "up")).disk_state == "ActiveSAS"
    with BlobClient.from_blob_url(access.access_sas, retry_total=0) as blob:
        whole = blob.download_blob().readall()
    assert whole[: len(content)] == content
    assert len(whole) == UPLOAD_BYTES + 512
    assert is_footer(whole[UPLOAD_BYTES:])


async def test_an_upload_can_be_copied_by_the_storage(
    compute: ComputeManagementClient, storage: RunningStorage
) -> None:
    replica = storage.container(VAULT).get_blob_client("replica")
    replica.create_page_blob(4096)
    replica.upload_page(b"r" * 512, 512, 512)
    source = f"{replica.url}?{read_sas(replica)}"
    await upload(compute, "up", b"x" * 512)
    access = await (await compute.disks.begin_grant_access(GROUP, "up", WRITE)).result()
    with BlobClient.from_blob_url(access.access_sas, retry_total=0) as disk:
        disk.upload_pages_from_url(source, 4096, 512, 512)
        assert disk.download_blob(4096, 512).readall() == b"r" * 512


def read_sas(blob: BlobClient) -> str:
    return generate_blob_sas(
        VAULT.name,
        blob.container_name,
        blob.blob_name,
        account_key=VAULT.key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )


async def test_an_upload_without_a_footer_is_no_vhd(compute: ComputeManagementClient) -> None:
    await upload(compute, "up", b"x" * 512)
    access = await (await compute.disks.begin_grant_access(GROUP, "up", WRITE)).result()
    with BlobClient.from_blob_url(access.access_sas, retry_total=0) as blob:
        blob.clear_page(UPLOAD_BYTES, 512)
    with pytest.raises(HttpResponseError) as refused:
        await compute.disks.begin_revoke_access(GROUP, "up")
    assert (refused.value.status_code, refused.value.error.code) == (400, "InvalidVhd")


async def test_what_was_revoked_is_refused_by_the_storage(compute: ComputeManagementClient) -> None:
    await compute.disks.begin_create_or_update(GROUP, "d1", empty())
    access = await (await compute.disks.begin_grant_access(GROUP, "d1", READ)).result()
    with BlobClient.from_blob_url(access.access_sas, retry_total=0) as blob:
        assert blob.get_blob_properties().size == GIB + 512
        with pytest.raises(HttpResponseError) as refused:
            blob.upload_page(b"x" * 512, 0, 512)
        assert refused.value.status_code == 403
        with pytest.raises(HttpResponseError, match="active shared access signature"):
            await compute.disks.begin_delete(GROUP, "d1")
        await (await compute.disks.begin_revoke_access(GROUP, "d1")).result()
        with pytest.raises(HttpResponseError) as refused:
            blob.get_blob_properties()
        assert refused.value.status_code == 403
    await (await compute.disks.begin_delete(GROUP, "d1")).result()
    await (await compute.disks.begin_delete(GROUP, "d1")).result()


async def test_a_copy_and_an_import_have_the_sources_bytes(
    arm: Arm, compute: ComputeManagementClient, storage: RunningStorage
) -> None:
    await upload(compute, "up", b"y" * 4096)
    await (await compute.disks.begin_revoke_access(GROUP, "up")).result()
    copy = {"createOption": "Copy", "sourceResourceId": arm.id_of("disks", "up")}
    body = {"location": REGION, "properties": {"creationData": copy, "diskSizeGB": 1}}
    disk = await (await compute.disks.begin_create_or_update(GROUP, "copy", body)).result()
    assert disk.creation_data.source_unique_id == (await compute.disks.get(GROUP, "up")).unique_id
    assert disk.disk_size_bytes == GIB

    container = storage.container(SOURCE)
    vhd = container.get_blob_client("a.vhd")
    vhd.create_page_blob(MIB + 512)
    vhd.upload_page(b"z" * 512, 0, 512)
    vhd.upload_page(footer(MIB, UUID(int=2)), MIB, 512)
    imported = {"createOption": "Import", "sourceUri": vhd.url}
    body = {"location": REGION, "properties": {"creationData": imported}}
    disk = await (await compute.disks.begin_create_or_update(GROUP, "imp", body)).result()
    assert disk.disk_size_bytes == MIB
    for name, first in (("copy", b"y"), ("imp", b"z")):
        inside = await asyncio.to_thread(open_disk, arm.origin, arm.id_of("disks", name))
        with BlobClient.from_blob_url(inside.url) as blob:
            assert blob.download_blob(0, 512).readall() == first * 512


async def test_state_and_bytes_survive_a_restart(storage: RunningStorage, tmp_path: Path) -> None:
    async with running_arm(settings_for(storage, data_dir=tmp_path)) as arm, arm.compute() as first:
        made = await (await first.disks.begin_create_or_update(GROUP, "d1", empty())).result()
    async with running_arm(settings_for(storage, data_dir=tmp_path)) as arm, arm.compute() as again:
        found = await again.disks.get(GROUP, "d1")
        assert found.unique_id == made.unique_id
        access = await (await again.disks.begin_grant_access(GROUP, "d1", READ)).result()
        with BlobClient.from_blob_url(access.access_sas) as blob:
            assert blob.get_blob_properties().size == GIB + 512


async def test_the_synchronous_sdk_speaks_to_it_too(arm: Arm) -> None:
    def story() -> tuple[str, str]:
        options = {**sdk_options(arm.origin), "subscription_id": SUBSCRIPTION}
        with SyncComputeManagementClient(**options) as compute:
            made = compute.disks.begin_create_or_update(GROUP, "d1", empty()).result()
            access = compute.disks.begin_grant_access(GROUP, "d1", READ).result()
            compute.disks.begin_revoke_access(GROUP, "d1").result()
            compute.disks.begin_delete(GROUP, "d1").result()
            return made.name, access.access_sas

    name, sas = await asyncio.to_thread(story)
    assert (name, "si=" in sas) == ("d1", True)
