"""The same work for many things: a bounded number at once, all ended together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

AT_ONCE = 16


async def side_by_side(
    keys: Iterable[K], work: Callable[[K], Awaitable[V]], at_once: int = AT_ONCE
) -> list[V]:
    """What `work` gives for each key, in their order. Where one fails the others are called off;
    of several failures the gravest is raised: what is permanent before what is transient."""
    places = asyncio.Semaphore(at_once)

    async def one(key: K) -> V:
        async with places:
            return await work(key)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(key)) for key in keys]
    except BaseExceptionGroup as failures:
        raise min(failures.exceptions, key=_transience) from None
    return [task.result() for task in tasks]


def _transience(error: BaseException) -> int:
    return int(getattr(error, "transient", -1))
