"""Snapshots of managed disks on the fake ARM: chains, diffs, limits, copies to other regions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.compute.models import AccessUri, Snapshot
from azure.storage.blob import BlobClient

from local.arm.compute.kinds import Terms
from local.arm.controls import open_disk
from tests.stack.arm_fixtures import (
    AT_ONCE,
    GROUP,
    REGION,
    Arm,
    running_arm,
    settings_for,
)
from tests.stack.azurite_fixtures import VAULT, RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack

READ = {"access": "Read", "durationInSeconds": 3600}
OTHER_REGION = "northeurope"


@pytest.fixture
async def compute(arm: Arm) -> AsyncIterator[ComputeManagementClient]:
    async with arm.compute() as client:
        yield client


async def make_disk(compute: ComputeManagementClient, name: str, sku: str = "Premium_LRS") -> None:
    properties = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}
    body = {"location": REGION, "sku": {"name": sku}, "properties": properties}
    await (await compute.disks.begin_create_or_update(GROUP, name, body)).result()


async def write(arm: Arm, disk: str, offset: int, content: bytes) -> None:
    """As a guest does: past every SAS."""
    inside = await asyncio.to_thread(open_disk, arm.origin, arm.id_of("disks", disk))
    with BlobClient.from_blob_url(inside.url, retry_total=0) as blob:
        if content:
            blob.upload_page(content, offset, len(content))
        else:
            blob.clear_page(offset, 512)


async def take(
    compute: ComputeManagementClient,
    name: str,
    source: str,
    *,
    option: str = "Copy",
    region: str = REGION,
) -> Snapshot:
    creation = {"createOption": option, "sourceResourceId": source}
    body = {"location": region, "properties": {"creationData": creation, "incremental": True}}
    return await (await compute.snapshots.begin_create_or_update(GROUP, name, body)).result()


async def grant(compute: ComputeManagementClient, name: str) -> str:
    access: AccessUri = await (
        await compute.snapshots.begin_grant_access(GROUP, name, READ)
    ).result()
    assert access.access_sas is not None
    return access.access_sas


async def test_a_chain_is_known_by_its_source_and_its_family(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    disk = await compute.disks.get(GROUP, "d1")
    first = await take(compute, "s1", disk.id)
    second = await take(compute, "s2", disk.id)
    assert first.creation_data.source_resource_id == disk.id
    assert first.creation_data.source_unique_id == disk.unique_id
    assert first.incremental_snapshot_family_id == second.incremental_snapshot_family_id
    assert first.unique_id != second.unique_id
    assert (first.sku.name, first.completion_percent) == ("Standard_LRS", None)


async def test_the_diff_of_two_snapshots_is_what_was_written_and_cleared(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    await write(arm, "d1", 0, b"a" * 1024)
    await write(arm, "d1", 8192, b"b" * 512)
    await take(compute, "s1", arm.id_of("disks", "d1"))
    await write(arm, "d1", 4096, b"c" * 512)
    await write(arm, "d1", 8192, b"")
    await take(compute, "s2", arm.id_of("disks", "d1"))
    await write(arm, "d1", 0, b"later" + b"x" * 507)
    earlier, later = await grant(compute, "s1"), await grant(compute, "s2")
    with BlobClient.from_blob_url(later, retry_total=0) as blob:
        changed, cleared = blob.get_page_range_diff_for_managed_disk(earlier)
        assert changed == [{"start": 4096, "end": 4607}]
        assert cleared == [{"start": 8192, "end": 8703}]
        assert blob.download_blob(0, 1024).readall() == b"a" * 1024


async def test_the_storage_copies_from_a_snapshot_until_its_grant_is_taken_back(
    arm: Arm, compute: ComputeManagementClient, storage: RunningStorage
) -> None:
    await make_disk(compute, "d1")
    await write(arm, "d1", 512, b"d" * 512)
    await take(compute, "s1", arm.id_of("disks", "d1"))
    source = await grant(compute, "s1")
    replica = storage.container(VAULT).get_blob_client("replica")
    replica.create_page_blob(4096)
    replica.upload_pages_from_url(source, 1024, 512, 512)
    assert replica.download_blob(1024, 512).readall() == b"d" * 512
    await (await compute.snapshots.begin_revoke_access(GROUP, "s1")).result()
    with pytest.raises(HttpResponseError) as refused:
        replica.upload_pages_from_url(source, 0, 512, 512)
    assert refused.value.error_code == "CannotVerifyCopySource"
    assert refused.value.response.headers["x-ms-copy-source-status-code"] == "403"


async def test_a_diff_is_asked_for_in_windows(arm: Arm, compute: ComputeManagementClient) -> None:
    await make_disk(compute, "d1")
    await take(compute, "s1", arm.id_of("disks", "d1"))
    for offset in (0, 1024**2, 2 * 1024**2):
        await write(arm, "d1", offset, b"w" * 512)
    await take(compute, "s2", arm.id_of("disks", "d1"))
    earlier, later = await grant(compute, "s1"), await grant(compute, "s2")
    with BlobClient.from_blob_url(later, retry_total=0) as blob:
        changed, cleared = blob.get_page_range_diff_for_managed_disk(earlier, 1024**2, 1024**2)
    assert (changed, cleared) == ([{"start": 1024**2, "end": 1024**2 + 511}], [])


async def test_a_repeated_request_takes_no_new_snapshot(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    first = await take(compute, "s1", arm.id_of("disks", "d1"))
    await write(arm, "d1", 0, b"x" * 512)
    again = await take(compute, "s1", arm.id_of("disks", "d1"))
    assert again.unique_id == first.unique_id
    with BlobClient.from_blob_url(await grant(compute, "s1"), retry_total=0) as blob:
        assert blob.download_blob(0, 512).readall() == bytes(512)


async def test_the_eighth_snapshot_in_five_minutes_has_to_wait(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    await make_disk(compute, "d2")
    for number in range(7):
        await take(compute, f"s{number}", arm.id_of("disks", "d1"))
    await (await compute.snapshots.begin_delete(GROUP, "s0")).result()
    with pytest.raises(HttpResponseError) as refused:
        await take(compute, "s7", arm.id_of("disks", "d1"))
    assert refused.value.status_code == 429
    assert 290 < int(refused.value.response.headers["Retry-After"]) <= 300
    await take(compute, "t0", arm.id_of("disks", "d2"))


async def test_the_window_moves_on_with_the_clock(storage: RunningStorage) -> None:
    async with running_arm(settings_for(storage, factor=600)) as arm, arm.compute() as compute:
        await make_disk(compute, "d1")
        for number in range(7):
            await take(compute, f"s{number}", arm.id_of("disks", "d1"))
        await asyncio.sleep(0.6)
        await take(compute, "s7", arm.id_of("disks", "d1"))


async def test_a_disk_has_so_many_snapshots_and_no_more(storage: RunningStorage) -> None:
    terms = Terms(pace=AT_ONCE, snapshots_per_disk=2)
    async with running_arm(settings_for(storage, terms=terms)) as arm, arm.compute() as compute:
        await make_disk(compute, "d1")
        for number in range(2):
            await take(compute, f"s{number}", arm.id_of("disks", "d1"))
        with pytest.raises(HttpResponseError, match="limit of 2") as refused:
            await take(compute, "s2", arm.id_of("disks", "d1"))
        assert refused.value.status_code == 409
        await (await compute.snapshots.begin_delete(GROUP, "s0")).result()
        await take(compute, "s2", arm.id_of("disks", "d1"))


async def test_five_of_a_family_can_be_read_at_a_time(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    for number in range(6):
        await take(compute, f"s{number}", arm.id_of("disks", "d1"))
    for number in range(5):
        await grant(compute, f"s{number}")
    with pytest.raises(HttpResponseError) as refused:
        await grant(compute, "s5")
    assert refused.value.status_code == 409
    await (await compute.snapshots.begin_revoke_access(GROUP, "s0")).result()
    await grant(compute, "s5")


async def test_a_grant_ends_by_itself(arm: Arm, compute: ComputeManagementClient) -> None:
    await make_disk(compute, "d1")
    await take(compute, "s1", arm.id_of("disks", "d1"))
    short = {"access": "Read", "durationInSeconds": 2}
    access = await (await compute.snapshots.begin_grant_access(GROUP, "s1", short)).result()
    assert (await compute.snapshots.get(GROUP, "s1")).disk_state == "ActiveSAS"
    await asyncio.sleep(2.6)
    assert (await compute.snapshots.get(GROUP, "s1")).disk_state == "Unattached"
    with (
        BlobClient.from_blob_url(access.access_sas, retry_total=0) as blob,
        pytest.raises(HttpResponseError) as refused,
    ):
        blob.get_blob_properties()
    assert refused.value.status_code == 403


async def test_a_copy_to_another_region_is_done_when_its_percentage_says_so(
    storage: RunningStorage,
) -> None:
    terms = Terms(pace=replace(AT_ONCE, region_copy=60))
    settings = settings_for(storage, terms=terms, factor=30)
    async with running_arm(settings) as arm, arm.compute() as compute:
        await make_disk(compute, "d1")
        await take(compute, "s1", arm.id_of("disks", "d1"))
        await take(compute, "s2", arm.id_of("disks", "d1"))
        copy = await take(
            compute, "c1", arm.id_of("snapshots", "s1"), option="CopyStart", region=OTHER_REGION
        )
        assert (copy.provisioning_state, copy.location) == ("Succeeded", OTHER_REGION)
        assert copy.completion_percent is not None
        assert copy.completion_percent < 100
        with pytest.raises(HttpResponseError, match="completionPercent"):
            await compute.snapshots.begin_grant_access(GROUP, "c1", READ)
        with pytest.raises(HttpResponseError, match="other copies"):
            await take(
                compute, "c2", arm.id_of("snapshots", "s2"), option="CopyStart", region=OTHER_REGION
            )
        await asyncio.sleep(2.2)
        assert (await compute.snapshots.get(GROUP, "c1")).completion_percent == 100
        await grant(compute, "c1")


async def test_another_regions_disk_is_not_found(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    with pytest.raises(HttpResponseError) as refused:
        await take(compute, "s1", arm.id_of("disks", "d1"), region=OTHER_REGION)
    assert (refused.value.status_code, refused.value.error.code) == (404, "NotFound")
    assert refused.value.error.message == "Resource d1 is not found."


async def test_an_incremental_snapshot_stays_in_its_disks_subscription(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    elsewhere = "/subscriptions/99999999-0000-0000-0000-000000000000/resourceGroups/rg"
    await arm.call("PUT", elsewhere, {"location": REGION}, version="2021-04-01")
    creation = {"createOption": "Copy", "sourceResourceId": arm.id_of("disks", "d1")}
    body = {"location": REGION, "properties": {"creationData": creation, "incremental": True}}
    path = f"{elsewhere}/providers/Microsoft.Compute/snapshots/s1"
    status, answer, _ = await arm.call("PUT", path, body)
    assert (status, answer["error"]["code"]) == (409, "OperationNotAllowed")


async def test_a_premium_v2_snapshot_fills_in_the_background(storage: RunningStorage) -> None:
    terms = Terms(pace=replace(AT_ONCE, hydration=60))
    settings = settings_for(storage, terms=terms, factor=30)
    async with running_arm(settings) as arm, arm.compute() as compute:
        await make_disk(compute, "d1", sku="PremiumV2_LRS")
        await take(compute, "s1", arm.id_of("disks", "d1"))
        with pytest.raises(HttpResponseError, match="completionPercent"):
            await compute.snapshots.begin_grant_access(GROUP, "s1", READ)
        await asyncio.sleep(2.2)
        assert (await compute.snapshots.get(GROUP, "s1")).completion_percent == 100
        await grant(compute, "s1")


async def test_a_disk_made_anew_under_its_name_is_another(
    arm: Arm, compute: ComputeManagementClient
) -> None:
    await make_disk(compute, "d1")
    before = await take(compute, "s1", arm.id_of("disks", "d1"))
    await (await compute.disks.begin_delete(GROUP, "d1")).result()
    await make_disk(compute, "d1")
    after = await take(compute, "s2", arm.id_of("disks", "d1"))
    assert before.creation_data.source_resource_id == after.creation_data.source_resource_id
    assert before.creation_data.source_unique_id != after.creation_data.source_unique_id
    assert before.incremental_snapshot_family_id != after.incremental_snapshot_family_id
