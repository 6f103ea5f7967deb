"""`Images` over new managed disks: made for an upload, filled through their SAS, completed."""

import asyncio
from dataclasses import replace

import pytest
from azure.storage.blob.aio import BlobClient

from local.arm.controls import add_faults, clear_faults
from local.arm.faults import Fault
from shared.azure.managed import uploads
from shared.azure.managed.disks import ManagedDisks
from shared.azure.managed.grants import Grants
from shared.azure.routing import RoutedDisks
from shared.model.arm_ids import disk_id
from shared.model.deferral import Deferred
from shared.model.disk import LeaseFence, Traits
from shared.model.errors import AlreadyExists, Invalid, StaleEpoch, TargetBusy
from shared.model.ids import JobId, lease_of
from shared.model.ranges import PageRange
from tests.contract.managed.world import GIBIBYTE, REGION, ArmPeople, managed_world, read
from tests.contract.pages import body, flat, put, span, text
from tests.contract.worlds import World
from tests.stack.azurite_fixtures import RunningStorage

pytestmark = pytest.mark.stack
MEBIBYTE = 1024**2
JOB = "os-disk.backup-20261121t020000z"
RESTORE = "os-disk.restore-3f9c0a1b2d"
FENCE = LeaseFence(lease_id=lease_of(JobId(RESTORE)))


def grants_of(world: World) -> Grants:
    assert isinstance(world.ports.disks, RoutedDisks)
    assert isinstance(world.ports.disks.managed, ManagedDisks)
    return world.ports.disks.managed._grants


async def test_a_new_disk_is_filled_and_completed(world: World, people: ArmPeople) -> None:
    source = world.disk()
    put(world, source, 0, "abcd")
    snapshot = await world.ports.disks.take_snapshot(source, JOB)
    disk, images = world.disk(None, "restored"), world.ports.images
    state = await images.create(disk, snapshot.size_bytes, RESTORE)
    assert (state.size_bytes, state.tag) == (GIBIBYTE, RESTORE)
    assert (await images.lease(disk, FENCE.lease_id)).size_bytes == GIBIBYTE
    async with world.ports.disks.grant(snapshot) as grant:
        copied = await images.copy(disk, span(0, 4), grant, FENCE)
    assert copied.digest
    await images.write(disk, span(6, 8), body("xy"), FENCE)
    await images.write(disk, span(9, 10), body("z"), FENCE)
    await images.clear(disk, span(9, 10), FENCE)
    assert await flat(world.ports.disks.allocated(disk)) == [span(0, 4), span(6, 8)]
    finished = await world.ports.disks.take_snapshot(disk, RESTORE)
    await images.release(disk, FENCE.lease_id)
    assert people.show(disk)["properties"]["diskState"] == "Unattached"
    assert people.show(disk)["properties"]["diskSizeBytes"] == GIBIBYTE
    assert await read(world, finished) == "abcd..xy........"
    assert text(people.bytes_of(disk, span(0, 8))) == "abcd..xy"
    with pytest.raises(StaleEpoch):
        await images.write(disk, span(0, 1), body("!"), FENCE)


async def test_a_disk_whose_restore_failed_goes(world: World, people: ArmPeople) -> None:
    disk, images = world.disk(None, "restored"), world.ports.images
    await images.create(disk, 32 * MEBIBYTE, RESTORE)
    await images.write(disk, span(0, 1), body("a"), FENCE)
    await images.release(disk, "another restore's")
    assert "Upload" in people.show(disk)["properties"]["diskState"]
    await images.write(disk, span(1, 2), body("b"), FENCE)
    await images.release(disk, FENCE.lease_id)
    assert people.is_gone(disk)
    await images.release(disk, FENCE.lease_id)
    await images.delete(disk)
    with pytest.raises(StaleEpoch):
        await images.write(disk, span(2, 3), body("c"), FENCE)


