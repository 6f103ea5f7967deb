"""Many looks as one listing, where that is fewer requests, and never a wrong answer."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.azure.managed.together import Listing, Together
from shared.memory import ManualClock
from shared.model.arm_ids import ArmId, ArmScope
from shared.model.errors import Transient

SUBSCRIPTION = "0f0f0f0f-1111-2222-3333-444444444444"


def snapshot(number: int, group: str = "rg") -> ArmId:
    return ArmId(SUBSCRIPTION, group, "snapshots", f"s{number}")


class Service:
    """Knows snapshots by number; a listing misses those of `unlisted`, and takes `pages`."""

    def __init__(self, pages: int = 1, unlisted: Sequence[int] = ()) -> None:
        self.gets = 0
        self.lists = 0
        self.failures = 0
        self._pages = pages
        self._unlisted = {snapshot(number) for number in unlisted}
        self.together = Together[str](ManualClock(), self._one, self._every)

    async def at(self, *targets: ArmId) -> list[str | None]:
        return list(await asyncio.gather(*map(self.together.at, targets)))

    async def _one(self, of: ArmId) -> str | None:
        self.gets += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise Transient("busy")
        return None if of == snapshot(99) else of.name

    async def _every(self, scope: ArmScope) -> Listing[str]:
        self.lists += 1
        each = [snapshot(number, scope.group) for number in range(10)]
        found = {id_: id_.name for id_ in each if id_ not in self._unlisted}
        return Listing(found, self._pages)


async def test_one_alone_is_asked_for_alone() -> None:
    service = Service()
    assert await service.at(snapshot(1)) == ["s1"]
    assert (service.gets, service.lists) == (1, 0)


async def test_many_are_one_listing() -> None:
    service = Service()
    assert await service.at(*map(snapshot, range(6))) == [f"s{n}" for n in range(6)]
    assert (service.gets, service.lists) == (0, 1)


async def test_a_listing_of_many_pages_is_not_repeated_for_few() -> None:
    service = Service(pages=5)
    await service.at(snapshot(1), snapshot(2))
    assert await service.at(snapshot(1), snapshot(2)) == ["s1", "s2"]
    assert (service.gets, service.lists) == (2, 1)


async def test_what_a_listing_does_not_have_is_asked_for() -> None:
    """A listing may be late; a request of its own is not."""
    service = Service(unlisted=[2])
    assert await service.at(snapshot(1), snapshot(2), snapshot(99)) == ["s1", "s2", None]
    assert (service.gets, service.lists) == (2, 1)


async def test_groups_do_not_wait_for_each_other() -> None:
    service = Service()
    answers = await service.at(snapshot(1), snapshot(2), snapshot(3, "other"))
    assert answers == ["s1", "s2", "s3"]
    assert (service.gets, service.lists) == (1, 1)


async def test_who_waits_asks_again_where_the_first_fails() -> None:
    service = Service(pages=9)
    await service.at(snapshot(1), snapshot(2))
    service.failures = 1
    answers = await asyncio.gather(
        *(service.together.at(snapshot(n)) for n in (1, 2)), return_exceptions=True
    )
    assert isinstance(answers[0], Transient)
    assert answers[1] == "s2"


async def test_who_comes_while_others_are_looked_at_is_looked_at_afterwards() -> None:
    """Never an answer from before the question."""
    service = Service(pages=9)
    first = asyncio.create_task(service.together.at(snapshot(1)))
    while not service.gets:
        await asyncio.sleep(0)
    assert await service.together.at(snapshot(1)) == "s1"
    assert await first == "s1"
    assert service.gets == 2


@pytest.mark.parametrize("number", [1, 3])
async def test_who_gives_up_leaves_the_others_their_answer(number: int) -> None:
    service = Service()
    tasks = [asyncio.create_task(service.together.at(snapshot(n))) for n in range(4)]
    await asyncio.sleep(0)
    tasks[number].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each for n, each in enumerate(answers) if n != number] == [
        f"s{n}" for n in range(4) if n != number
    ]
