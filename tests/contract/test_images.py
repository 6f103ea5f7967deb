"""Writing images: every write goes behind a fence that the service checks (invariant 3)."""

from hashlib import md5
from uuid import uuid4

import pytest

from shared.model.disk import EpochFence, Fence, LeaseFence, Snapshot
from shared.model.errors import (
    AlreadyExists,
    Invalid,
    ServerSideCopyRefused,
    SourceGone,
    StaleEpoch,
    TargetBusy,
)
from shared.model.ids import DiskUrl, Epoch
from shared.model.manifest import Algorithm, Checksum
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.contract.pages import allocated, body, changed, erase, letters_of, put, span
from tests.contract.worlds import World

FIRST = EpochFence(epoch=Epoch(1))
SECOND = EpochFence(epoch=Epoch(2))
WRITES = ["copy", "write", "clear"]


async def image(world: World, pages: int = 16, epoch: int = 1) -> DiskUrl:
    """A replica of zeros at the epoch."""
    disk = world.replica()
    await world.ports.images.create(disk, pages * PAGE_BYTES, "item-1")
    await world.ports.images.raise_epoch(disk, Epoch(epoch))
    return disk


async def source(world: World, letters: str = "abcdefgh") -> Snapshot:
    disk = world.disk(16)
    put(world, disk, 0, letters)
    return await world.ports.disks.take_snapshot(disk, "job")


async def do(
    world: World, write: str, disk: DiskUrl, range_: PageRange, fence: Fence, from_: Snapshot
) -> None:
    """One write of that kind."""
    images = world.ports.images
    if write == "clear":
        await images.clear(disk, range_, fence)
    elif write == "write":
        await images.write(disk, range_, b"w" * range_.size_bytes, fence)
    else:
        async with world.ports.disks.grant(from_) as grant:
            await images.copy(disk, range_, grant, fence)


async def test_a_new_image_is_zeros_and_carries_its_tag(world: World) -> None:
    disk = world.replica()
    made = await world.ports.images.create(disk, 16 * PAGE_BYTES, "item-1")
    assert (made.url, made.size_bytes, made.tag) == (disk, 16 * PAGE_BYTES, "item-1")
    assert await world.ports.disks.state(disk) == made
    assert await allocated(world, disk) == []
    assert await world.ports.disks.snapshots(disk) == []
    with pytest.raises(AlreadyExists):
        await world.ports.images.create(disk, 16 * PAGE_BYTES, "item-2")
    assert await world.ports.disks.state(disk) == made


async def test_a_snapshot_by_others_of_our_image_is_not_ours(world: World) -> None:
    disk = await image(world)
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    assert [each.tag for each in await world.ports.disks.snapshots(disk)] == ["job"]
    assert (await world.ports.disks.state(disk)).tag == "item-1"
    assert snapshot.tag == "job"


async def test_an_impossible_size_is_refused(world: World) -> None:
    for size in (1000, 8 * 1024**4 + PAGE_BYTES):
        with pytest.raises(Invalid):
            await world.ports.images.create(world.replica(), size, "item-1")
        with pytest.raises(SourceGone):
            await world.ports.disks.state(world.replica())