async def test_where_it_may_not_be_deleted_it_is_empty(
    world: World, people: ArmPeople, origin: str
) -> None:
    """And leave to write to it is taken back."""
    disk, images = world.disk(None, "restored"), world.ports.images
    await images.create(disk, 32 * MEBIBYTE, RESTORE)
    await images.write(disk, span(0, 1), body("a"), FENCE)
    refusal = Fault(operation="Disks_Delete", status=403, error_code="AuthorizationFailed")
    add_faults(origin, [refusal])
    await images.release(disk, FENCE.lease_id)
    assert [count.fired for count in clear_faults(origin)] == [1]
    assert people.show(disk)["properties"]["diskState"] == "Unattached"
    assert people.bytes_of(disk, PageRange(0, 32 * MEBIBYTE)) == bytes(32 * MEBIBYTE)


async def test_a_restored_disk_is_like_the_one_it_was_taken_of(
    world: World, people: ArmPeople
) -> None:
    """In its zone, where it comes to lie in its region."""
    disk, images = world.disk(None, "like"), world.ports.images
    traits = Traits(sku="Premium_LRS", region=REGION, zone="3", os_type="Linux", generation="V2")
    await images.create(disk, 32 * MEBIBYTE, RESTORE, traits)
    made = people.show(disk)
    assert (made["sku"]["name"], made["zones"]) == ("Premium_LRS", ["3"])
    properties = made["properties"]
    assert (properties["osType"], properties["hyperVGeneration"]) == ("Linux", "V2")
    abroad = world.disk(None, "abroad")
    fast = replace(traits, sku="PremiumV2_LRS")
    await images.create(abroad, 32 * MEBIBYTE, RESTORE, fast, "northeurope")
    made = people.show(abroad)
    assert (made["sku"]["name"], made["location"]) == ("Premium_LRS", "northeurope")
    assert not made.get("zones")


@pytest.mark.fault(50)
async def test_a_disk_that_is_long_in_making_is_waited_for(
    world: World, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a repeat, which finds it."""
    monkeypatch.setattr(uploads, "MAKING_SECONDS", 0.0)
    disk, images = world.disk(None, "slow"), world.ports.images
    with pytest.raises(Deferred):
        await images.create(disk, 32 * MEBIBYTE, RESTORE)
    with pytest.raises(AlreadyExists):
        await images.create(disk, 32 * MEBIBYTE, RESTORE)
    for _ in range(200):
        try:
            assert (await images.lease(disk, FENCE.lease_id)).tag == RESTORE
            return
        except Deferred:
            await asyncio.sleep(0.02)
    raise AssertionError("it never came to be")


async def test_a_disk_that_is_there_is_not_restored_to(world: World) -> None:
    disk = world.disk()
    with pytest.raises(AlreadyExists):
        await world.ports.images.create(disk, GIBIBYTE, RESTORE)
    with pytest.raises(TargetBusy, match="new disk"):
        await world.ports.images.lease(disk, "any")
    with pytest.raises(Invalid, match="not ours"):
        await world.ports.images.delete(disk)


async def test_restores_make_disks_in_listed_groups_only(
    storage: RunningStorage, origin: str
) -> None:
    async with managed_world(storage, origin, restore_groups=frozenset({"other"})) as (world, _):
        with pytest.raises(Invalid) as refusal:
            await world.ports.images.create(world.disk(None, "new"), GIBIBYTE, RESTORE)
    assert "VAULTLINE_RESTORE_GROUPS" in refusal.value.action


@pytest.mark.fault(42)
async def test_leave_to_write_that_ran_out_is_asked_for_again(world: World) -> None:
    """On the side that is written to."""
    disk, images = world.disk(None, "restored"), world.ports.images
    await images.create(disk, 32 * MEBIBYTE, RESTORE)
    await images.write(disk, span(0, 1), body("a"), FENCE)
    held = grants_of(world)._open[disk_id(disk)]
    held.client = BlobClient.from_blob_url(held.url.replace("sig=", "sig=AAAA"))
    await images.write(disk, span(1, 2), body("b"), FENCE)
    assert grants_of(world)._open[disk_id(disk)] is not held
