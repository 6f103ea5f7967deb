"""Looking at virtual machines, in memory: at those of `MemoryMachines`, and at what people put
around them (`place`)."""

from collections.abc import Sequence
from dataclasses import replace

from shared.memory.faults import Faults
from shared.memory.machines import MemoryMachines
from shared.memory.storage import MemoryStorage
from shared.model.ids import DiskUrl
from shared.model.inspection import Inspected, SeenDisk
from shared.model.machine import MachineDisk


class MemoryInspection:
    def __init__(
        self, machines: MemoryMachines, storage: MemoryStorage, faults: Faults | None = None
    ) -> None:
        self._machines = machines
        self._storage = storage
        self._faults = faults or Faults()
        self._placed: dict[DiskUrl, Inspected] = {}

    def place(self, seen: Inspected) -> None:
        """What is around a machine from now on. Its own state is always the machine's, and its
        disks where none are given."""
        self._placed[seen.machine.url] = seen

    async def inspect(self, vm: DiskUrl) -> Inspected:
        async with self._faults.around("inspection.inspect"):
            machine = await self._machines.state(vm)
            placed = self._placed.get(vm, Inspected(machine=machine))
            taken = tuple(point.taken_at for point in await self._machines.points(vm))
            return replace(
                placed,
                machine=machine,
                disks=placed.disks or self._disks(machine.disks),
                points_taken=placed.points_taken or taken,
            )

    def _disks(self, attached: Sequence[MachineDisk]) -> tuple[SeenDisk, ...]:
        return tuple(
            SeenDisk(
                lun=each.lun,
                name=each.name,
                url=each.disk,
                sku="Premium_LRS",
                size_bytes=self._storage.blob(each.disk).state.size_bytes,
            )
            for each in attached
        )
