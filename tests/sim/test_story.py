"""The whole story on memory ports: backups by schedule and by request, restores of every point.

The oracle is bytes: what a point restores to is what the source held when its snapshot was taken.
"""

from datetime import timedelta

from shared.memory import MemoryPorts
from shared.model.ids import DiskUrl
from shared.model.job import Status
from shared.model.messages import COMMANDS, COPY, SNAPSHOT, TRANSFER
from shared.model.point import Kind, Point
from shared.model.ranges import PageRange
from tests.sim.world import DISK, ITEM, Crash, World

MIB = 1024 * 1024
SIZE = 24 * MIB


def content(ports: MemoryPorts, image) -> bytes:
    version = ports.storage.version(image)
    return version.pages.read(PageRange(0, version.size_bytes))


def scribble(world: World, times: int = 6) -> None:
    """Random writes and clears, as a file system makes them."""
    for _ in range(times):
        start = world.random.randrange(SIZE // 512) * 512
        end = min(SIZE, start + world.random.choice([512, 4096, 65536, 5 * MIB]))
        if world.random.random() < 0.3:
            world.ports.storage.erase(DISK, PageRange(start, end))
        else:
            world.ports.storage.put(DISK, start, world.random.randbytes(end - start))


async def started(seed: int = 0) -> World:
    world = World(seed)
    await world.set_up()
    world.ports.storage.create(DISK, SIZE)
    scribble(world)
    await world.protect()
    await world.settle()
    return world


async def scheduled(world: World) -> None:
    """The next slot comes; the schedule makes a backup."""
    now = world.ports.clock.now()
    at = now.replace(hour=2, minute=0, second=30)
    world.ports.clock.set(at if at > now else at + timedelta(days=1))
    await world.survive(tick_of(world))
    await world.settle()


async def tick_of(world: World) -> None:
    from shared.steps.tick import tick

    await tick(world.ports)


async def backup(world: World) -> None:
    await world.command(type="backup-now", item_id=ITEM)
    await world.settle()


def truth(world: World, point: Point) -> bytes:
    """What the source held: its own snapshot, never moved by us."""
    assert point.source is not None
    return content(world.ports, point.source)


async def restore_all(world: World) -> None:
    """Every point to a new disk; equal bytes."""
    for number, point in enumerate(await world.points()):
        target = DiskUrl(f"https://vlsource.blob.core.windows.net/disks/r{number}-{world.requests}")
        await world.command(
            type="restore",
            item_id=ITEM,
            point=point.id,
            target={"kind": "alternate", "url": target},
        )
        await world.settle()
        assert content(world.ports, target) == truth(world, point), point.id


async def test_backups_restore_byte_for_byte() -> None:
    world = await started()
    await scheduled(world)
    scribble(world)
    await backup(world)
    scribble(world)
    await backup(world)
    points = await world.points()
    assert [point.kind for point in points] == [Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL]
    assert all(point.copied_bytes <= 1.25 * point.changed_bytes for point in points)
    assert all(point.worker_bytes == 0 for point in points)
    await restore_all(world)
    assert {job.status for job in await world.jobs()} == {Status.COMPLETED}


async def test_every_single_crash_is_survived() -> None:
    """Invariant 6: the process dies at the n-th I/O call, before or after its effect."""
    from shared.memory import Fault

    for applied in (False, True):
        number = 0
        while True:
            world = await started()
            await scheduled(world)
            scribble(world)
            await world.command(type="backup-now", item_id=ITEM)
            fault = world.ports.faults.plan(
                Fault(call="*", skip=number, applied=applied, error=Crash)
            )
            await world.settle()
            if not fault.fired:
                break
            assert world.crashes == 1
            world.ports.faults.planned.clear()
            await world.settle()
            points = await world.points()
            assert [point.kind for point in points] == [Kind.FULL, Kind.INCREMENTAL]
            await restore_all(world)
            number += 1
        assert number > 20
