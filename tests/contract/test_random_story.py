"""A disk's life, at random, against a plain model: what a diff does not name is unchanged, and a
replica kept by diffs alone equals its source (invariant 2)."""

from random import Random

import pytest

from shared.model.disk import EpochFence, Snapshot
from shared.model.ids import DiskUrl, Epoch
from shared.model.ranges import PAGE_BYTES, Change, PageRange
from tests.contract.pages import allocated, flat, letters_of, put, span
from tests.contract.worlds import World

MOST_PAGES = 48
ROUNDS = 8
STEPS = 12


class Story:
    """A source disk, its model (a letter a page), and a replica that follows."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = Random(seed)
        self.model = "." * 24
        self.disk = world.disk(len(self.model))
        self.replica = world.replica()

    def change(self) -> None:
        """Somebody writes, clears or resizes."""
        kind = self.random.choice(["write", "write", "write", "clear", "clear", "resize"])
        first = self.random.randrange(len(self.model))
        end = self.random.randint(first + 1, min(first + 8, len(self.model)))
        if kind == "write":
            letters = "".join(self.random.choice("abc") for _ in range(end - first))
            put(self.world, self.disk, first, letters)
            self.model = self.model[:first] + letters + self.model[end:]
        elif kind == "clear":
            self.world.people.erase(self.disk, span(first, end))
            self.model = self.model[:first] + "." * (end - first) + self.model[end:]
        else:
            pages = self.random.randint(8, MOST_PAGES)
            self.world.people.resize(self.disk, pages * PAGE_BYTES)
            self.model = self.model[:pages].ljust(pages, ".")

    async def follow(self, snapshot: Snapshot, since: Snapshot | None, epoch: Epoch) -> None:
        """The replica becomes the snapshot, by what changed since the last one."""
        ports, fence = self.world.ports, EpochFence(epoch=epoch)
        state = await ports.images.raise_epoch(self.replica, epoch)
        if state.size_bytes != snapshot.size_bytes:
            await ports.images.resize(state, snapshot.size_bytes, fence)
        async with ports.disks.grant(snapshot) as grant:
            for range_, change in await self.changes(snapshot, since):
                if change is Change.WRITTEN:
                    await ports.images.copy(self.replica, range_, grant, fence)
                else:
                    await ports.images.clear(self.replica, range_, fence)

    async def changes(
        self, snapshot: Snapshot, since: Snapshot | None
    ) -> list[tuple[PageRange, Change]]:
        if since is None:
            return [(range_, Change.WRITTEN) for range_ in await allocated(self.world, snapshot)]
        found = await flat(self.world.ports.disks.changed(snapshot, since))
        return [(each.range, each.change) for each in found]

    def shown(self, image: Snapshot | DiskUrl) -> str:
        return letters_of(self.world, image, len(self.model))


@pytest.mark.parametrize("seed", range(3))
async def test_a_replica_that_follows_by_diffs_is_the_disk(world: World, seed: int) -> None:
    story, since = Story(world, seed), None
    await world.ports.images.create(story.replica, len(story.model) * PAGE_BYTES, "item")
    for number in range(ROUNDS):
        for _ in range(story.random.randrange(STEPS)):
            story.change()
        snapshot = await world.ports.disks.take_snapshot(story.disk, f"job-{number}")
        await story.follow(snapshot, since, Epoch(number + 1))
        assert story.shown(snapshot) == story.model
        assert story.shown(story.replica) == story.model
        assert await allocated(world, story.replica) == await allocated(world, snapshot)
        since = snapshot
