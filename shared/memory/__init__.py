"""The ports in memory: exact, deterministic, without sleeping. For tests and simulation."""

from dataclasses import dataclass

from shared.memory.bus import DeadLetter, Locked, MemoryBus
from shared.memory.catalog import MemoryCatalog
from shared.memory.clock import ManualClock
from shared.memory.disks import MemoryDisks
from shared.memory.due import MemoryDueIndex
from shared.memory.faults import Fault, Faults
from shared.memory.grants import Grants
from shared.memory.images import MemoryImages
from shared.memory.ledger import MemoryLedger
from shared.memory.plans import MemoryPlans
from shared.memory.storage import MemoryStorage
from shared.model.expiry import Guard
from shared.model.pace import Pace
from shared.ports import Ports

__all__ = [
    "DeadLetter",
    "Fault",
    "Faults",
    "Grants",
    "Locked",
    "ManualClock",
    "MemoryBus",
    "MemoryCatalog",
    "MemoryDisks",
    "MemoryDueIndex",
    "MemoryImages",
    "MemoryLedger",
    "MemoryPlans",
    "MemoryPorts",
    "MemoryStorage",
    "memory_ports",
]


@dataclass(frozen=True, kw_only=True)
class MemoryPorts(Ports):
    """The ports as what they are, and what lies behind them."""

    clock: ManualClock
    ledger: MemoryLedger
    catalog: MemoryCatalog
    due: MemoryDueIndex
    bus: MemoryBus
    disks: MemoryDisks
    images: MemoryImages
    plans: MemoryPlans
    storage: MemoryStorage
    grants: Grants
    faults: Faults


def memory_ports(
    clock: ManualClock | None = None, pace: Pace | None = None, guard: Guard | None = None
) -> MemoryPorts:
    """A world of its own, empty, with one clock and one script of faults for all its ports."""
    clock, faults = clock or ManualClock(), Faults()
    storage, grants = MemoryStorage(clock), Grants(clock)
    return MemoryPorts(
        clock=clock,
        ledger=MemoryLedger(faults),
        catalog=MemoryCatalog(faults),
        due=MemoryDueIndex(faults),
        bus=MemoryBus(clock, faults),
        disks=MemoryDisks(storage, grants, faults),
        images=MemoryImages(storage, grants, faults),
        plans=MemoryPlans(faults),
        pace=pace or Pace(),
        guard=guard or Guard(),
        storage=storage,
        grants=grants,
        faults=faults,
    )
