"""Reading disks: states, snapshots, what is allocated, what changed, and the bytes."""

from dataclasses import replace

import pytest

from shared.model.disk import EpochFence
from shared.model.errors import ChainBroken, Conflict, Invalid, SourceGone
from shared.model.ids import DiskUrl, Epoch
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.contract.pages import (
    allocated,
    body,
    changed,
    erase,
    flat,
    letters_of,
    put,
    span,
)
from tests.contract.worlds import World

TEBIBYTE = 1024**4


async def test_a_disk_is_described(world: World) -> None:
    disk = world.disk(16)
    first = await world.ports.disks.state(disk)
    assert (first.url, first.size_bytes, first.tag) == (disk, 16 * PAGE_BYTES, "")
    put(world, disk, 0, "a")
    second = await world.ports.disks.state(disk)
    assert second.etag != first.etag
    assert second.chain == first.chain


async def test_a_disk_that_is_not_there_is_gone(world: World) -> None:
    disk = world.disk(None)
    with pytest.raises(SourceGone):
        await world.ports.disks.state(disk)
    with pytest.raises(SourceGone):
        await world.ports.disks.take_snapshot(disk, "job")
    with pytest.raises(SourceGone):
        await allocated(world, disk)
    assert await world.ports.disks.snapshots(disk) == []


