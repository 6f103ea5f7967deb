"""What the steps need from the world. Each Protocol lists what its callers use, and its duties.

Every call may fail with `Transient` (repeating later may help) besides the errors it names, and
may have taken effect although it failed: callers repeat, so every effect must bear repetition
(invariant 6). Adapters: `shared/azure` (the SDKs), `shared/memory` (tests, simulation).
"""

from dataclasses import dataclass, field

from shared.model.expiry import Guard
from shared.model.pace import Pace
from shared.ports.bus import Bus, DeadLetters
from shared.ports.clock import Clock
from shared.ports.due import DueIndex, DueSlot, SlotMove, Watch
from shared.ports.images import Containers, Disks, Images, Plans, ReadGrant
from shared.ports.inspection import Inspection
from shared.ports.machines import Machines
from shared.ports.recovery import RecoveryVaults
from shared.ports.state import Catalog, Groups, Inventory, Ledger

__all__ = [
    "Bus",
    "Catalog",
    "Clock",
    "Containers",
    "DeadLetters",
    "Disks",
    "DueIndex",
    "DueSlot",
    "Groups",
    "Images",
    "Inspection",
    "Inventory",
    "Ledger",
    "Machines",
    "Plans",
    "Ports",
    "ReadGrant",
    "RecoveryVaults",
    "SlotMove",
    "Watch",
]


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a step may touch; made in one place, `shared/wiring.py`."""

    clock: Clock
    ledger: Ledger
    catalog: Catalog
    inventory: Inventory
    groups: Groups
    due: DueIndex
    bus: Bus
    dead_letters: DeadLetters
    disks: Disks
    images: Images
    plans: Plans
    containers: Containers
    machines: Machines
    inspection: Inspection
    recovery: RecoveryVaults
    pace: Pace = field(default_factory=Pace)
    guard: Guard = field(default_factory=Guard)
    staging_account: str = ""
    """The id of the storage account that restores from Recovery Services vaults pass through."""
