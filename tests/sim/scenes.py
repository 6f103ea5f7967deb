"""What the simulation's tests share: a changing disk, its backups, and the oracle of bytes."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

from shared.memory.pages import PageImage
from shared.memory.storage import Blob
from shared.model.disk import Snapshot
from shared.model.extents import Extent, Image, image_of
from shared.model.ids import DiskUrl, RequestId
from shared.model.point import Point
from shared.model.ranges import PageRange
from shared.steps.expiry import request_expiry
from shared.steps.tick import tick
from tests.sim.world import DISK, EXTENT_BYTES, ITEM, POLICY, World

MIB = 1024 * 1024
SIZE = 6 * MIB
BLOCK_BYTES = 64 * 1024


def content(world: World, image: Snapshot | DiskUrl) -> str:
    """What an image holds, byte for byte, as its size and a SHA-256 of the blocks that are not
    all zeros, each under its place: histories of a disk are long, and would fill the memory."""
    digest, size = sha256(), 0
    for extent in image_of(image) if isinstance(image, Snapshot) else extents(world, image):
        version = world.ports.storage.version(extent.held)
        for start in written_blocks(version.pages):
            block = PageRange(start, min(start + BLOCK_BYTES, version.size_bytes))
            body = version.pages.read(block)
            if body != bytes(len(body)):
                digest.update(f"{size + start} ".encode() + body)
        size += version.size_bytes
    return f"{size} bytes, sha256 {digest.hexdigest()}"


def written_blocks(pages: PageImage) -> Iterator[int]:
    """Where the blocks begin that have any page written, in order."""
    end = 0
    for range_ in pages.allocated():
        start = range_.start - range_.start % BLOCK_BYTES
        yield from range(max(start, end), range_.end, BLOCK_BYTES)
        end = range_.end + -range_.end % BLOCK_BYTES


def extents(world: World, disk: DiskUrl) -> Image:
    """The page blobs that hold an image: one of a disk, those of a replica."""
    others = sorted(blob.url for blob in world.ports.storage.blobs_below(f"{disk}.extents/"))
    return tuple(Extent(DiskUrl(url), 0, 0) for url in (disk, *others))


def scribble(world: World, times: int = 6) -> None:
    """Random writes and clears, as a file system makes them."""
    size = world.ports.storage.blob(DISK).size_bytes
    for _ in range(times):
        start = world.random.randrange(size // 512) * 512
        end = min(size, start + world.random.choice([512, 4096, 65536, 5 * MIB // 4]))
        if world.random.random() < 0.3:
            world.ports.storage.erase(DISK, PageRange(start, end))
        else:
            world.ports.storage.put(DISK, start, world.random.randbytes(end - start))


async def started(
    seed: int = 0, size: int = SIZE, extent_bytes: int = EXTENT_BYTES, policy: str = POLICY
) -> World:
    """A protected disk with some content, before its first backup."""
    world = World(seed, extent_bytes)
    await world.set_up(policy)
    world.ports.storage.create(DISK, size)
    if size:
        scribble(world)
    await world.protect()
    await world.settle()
    return world


async def scheduled(world: World) -> None:
    """The next slot comes; the schedule makes a backup."""
    now = world.ports.clock.now()
    at = now.replace(hour=2, minute=0, second=30)
    world.ports.clock.set(at if at > now else at + timedelta(days=1))
    await world.survive(tick(world.ports))
    await world.settle()


async def backup(world: World) -> None:
    await world.command(type="backup-now", item_id=ITEM)
    await world.settle()


async def confirmed_expiry(world: World, request: str) -> None:
    """A clean-up that a person lets through, however abnormal it looks."""
    await request_expiry(world.ports, ITEM, RequestId(request), confirm=True)
    await world.expire()


async def restore(world: World, point: Point, target: DiskUrl | None = None) -> DiskUrl:
    """The point restored to a new disk, by the pipeline."""
    url = target or DiskUrl(f"{DISK}-restored-{world.requests}")
    await world.command(
        type="restore", item_id=ITEM, point=point.id, target={"kind": "alternate", "url": url}
    )
    await world.settle()
    return url


class Truth:
    """What the source held at each snapshot, noted when it was taken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.held: dict[str, str] = {}
        self._take = world.ports.storage.snapshot
        world.ports.storage.snapshot = self._noting  # type: ignore[method-assign]

    def _noting(self, blob: Blob, tag: str) -> Snapshot:
        snapshot = self._take(blob, tag)
        if blob.url == DISK:
            self.held[snapshot.id] = content(self.world, snapshot)
        return snapshot

    def at(self, point: Point) -> str:
        return self.held[_source_id(self.world, point)]


def _source_id(world: World, point: Point) -> str:
    """The id of the source snapshot that the point was made of: named by its time."""
    return f"{point.created_at:%Y-%m-%dT%H:%M:%S.%f}0Z"


async def restore_all(world: World, truth: Truth) -> None:
    """Every point to a new disk; equal bytes."""
    for point in await world.points():
        if not point.expiring:
            assert content(world, await restore(world, point)) == truth.at(point), point.id
