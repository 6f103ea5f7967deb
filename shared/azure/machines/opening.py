"""What is behind the port of machines, put together."""

from dataclasses import dataclass

from shared.azure.arm import Arm
from shared.azure.machines.building import Building
from shared.azure.machines.machines import ArmMachines
from shared.azure.machines.points import Points
from shared.azure.machines.sources import MachineSources
from shared.azure.machines.swapping import Swapping
from shared.azure.managed.grants import Grants


@dataclass(frozen=True)
class OpenMachines:
    """The port, and machines as sources."""

    machines: ArmMachines
    sources: MachineSources


def open_machines(arm: Arm, grants: Grants) -> OpenMachines:
    """Over one connection to Resource Manager; `grants` is the leave that is had for disks."""
    points = Points(arm, grants)
    machines = ArmMachines(arm, points, Building(arm), Swapping(arm))
    return OpenMachines(machines, MachineSources(machines, points))
