"""Many looks at things of one resource group as one listing of it.

Disks that are due at the same time are looked at at the same time. Who comes first waits a moment
for the others; all of them have their answers at once, and so stay together for the next. A listing
of few pages is then cheaper than a request for each, which is what calls are counted by.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.model.arm_ids import ArmId, ArmScope
from shared.ports import Clock

V = TypeVar("V")

GATHER_SECONDS = 0.25


@dataclass(frozen=True)
class Listing(Generic[V]):
    """What a group holds, and how many requests it took to know."""

    found: Mapping[ArmId, V]
    pages: int


@dataclass(eq=False)
class _Batch(Generic[V]):
    wanted: set[ArmId] = field(default_factory=set)
    answers: Mapping[ArmId, V | None] | None = None


class Together(Generic[V]):
    """`one` answers a single thing, None where it does not exist; `every` lists a group."""

    def __init__(
        self,
        clock: Clock,
        one: Callable[[ArmId], Awaitable[V | None]],
        every: Callable[[ArmScope], Awaitable[Listing[V]]],
    ) -> None:
        self._clock = clock
        self._one = one
        self._every = every
        self._pages: dict[ArmScope, int] = {}
        self._open: dict[ArmScope, _Batch[V]] = {}
        self._turns: defaultdict[ArmScope, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def at(self, of: ArmId) -> V | None:
        """The thing as it stands; None where there is none."""
        scope = ArmScope(of.subscription, of.group)
        batch = self._open.setdefault(scope, _Batch())
        batch.wanted.add(of)
        async with self._turns[scope]:
            if batch.answers is None:
                batch.answers = await self._answers(scope, batch)
            return batch.answers[of]

    async def _answers(self, scope: ArmScope, batch: _Batch[V]) -> Mapping[ArmId, V | None]:
        """Where it fails, the next who waits for the batch asks again."""
        await self._clock.sleep(GATHER_SECONDS)
        if self._open.get(scope) is batch:
            del self._open[scope]
        found = await self._listed(scope) if self._is_cheaper(scope, batch) else {}
        alone = [each for each in batch.wanted if each not in found]
        answers = await asyncio.gather(*map(self._one, alone))
        return {**found, **dict(zip(alone, answers, strict=True))}

    def _is_cheaper(self, scope: ArmScope, batch: _Batch[V]) -> bool:
        return len(batch.wanted) > self._pages.get(scope, 1)

    async def _listed(self, scope: ArmScope) -> Mapping[ArmId, V]:
        listing = await self._every(scope)
        self._pages[scope] = listing.pages
        return listing.found
