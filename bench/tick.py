"""The tick at scale: storage requests and time, by how many items there are and are due.

Real storage clients against a real Azurite, real messages to the laptop's Service Bus. Requests
are counted by the storage, not by us.
"""

import argparse
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from bench.fleet import DUE, POLICY, RESTING, Database, plant, read, write
from bench.servers import Servers, running_servers
from shared.model.item import Item
from shared.model.messages import SNAPSHOT, Outgoing
from shared.ports import Ports
from shared.steps.tick import tick

ABOUT = "what one tick costs at many items, of which few are due"
SIZES = (1_000, 10_000, 100_000)
DUE_PERCENTS = (0.0, 1.0)
ALL_AT_ONCE = (1_000, 1_000)
"""Items and how many of them are due: a thousand at once, in a store of no other items."""
ROUNDS = 3

Cell = tuple[int, int]
"""How many items, and how many of them are due."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One tick. `first` in its process, it also makes sure that its table exists; `requests` are
    those to the storage, by operation."""

    items: int
    due: int
    first: bool
    started: int
    seconds: float
    requests: dict[str, int]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, nargs="+", help="how many items")
    parser.add_argument("--due", type=float, nargs="+", help="percent of them that are due")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="ticks of each kind")


def cells(options: argparse.Namespace) -> list[Cell]:
    """What is asked for: every size with every percentage."""
    sizes, percents = options.items or SIZES, options.due or DUE_PERCENTS
    asked = [(size, round(size * percent / 100)) for size in sizes for percent in percents]
    return asked if options.items or options.due else [*asked, ALL_AT_ONCE]


async def run(options: argparse.Namespace) -> list[Sample]:
    """Some ticks for each cell; each that finds something due in a fresh store."""
    samples = []
    async with running_servers() as servers:
        async with servers.wiring() as wiring:
            await plant(wiring.ports())
        with servers.storage_at_rest() as database:
            planted = read(database)
        for number, cell in enumerate(cells(options)):
            ticks = _busy if cell[1] else _idle
            names = f"disk-{number}"
            samples += [s async for s in ticks(servers, planted, cell, names, options.rounds)]
    return samples


async def _idle(
    servers: Servers, planted: Database, cell: Cell, names: str, rounds: int
) -> AsyncIterator[Sample]:
    _grow(servers, planted, cell, names)
    async with servers.wiring() as wiring:
        yield await _measured(servers, wiring.ports(), cell, first=True)
        for _ in range(rounds):
            yield await _measured(servers, wiring.ports(), cell)


async def _busy(
    servers: Servers, planted: Database, cell: Cell, names: str, rounds: int
) -> AsyncIterator[Sample]:
    for number in range(rounds):
        # Names are new each time: the bus drops messages that it has seen.
        _grow(servers, planted, cell, f"{names}-{number}")
        async with servers.wiring() as wiring:
            await _warm(wiring.ports())
            yield await _measured(servers, wiring.ports(), cell)


def _grow(servers: Servers, planted: Database, cell: Cell, names: str) -> None:
    size, due = cell
    every = [f"{names}-{number:06}" for number in range(size)]
    with servers.storage_at_rest() as database:
        write(database, planted, {DUE: every[:due], RESTING: every[due:]})


async def _warm(ports: Ports) -> None:
    """Opens what a tick needs, as in a process that has ticked before."""
    async for _ in ports.due.slots(ports.clock.now()):
        break
    await ports.ledger.get(DUE, Item)
    await ports.catalog.policy(POLICY.name)
    await ports.bus.send([Outgoing(queue=SNAPSHOT, message_id="warm", body="{}")])


async def _measured(servers: Servers, ports: Ports, cell: Cell, *, first: bool = False) -> Sample:
    items, due = cell
    before = servers.requests()
    began = perf_counter()
    started = await tick(ports)
    seconds = perf_counter() - began
    requests = dict(sorted((servers.requests() - before).items()))
    if started != min(due, ports.pace.starts_per_tick):
        raise RuntimeError(f"{started} of {due} due items were started: nothing was measured")
    sample = Sample(
        items=items,
        due=due,
        first=first,
        started=started,
        seconds=round(seconds, 4),
        requests=requests,
    )
    print(sample, flush=True)
    return sample


def table(samples: Sequence[Sample]) -> Iterator[str]:
    """The samples for people, in Markdown: a row a kind of tick, by its medians."""
    yield "| items | due | tick | storage requests | of them | seconds |"
    yield "|---:|---:|---|---:|---|---:|"
    kinds = dict.fromkeys((sample.items, sample.due, sample.first) for sample in samples)
    for items, due, first in kinds:
        same = [s for s in samples if (s.items, s.due, s.first) == (items, due, first)]
        same.sort(key=lambda sample: sum(sample.requests.values()))
        requests = same[len(same) // 2].requests
        cells = (
            f"{items:,}",
            f"{due:,}",
            "first of its process" if first else "later",
            f"{sum(requests.values()):,}",
            ", ".join(_plain(name, count) for name, count in requests.items()),
            f"{median(sample.seconds for sample in same):.3f}",
        )
        yield f"| {' | '.join(cells)} |"


_PLAIN = {
    "Table_Batch": ("transaction", "transactions"),
    "Table_Create": ("look at the table", "looks at the tables"),
    "Table_QueryEntities": ("query", "queries"),
    "Table_QueryEntitiesWithPartitionAndRowKey": ("row read", "rows read"),
}


def _plain(operation: str, count: int) -> str:
    one, many = _PLAIN.get(operation, (operation, operation))
    return f"{count:,} {one if count == 1 else many}"
