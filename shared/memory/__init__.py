"""The ports in memory: exact, deterministic, without sleeping. For tests and simulation."""

from dataclasses import dataclass

from shared.memory.bus import DeadLetter, Locked, MemoryBus
from shared.memory.catalog import MemoryCatalog
from shared.memory.clock import ManualClock
from shared.memory.containers import MemoryContainers
from shared.memory.dead_letters import MemoryDeadLetters
from shared.memory.disks import MemoryDisks
from shared.memory.due import MemoryDueIndex
from shared.memory.faults import Fault, Faults, busy
from shared.memory.grants import Grants
from shared.memory.groups import MemoryGroups
from shared.memory.images import MemoryImages
from shared.memory.inspection import MemoryInspection
from shared.memory.inventory import MemoryInventory
from shared.memory.ledger import MemoryLedger
from shared.memory.machines import MemoryMachine, MemoryMachines
from shared.memory.plans import MemoryPlans
from shared.memory.recovery import MemoryRecovery
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
    "MemoryContainers",
    "MemoryDeadLetters",
    "MemoryDisks",
    "MemoryDueIndex",
    "MemoryGroups",
    "MemoryImages",
    "MemoryInspection",
    "MemoryInventory",
    "MemoryLedger",
    "MemoryMachine",
    "MemoryMachines",
    "MemoryPlans",
    "MemoryPorts",
    "MemoryRecovery",
    "MemoryStorage",
    "busy",
    "memory_ports",
]


@dataclass(frozen=True, kw_only=True)
class MemoryPorts(Ports):
    """The ports as what they are, and what lies behind them."""

    clock: ManualClock
    ledger: MemoryLedger
    catalog: MemoryCatalog
    inventory: MemoryInventory
    groups: MemoryGroups
    due: MemoryDueIndex
    bus: MemoryBus
    dead_letters: MemoryDeadLetters
    disks: MemoryDisks
    images: MemoryImages
    plans: MemoryPlans
    containers: MemoryContainers
    machines: MemoryMachines
    inspection: MemoryInspection
    recovery: MemoryRecovery
    storage: MemoryStorage
    grants: Grants
    faults: Faults


def memory_ports(
    clock: ManualClock | None = None, pace: Pace | None = None, guard: Guard | None = None
) -> MemoryPorts:
    """A world of its own, empty, with one clock and one script of faults for all its ports."""
    clock, faults = clock or ManualClock(), Faults()
    storage, grants, bus = MemoryStorage(clock), Grants(clock), MemoryBus(clock, faults)
    machines = MemoryMachines(storage, faults)
    return MemoryPorts(
        clock=clock,
        ledger=MemoryLedger(faults),
        catalog=MemoryCatalog(faults),
        inventory=MemoryInventory(faults),
        groups=MemoryGroups(faults),
        due=MemoryDueIndex(faults),
        bus=bus,
        dead_letters=MemoryDeadLetters(bus, faults),
        disks=MemoryDisks(storage, grants, faults, machines),
        images=MemoryImages(storage, grants, faults),
        plans=MemoryPlans(faults),
        containers=MemoryContainers(storage, faults),
        machines=machines,
        inspection=MemoryInspection(machines, storage, faults),
        recovery=MemoryRecovery(clock, machines, faults),
        pace=pace or Pace(),
        guard=guard or Guard(),
        storage=storage,
        grants=grants,
        faults=faults,
    )
