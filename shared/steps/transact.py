"""Read, decide, write: the only way a step changes the ledger, and how its messages leave."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from shared import telemetry
from shared.decide.decision import Decision
from shared.model.errors import Conflict, NotFound, Transient
from shared.model.ids import ItemId
from shared.model.item import Item
from shared.model.ledger import Delete, Insert, R, Versioned, chunks
from shared.model.outbox import Outbox
from shared.ports import Ports

T = TypeVar("T")

TRIES = 12


async def transact(ports: Ports, item: ItemId, decide: Callable[[], Awaitable[Decision[T]]]) -> T:
    """Decides on fresh rows until nobody else wrote in between, then sends what follows.

    `decide` reads and decides; it is called again after every lost race, so it must do nothing
    else. Raises `Transient` where the races do not end.
    """
    for attempt in range(TRIES):
        decision = await decide()
        try:
            await commit(ports, item, decision)
        except Conflict:
            await asyncio.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 5)))  # noqa: S311
        else:
            return decision.result
    raise Transient(f"the ledger of {item} is written by too many at once")


async def commit(ports: Ports, item: ItemId, decision: Decision[T]) -> None:
    """Stores rows and messages together (invariant 7), then sends. Raises `Conflict`."""
    if not decision.changes and not decision.messages:
        return
    now, parent = ports.clock.now(), telemetry.traceparent()
    outbox = [
        Outbox(message=replace(message, traceparent=parent), created_at=now)
        for message in decision.messages
    ]
    await ports.ledger.commit(item, [*decision.changes, *(Insert(row) for row in outbox)])
    await post(ports, item, outbox)


async def post(ports: Ports, item: ItemId, outbox: list[Outbox]) -> None:
    """Sends the stored messages and forgets them. A death in between sends them twice, which
    queues and consumers bear (invariant 6)."""
    if not outbox:
        return
    await ports.bus.send([row.message for row in outbox])
    for some in chunks(Delete(row) for row in outbox):
        await ports.ledger.commit(item, some)


async def the(ports: Ports, item: ItemId, kind: type[R], id_: str = "") -> Versioned[R]:
    """The row, which must be there. Raises `NotFound`."""
    row = await ports.ledger.get(item, kind, id_)
    if row is None:
        what = f"{kind.__name__.lower()} {id_}" if id_ else f"item {item}"
        raise NotFound(f"there is no {what}")
    return row


async def watch(ports: Ports, item: ItemId) -> None:
    """Before an item leaves its rest: whatever dies from here on, somebody will look."""
    now = ports.clock.now()
    await ports.due.watch(item, now, now)


async def still(ports: Ports, item: ItemId) -> Item | None:
    """The item, or None where it is gone."""
    row = await ports.ledger.get(item, Item)
    return row.record if row else None