async def test_each_write_does_what_it_says(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    await do(world, "copy", disk, span(1, 5), FIRST, snapshot)
    await do(world, "write", disk, span(6, 8), FIRST, snapshot)
    await do(world, "clear", disk, span(2, 3), FIRST, snapshot)
    assert letters_of(world, disk) == ".b.de.ww........"
    assert await allocated(world, disk) == [span(1, 2), span(3, 5), span(6, 8)]


@pytest.mark.fault(16)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_may_be_repeated(world: World, write: str) -> None:
    """Invariant 6, fault 16."""
    disk, snapshot = await image(world), await source(world)
    await do(world, "write", disk, span(0, 4), FIRST, snapshot)
    await do(world, write, disk, span(1, 3), FIRST, snapshot)
    once = letters_of(world, disk)
    await do(world, write, disk, span(1, 3), FIRST, snapshot)
    assert letters_of(world, disk) == once


async def test_a_copied_page_counts_as_written_even_with_the_same_bytes(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    await do(world, "copy", disk, span(0, 4), FIRST, snapshot)
    before = await world.ports.disks.take_snapshot(disk, "before")
    await do(world, "copy", disk, span(1, 2), FIRST, snapshot)
    assert await changed(world, disk, before) == ["+1-2"]


async def test_a_copy_takes_zeros_of_the_source_as_bytes(world: World) -> None:
    disk, snapshot = await image(world), await source(world, "ab")
    await do(world, "write", disk, span(0, 8), FIRST, snapshot)
    await do(world, "copy", disk, span(0, 4), FIRST, snapshot)
    assert letters_of(world, disk) == "ab..wwww........"


async def test_a_copy_reads_the_snapshot_not_the_disk(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    put(world, snapshot.disk, 0, "zzzz")
    erase(world, snapshot.disk, 4, 6)
    await do(world, "copy", disk, span(0, 8), FIRST, snapshot)
    assert letters_of(world, disk) == "abcdefgh........"


@pytest.mark.fault(8)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("fence", [FIRST, EpochFence(epoch=Epoch(3))], ids=["past", "future"])
async def test_a_writer_of_another_epoch_is_refused_and_changes_nothing(
    world: World, write: str, fence: EpochFence
) -> None:
    """Invariant 3, fault 8."""
    disk, snapshot = await image(world, epoch=2), await source(world)
    await do(world, "write", disk, span(0, 4), SECOND, snapshot)
    state = await world.ports.disks.state(disk)
    with pytest.raises(StaleEpoch):
        await do(world, write, disk, span(1, 3), fence, snapshot)
    assert await world.ports.disks.state(disk) == state
    assert letters_of(world, disk) == "wwww............"


def sum_of(checksum: Checksum, content: bytes) -> bytes:
    """What the service should have answered for the content."""
    if checksum.algorithm is Algorithm.MD5:
        return md5(content).digest()
    assert checksum.algorithm is Algorithm.CRC64
    return crc64(content)


def crc64(content: bytes) -> bytes:
    """As Azure storage computes it: reflected, all ones before and after."""
    register = (1 << 64) - 1
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x9A6C9329AC4BC9B5 if register & 1 else 0)
    return (register ^ ((1 << 64) - 1)).to_bytes(8, "little")


async def test_a_write_is_answered_with_the_checksum_of_its_bytes(world: World) -> None:
    """Of the bytes as they were stored: that is what a manifest keeps (invariant 28)."""
    disk, snapshot = await image(world), await source(world)
    async with world.ports.disks.grant(snapshot) as grant:
        copied = await world.ports.images.copy(disk, span(0, 2), grant, FIRST, PAGE_BYTES)
    assert letters_of(world, disk, 2) == "bc"
    assert copied.digest == sum_of(copied, body("bc"))
    written = await world.ports.images.write(disk, span(4, 6), body("xy"), FIRST)
    assert written.digest == sum_of(written, body("xy"))


async def test_an_epoch_only_rises(world: World) -> None:
    disk = await image(world, epoch=5)
    before = await world.ports.disks.state(disk)
    again = await world.ports.images.raise_epoch(disk, Epoch(5))
    assert (again.size_bytes, again.chain) == (before.size_bytes, before.chain)
    with pytest.raises(StaleEpoch):
        await world.ports.images.raise_epoch(disk, Epoch(4))
    with pytest.raises(SourceGone):
        await world.ports.images.raise_epoch(world.replica("none"), Epoch(4))
    raised = await world.ports.images.raise_epoch(disk, Epoch(6))
    assert raised == await world.ports.disks.state(disk)


async def test_an_image_is_resized_as_it_was_seen(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    await do(world, "write", disk, span(0, 16), FIRST, snapshot)
    state = await world.ports.disks.state(disk)
    small = await world.ports.images.resize(state, 4 * PAGE_BYTES, FIRST)
    assert small == await world.ports.disks.state(disk)
    large = await world.ports.images.resize(small, 8 * PAGE_BYTES, FIRST)
    assert letters_of(world, disk, 8) == "wwww...."
    with pytest.raises(StaleEpoch):
        await world.ports.images.resize(state, 16 * PAGE_BYTES, FIRST)
    await world.ports.images.raise_epoch(disk, Epoch(2))
    with pytest.raises(StaleEpoch):
        await world.ports.images.resize(large, 16 * PAGE_BYTES, FIRST)
    seen_later = await world.ports.disks.state(disk)
    with pytest.raises(StaleEpoch):
        await world.ports.images.resize(seen_later, 16 * PAGE_BYTES, FIRST)
    assert (await world.ports.disks.state(disk)).size_bytes == 8 * PAGE_BYTES


async def test_a_lease_fences_like_an_epoch(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    mine, other = str(uuid4()), str(uuid4())
    for _ in range(2):
        await world.ports.images.lease(disk, mine)
    with pytest.raises(TargetBusy):
        await world.ports.images.lease(disk, other)
    for write in WRITES:
        await do(world, write, disk, span(0, 2), LeaseFence(lease_id=mine), snapshot)
        with pytest.raises(StaleEpoch):
            await do(world, write, disk, span(0, 2), LeaseFence(lease_id=other), snapshot)
        with pytest.raises(TargetBusy):
            await do(world, write, disk, span(0, 2), FIRST, snapshot)
    await world.ports.images.release(disk, other)
    with pytest.raises(TargetBusy):
        await world.ports.images.delete(disk)
    state = await world.ports.disks.state(disk)
    await world.ports.images.resize(state, 8 * PAGE_BYTES, LeaseFence(lease_id=mine))
    for _ in range(2):
        await world.ports.images.release(disk, mine)
    for write in WRITES:
        with pytest.raises(StaleEpoch):
            await do(world, write, disk, span(0, 2), LeaseFence(lease_id=mine), snapshot)
    await do(world, "write", disk, span(0, 2), FIRST, snapshot)
    await world.ports.images.release(world.replica("none"), mine)


async def test_a_leased_disk_can_still_be_snapshotted(world: World) -> None:
    disk = await image(world)
    await world.ports.images.lease(disk, str(uuid4()))
    await world.ports.disks.take_snapshot(disk, "job")


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_to_an_image_that_is_gone_names_the_target(world: World, write: str) -> None:
    snapshot = await source(world)
    await image(world)  # so that the container is there
    with pytest.raises(StaleEpoch) as refusal:
        await do(world, write, world.replica("none"), span(0, 2), FIRST, snapshot)
    assert refusal.value.code == "TargetNotFound"


async def test_a_copy_from_a_snapshot_that_is_gone_says_so(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    await world.ports.disks.delete_snapshot(snapshot)
    with pytest.raises(SourceGone) as refusal:
        await do(world, "copy", disk, span(0, 2), FIRST, snapshot)
    assert refusal.value.code == "SourceNotFound"
    assert "sig=" not in str(refusal.value)


async def test_a_refused_copy_is_told_from_others(world: World) -> None:
    disk, snapshot = await image(world), await source(world)
    with world.refusing_copies(), pytest.raises(ServerSideCopyRefused):
        await do(world, "copy", disk, span(0, 2), FIRST, snapshot)


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_beyond_the_end_is_refused(world: World, write: str) -> None:
    disk, snapshot = await image(world, pages=4), await source(world)
    with pytest.raises(Invalid):
        await do(world, write, disk, span(3, 5), FIRST, snapshot)


async def test_one_write_moves_four_mebibytes_and_no_more(world: World) -> None:
    disk = await image(world, pages=3 * 8192)
    await world.ports.images.write(disk, span(0, 8192), body("a") * 8192, FIRST)
    with pytest.raises(Invalid):
        await world.ports.images.write(disk, span(0, 8193), body("b") * 8193, FIRST)
    await world.ports.images.clear(disk, span(0, 3 * 8192), FIRST)
    assert await allocated(world, disk) == []


async def test_an_image_goes_with_its_snapshots(world: World) -> None:
    disk = await image(world)
    await world.ports.disks.take_snapshot(disk, "job")
    for _ in range(2):
        await world.ports.images.delete(disk)
    with pytest.raises(SourceGone):
        await world.ports.disks.state(disk)
    assert await world.ports.disks.snapshots(disk) == []
    await world.ports.images.delete(DiskUrl(f"{world.vault_root}x/none"))
