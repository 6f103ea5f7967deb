"""Known disks and their claims; searching for disks; groups; containers."""

import asyncio
from datetime import UTC, datetime

import pytest

from shared.model.errors import Invalid, NotFound
from shared.model.group import Group, GroupName
from shared.model.ids import DiskUrl, ItemId, PolicyName, VaultName
from shared.model.inventory import KnownDisk, Scope, Tag
from shared.model.ranges import PAGE_BYTES
from tests.contract.worlds import World

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def known(world: World, item: ItemId | None = None, name: str = "") -> KnownDisk:
    """A disk that no other test knows."""
    url = DiskUrl(f"{world.source_root}/{name or world.item()}.vhd")
    return KnownDisk(url=url, size_bytes=512, registered_at=AT, item=item)


async def found(world: World, url: str, tag: Tag | None = None) -> list[str]:
    pages = [page async for page in world.ports.disks.search(Scope(url=url, tag=tag))]
    return [disk.url for page in pages for disk in page]


async def test_a_disk_is_registered_once(world: World) -> None:
    disk = known(world)
    assert await world.ports.inventory.disk(disk.url) is None
    assert await world.ports.inventory.register(disk)
    assert not await world.ports.inventory.register(disk)
    assert await world.ports.inventory.disk(disk.url) == disk
    assert disk in [each async for each in world.ports.inventory.disks()]


async def test_a_claim_stands_until_it_is_released(world: World) -> None:
    """Invariant 18, by whatever writing of its URL."""
    one, two = world.item(), world.item()
    disk = known(world, one)
    again = KnownDisk(
        url=DiskUrl(disk.url.replace(".vhd", "%2Evhd")), size_bytes=1, registered_at=AT, item=two
    )
    inventory = world.ports.inventory
    assert await inventory.claim(disk) == one
    assert await inventory.claim(disk) == one
    assert await inventory.claim(again) == one
    await inventory.release(disk.url, two)
    assert await inventory.claim(again) == one
    await inventory.release(disk.url, one)
    assert await inventory.disk(disk.url) == known(world, None, disk.url.split("/")[-1][:-4])
    assert await inventory.claim(again) == two
    await inventory.release(DiskUrl(f"{disk.url}-unknown"), two)


async def test_18_of_many_claims_at_once_one_stands(world: World) -> None:
    for registered in (False, True):
        disk = known(world)
        if registered:
            await world.ports.inventory.register(disk)
        claims = [known(world, world.item(), disk.url.split("/")[-1][:-4]) for _ in range(8)]
        owners = await asyncio.gather(*(world.ports.inventory.claim(each) for each in claims))
        assert len(set(owners)) == 1
        left = await world.ports.inventory.disk(disk.url)
        assert left is not None
        assert left.item == owners[0]


async def test_a_search_finds_page_blobs_that_are_no_replicas(world: World) -> None:
    names = ["db-1", "web-1", "web-2"]
    urls = [world.disk(name=f"{name}.vhd") for name in names]
    await world.ports.images.create(DiskUrl(f"{world.source_root}/replica"), 512, "os-disk")
    restored = DiskUrl(f"{world.source_root}/restored")
    await world.ports.images.create(restored, 512, "os-disk.restore-1")
    await world.ports.plans.put(f"{world.source_root}/plan", one_block())
    await world.ports.disks.take_snapshot(urls[0], "job")
    assert await found(world, world.source_root) == [urls[0], restored, *urls[1:]]
    assert await found(world, f"{world.source_root}/web-") == urls[1:]
    assert await found(world, f"{world.source_root}/none") == []
    (page,) = [page async for page in world.ports.disks.search(Scope(url=f"{urls[0]}"))]
    assert page[0].size_bytes == 16 * PAGE_BYTES


def one_block():  # type: ignore[no-untyped-def]
    """A plan's bytes, in the one form that plans are put in."""

    async def blocks():  # type: ignore[no-untyped-def]
        yield b"plan"

    return blocks()


async def test_a_search_of_a_whole_account(world: World) -> None:
    url = world.disk(name=f"{world.item()}.vhd")
    account = world.source_root.rpartition("/")[0]
    assert url in await found(world, account)
    assert url in await found(world, f"{account}/")


async def test_a_search_by_index_tag(world: World) -> None:
    yes, no, none = (world.disk(name=f"{name}.vhd") for name in ("yes", "no", "none"))
    world.people.label(yes, "backup", "yes")
    world.people.label(no, "backup", "no")
    assert await found(world, world.source_root, Tag(name="backup", value="yes")) == [yes]
    assert none in await found(world, world.source_root)


async def test_a_container_that_is_not_there_holds_nothing(world: World) -> None:
    assert await found(world, f"{world.source_root}-gone") == []


async def test_a_group_is_read_as_written_with_its_members(world: World) -> None:
    groups = world.ports.groups
    group = Group(
        name=GroupName(f"g-{world.item()}"),
        policy=PolicyName("gold"),
        vault=VaultName("main"),
        created_at=AT,
    )
    with pytest.raises(NotFound, match=group.name):
        await groups.group(group.name)
    await groups.put(group)
    assert await groups.group(group.name) == group
    assert group in await groups.groups()
    ids = sorted(world.item() for _ in range(120))
    for _ in range(2):
        await groups.add(group.name, [*ids, ids[0]])
    await groups.add(group.name, [])
    for _ in range(2):
        await groups.remove(group.name, ids[:2])
    assert [item async for item in groups.members(group.name)] == ids[2:]
    for _ in range(2):
        await groups.delete(group.name)
    assert [item async for item in groups.members(group.name)] == []
    with pytest.raises(NotFound):
        await groups.group(group.name)


async def test_a_vault_is_deleted_once_or_twice(world: World) -> None:
    for _ in range(2):
        await world.ports.catalog.delete_vault(VaultName(f"vault-{world.item()}"))


async def test_a_container_is_made_once(world: World) -> None:
    for _ in range(2):
        await world.ports.containers.make(world.vault_root)
    assert await found(world, world.vault_root) == []
    with pytest.raises(Invalid):
        await world.ports.containers.make(f"{world.vault_root}?sig=x")
