"""What every resource provider is given, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from local.arm.clock import Clock, wall_clock
from local.arm.counters import Counters
from local.arm.faults import Faults
from local.arm.groups import Groups
from local.arm.locks import Locks
from local.arm.operations import Operations
from local.arm.routing import Route
from local.arm.store import Store
from local.arm.throttling import Limits, Throttle

# How long the status of an ended operation can be asked for; looked at when the fake starts.
_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Core:
    """The parts that all providers share."""

    clock: Clock
    store: Store
    operations: Operations
    groups: Groups
    locks: Locks
    faults: Faults
    counters: Counters
    throttle: Throttle


class Provider(Protocol):
    """A resource provider. Calls come one at a time: none begins before another has answered."""

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        ...

    def controls(self) -> Sequence[Route]:
        """Endpoints for tests and tools, under `/__…`: no token, no api-version, not counted."""
        ...

    async def settle(self, now: datetime) -> None:
        """Called before each request: does what has fallen due by `now`."""
        ...

    async def drop_group(self, subscription: str, group: str) -> None:
        """The resource group is being deleted: deletes what is in it."""
        ...

    async def close(self) -> None:
        """The server ends."""
        ...


def open_core(
    data_dir: Path | None = None, *, factor: float = 1.0, limits: Limits | None = None
) -> Core:
    """The core over a data folder (None: in memory), its clock going on from where it began."""
    store = Store(data_dir)
    known = store.get("clock", "origin")
    origin = datetime.fromisoformat(known["at"]) if known else wall_clock()
    if known is None:
        store.put("clock", "origin", {"at": origin.isoformat()})
    clock, operations = Clock(origin, factor), Operations(store)
    operations.forget_before(clock.now() - _KEPT)
    return Core(
        clock=clock,
        store=store,
        operations=operations,
        groups=Groups(store),
        locks=Locks(store),
        faults=Faults(),
        counters=Counters(),
        throttle=Throttle(limits),
    )
