"""What our own adapters make of listings that break off, lie, go in circles or are very long."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from local.storage.controls import Fault, add_faults, clear_faults
from shared.azure import http
from shared.model.errors import ChainBroken, Transient, VaultlineError
from shared.model.ids import DiskUrl
from tests.contract.pages import changed, flat, put
from tests.contract.worlds import World, azure_world
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack

RANGES = Fault(operation="^PageBlob_GetPageRanges$")
DIFF = Fault(operation="^PageBlob_GetPageRangesDiff$")
BLOBS = Fault(operation="ListBlob")


@pytest.fixture
async def world(storage: RunningStorage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The Azure world, with less patience."""
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(http, "LONGEST_WAIT_SECONDS", 0.05)
    async with azure_world(storage) as real:
        yield real


def scattered(world: World) -> DiskUrl:
    """A disk with five ranges of one page."""
    disk = world.disk(16)
    for page in range(0, 10, 2):
        put(world, disk, page, "x")
    return disk


def fired(storage: RunningStorage) -> int:
    (count,) = clear_faults(storage.endpoint)
    return count.fired


@pytest.mark.fault(17)
async def test_a_listing_in_circles_is_left(world: World, storage: RunningStorage) -> None:
    disk = scattered(world)
    base = await world.ports.disks.take_snapshot(disk, "base")
    put(world, disk, 0, "yyyyyyyyyyyy")
    put(world, disk, 14, "y")
    add_faults(storage.endpoint, [replace(RANGES, rows=1, marker="same")])
    with pytest.raises(Transient):
        await flat(world.ports.disks.allocated(disk))
    assert 1 < fired(storage) < 4
    add_faults(storage.endpoint, [replace(DIFF, rows=1, marker="same")])
    with pytest.raises(ChainBroken):
        await flat(world.ports.disks.changed(disk, base))
    assert 1 < fired(storage) < 4


@pytest.mark.fault(17)
@pytest.mark.parametrize("rows", [0, 1])
async def test_a_listing_of_blobs_in_circles_is_left(
    world: World, storage: RunningStorage, rows: int
) -> None:
    disk = scattered(world)
    for name in ("one", "two"):
        await world.ports.disks.take_snapshot(disk, name)
    add_faults(storage.endpoint, [replace(BLOBS, rows=rows, marker="same", times=30)])
    with pytest.raises(Transient):
        await world.ports.disks.snapshots(disk)
    assert fired(storage) < 4


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    "broken",
    [
        *(replace(RANGES, cut_after_bytes=sent) for sent in (0, 60, 200)),
        *(replace(RANGES, shorten_to=sent) for sent in (0, 60, 200)),
    ],
    ids=["cut 0", "cut 60", "cut 200", "ended 0", "ended 60", "ended 200"],
)
async def test_a_listing_that_breaks_off_is_no_shorter_listing(
    world: World, storage: RunningStorage, broken: Fault
) -> None:
    """It is read again, or it is a matter of time: never a list, and never somebody's mistake."""
    disk = scattered(world)
    whole = await flat(world.ports.disks.allocated(disk))
    assert len(whole) == 5
    add_faults(storage.endpoint, [broken])
    with pytest.raises(VaultlineError) as refusal:
        await flat(world.ports.disks.allocated(disk))
    assert fired(storage) > 0
    assert refusal.value.transient, refusal.value.code
    assert await flat(world.ports.disks.allocated(disk)) == whole


@pytest.mark.fault(17, 48, 55)
@pytest.mark.parametrize("rows", [0, 1, 3])
async def test_short_and_empty_answers_lead_to_the_whole_list(
    world: World, storage: RunningStorage, rows: int
) -> None:
    disk = scattered(world)
    base = await world.ports.disks.take_snapshot(disk, "base")
    for page in (1, 5, 9):
        put(world, disk, page, "z")
    times = 4 if rows == 0 else None
    for listing, found in (
        (RANGES, lambda: flat(world.ports.disks.allocated(disk))),
        (DIFF, lambda: changed(world, disk, base)),
        (BLOBS, lambda: world.ports.disks.snapshots(disk)),
    ):
        whole = await found()
        add_faults(storage.endpoint, [replace(listing, rows=rows, marker="kept", times=times)])
        assert await found() == whole
        assert fired(storage) > 0