@pytest.mark.parametrize("query", ["?sv=2024&sig=secret", "?snapshot=2026-01-01T00:00:00.0000000Z"])
async def test_a_url_with_a_query_is_refused_and_not_repeated(world: World, query: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await world.ports.disks.state(DiskUrl(world.disk() + query))
    assert "secret" not in str(refusal.value)


async def test_a_snapshot_stays_as_it_was(world: World) -> None:
    disk = world.disk()
    put(world, disk, 1, "aa")
    snapshot = await world.ports.disks.take_snapshot(disk, "job-1")
    put(world, disk, 0, "bbbb")
    erase(world, disk, 2, 3)
    assert letters_of(world, snapshot) == ".aa............."
    assert await world.ports.disks.read(snapshot, span(0, 3)) == body("\0aa")
    assert await world.ports.disks.read(disk, span(0, 3)) == body("bb\0")
    state = await world.ports.disks.state(disk)
    assert (snapshot.disk, snapshot.tag, snapshot.chain) == (disk, "job-1", state.chain)
    assert snapshot.size_bytes == 16 * PAGE_BYTES


async def test_snapshots_that_we_took_are_listed_oldest_first(world: World) -> None:
    disk = world.disk(name="disk")
    other = world.disk(name="disk-2")
    assert await world.ports.disks.snapshots(disk) == []
    taken = [await world.ports.disks.take_snapshot(disk, f"job-{n}") for n in range(3)]
    await world.ports.disks.take_snapshot(other, "other")
    assert await world.ports.disks.snapshots(disk) == taken
    assert len({snapshot.id for snapshot in taken}) == 3
    for _ in range(2):
        await world.ports.disks.delete_snapshot(taken[1])
    assert await world.ports.disks.snapshots(disk) == [taken[0], taken[2]]


async def test_a_snapshot_holds_only_for_the_state_that_was_seen(world: World) -> None:
    disk = world.disk()
    seen = await world.ports.disks.state(disk)
    snapshot = await world.ports.disks.take_snapshot(disk, "first", seen.etag)
    put(world, disk, 0, "a")
    with pytest.raises(Conflict):
        await world.ports.disks.take_snapshot(disk, "second", seen.etag)
    assert await world.ports.disks.snapshots(disk) == [snapshot]


async def test_what_is_allocated_was_written_and_not_cleared(world: World) -> None:
    disk = world.disk()
    assert await allocated(world, disk) == []
    put(world, disk, 1, "aaaa")
    put(world, disk, 5, "b")
    put(world, disk, 9, "\0\0")
    erase(world, disk, 2, 3)
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    erase(world, disk, 0, 16)
    assert await allocated(world, disk) == []
    assert await allocated(world, snapshot) == [span(1, 2), span(3, 6), span(9, 11)]


@pytest.mark.parametrize("within", [(0, 16), (2, 10), (3, 4), (5, 9), (6, 7), (11, 16)])
async def test_what_is_allocated_within_a_range(world: World, within: tuple[int, int]) -> None:
    """Cut at the range's ends, in one list or in several."""
    disk = world.disk()
    put(world, disk, 1, "aaaa")
    put(world, disk, 9, "bb")
    put(world, disk, 13, "c")
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    pages = set(range(1, 5)) | {9, 10, 13}
    for disks in (world.ports.disks, world.short_lists(1)):
        listed = await flat(disks.allocated(snapshot, span(*within)))
        found = [page for r in listed for page in range(r.start // PAGE_BYTES, r.end // PAGE_BYTES)]
        assert found == sorted(pages & set(range(*within)))


async def test_changes_are_what_was_written_or_cleared_since(world: World) -> None:
    disk = world.disk()
    put(world, disk, 0, "abcdefgh")
    base = await world.ports.disks.take_snapshot(disk, "base")
    put(world, disk, 1, "b")  # the same bytes, written again
    put(world, disk, 3, "x")
    erase(world, disk, 5, 7)
    put(world, disk, 12, "yy")
    snapshot = await world.ports.disks.take_snapshot(disk, "next")
    put(world, disk, 0, "z")
    expected = ["+1-2", "+3-4", "-5-7", "+12-14"]
    assert await changed(world, snapshot, base) == expected
    assert await changed(world, disk, base) == ["+0-2", *expected[1:]]
    assert await changed(world, snapshot, snapshot) == []


async def test_changes_follow_a_disk_that_grew_and_shrank(world: World) -> None:
    disk = world.disk(8)
    put(world, disk, 0, "abcdefgh")
    base = await world.ports.disks.take_snapshot(disk, "base")
    world.people.resize(disk, 4 * PAGE_BYTES)
    small = await world.ports.disks.take_snapshot(disk, "small")
    assert await changed(world, small, base) == []
    world.people.resize(disk, 12 * PAGE_BYTES)
    put(world, disk, 10, "k")
    large = await world.ports.disks.take_snapshot(disk, "large")
    assert large.size_bytes == 12 * PAGE_BYTES
    assert await changed(world, large, small) == ["+10-11"]
    assert await changed(world, large, base) == ["-4-8", "+10-11"]


@pytest.mark.fault(4)
async def test_no_diff_is_told_where_the_base_is_gone(world: World) -> None:
    disk = world.disk()
    base = await world.ports.disks.take_snapshot(disk, "base")
    await world.ports.disks.delete_snapshot(base)
    with pytest.raises(ChainBroken):
        await changed(world, disk, base)


async def test_no_diff_is_told_backwards(world: World) -> None:
    disk = world.disk()
    older = await world.ports.disks.take_snapshot(disk, "older")
    newer = await world.ports.disks.take_snapshot(disk, "newer")
    with pytest.raises(ChainBroken):
        await changed(world, older, newer)


async def test_no_diff_is_told_between_two_disks(world: World) -> None:
    base = await world.ports.disks.take_snapshot(world.disk(name="one"), "base")
    with pytest.raises(ChainBroken):
        await changed(world, world.disk(name="two"), base)


@pytest.mark.fault(5)
async def test_no_diff_is_told_across_a_replacement(world: World) -> None:
    disk = world.disk()
    base = await world.ports.disks.take_snapshot(disk, "base")
    before = await world.ports.disks.state(disk)
    world.people.replace(disk, 16 * PAGE_BYTES)
    put(world, disk, 0, "new")
    after = await world.ports.disks.take_snapshot(disk, "after")
    assert after.chain != base.chain == before.chain
    with pytest.raises(ChainBroken):
        await changed(world, after, base)


async def test_a_snapshot_that_is_gone_is_gone(world: World) -> None:
    disk = world.disk()
    put(world, disk, 0, "a")
    base = await world.ports.disks.take_snapshot(disk, "base")
    gone = await world.ports.disks.take_snapshot(disk, "gone")
    await world.ports.disks.delete_snapshot(gone)
    with pytest.raises(SourceGone):
        await changed(world, gone, base)
    with pytest.raises(SourceGone):
        await allocated(world, gone)
    with pytest.raises(SourceGone):
        await world.ports.disks.read(gone, span(0, 1))


async def test_three_sparse_tebibytes_are_listed_at_once(world: World) -> None:
    pages = 3 * TEBIBYTE // PAGE_BYTES
    disk = world.disk(pages)
    put(world, disk, 0, "a")
    base = await world.ports.disks.take_snapshot(disk, "base")
    put(world, disk, pages - 1, "z")
    snapshot = await world.ports.disks.take_snapshot(disk, "next")
    assert await allocated(world, snapshot) == [span(0, 1), span(pages - 1, pages)]
    assert await changed(world, snapshot, base) == [f"+{pages - 1}-{pages}"]
    assert await world.ports.disks.read(snapshot, span(pages - 1, pages)) == body("z")


@pytest.mark.parametrize("range_", [span(15, 17), span(16, 17)], ids=["across", "beyond"])
async def test_what_lies_beyond_the_end_is_not_read(world: World, range_: PageRange) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(16), "job")
    with pytest.raises(Invalid):
        await world.ports.disks.read(snapshot, range_)
    with pytest.raises(Invalid):
        await world.ports.disks.read(snapshot.disk, range_)


async def test_an_empty_disk_is_a_disk(world: World) -> None:
    disk = world.disk(0)
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    assert snapshot.size_bytes == 0
    assert await allocated(world, snapshot) == []


@pytest.mark.fault(48)
async def test_a_listing_of_many_ranges_comes_in_several_lists(world: World) -> None:
    disk = world.disk(64)
    base = await world.ports.disks.take_snapshot(disk, "base")
    for first in range(0, 64, 2):
        put(world, disk, first, "a")
    short = world.short_lists(5)
    lists = [each async for each in short.allocated(disk)]
    assert len(lists) > 5
    every = [span(first, first + 1) for first in range(0, 64, 2)]
    assert [range_ for each in lists for range_ in each] == every
    diffs = await flat(short.changed(disk, base))
    assert [each.range for each in diffs] == every


async def test_a_grant_does_not_show_itself(world: World) -> None:
    """Invariant 10."""
    snapshot = await world.ports.disks.take_snapshot(world.disk(), "job")
    async with world.ports.disks.grant(snapshot) as grant:
        assert "sig=" in grant.url
        assert "sig" not in f"{grant} {grant!r} {[grant]}"


async def test_leave_that_is_in_use_is_not_taken_back(world: World) -> None:
    disk, target = world.disk(), world.replica()
    put(world, disk, 0, "a")
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    await world.ports.images.create(target, 16 * PAGE_BYTES, "item")
    await world.ports.images.raise_epoch(target, Epoch(1))
    async with world.ports.disks.grant(snapshot) as grant:
        await world.ports.disks.take_back(disk)
        await world.ports.images.copy(target, span(0, 1), grant, EpochFence(epoch=Epoch(1)))
    await world.ports.disks.take_back(disk)
    await world.ports.disks.take_back(disk)


async def test_a_snapshot_of_an_unknown_id_is_no_error_to_delete(world: World) -> None:
    snapshot = await world.ports.disks.take_snapshot(world.disk(), "job")
    await world.ports.disks.delete_snapshot(replace(snapshot, id="2020-01-01T00:00:00.0000000Z"))
    world.people.remove(snapshot.disk)
    await world.ports.disks.delete_snapshot(snapshot)
