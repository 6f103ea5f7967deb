"""Microsoft.Compute put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from local.arm.compute.access import Access
from local.arm.compute.attaching import Attaching
from local.arm.compute.collection_routes import CollectionRoutes
from local.arm.compute.disk_routes import DiskRoutes
from local.arm.compute.extension_routes import ExtensionRoutes
from local.arm.compute.guests import Guests
from local.arm.compute.inventory import Inventory
from local.arm.compute.kinds import Shelves, Terms, open_shelves
from local.arm.compute.point_routes import PointRoutes
from local.arm.compute.point_taking import PointTaking
from local.arm.compute.polling import Polling
from local.arm.compute.snapshot_routes import SnapshotRoutes
from local.arm.compute.sources import Sources
from local.arm.compute.vhds import Vhds
from local.arm.compute.vm_routes import VmRoutes
from local.arm.core import Core
from local.arm.groups import group_id
from local.arm.routing import Route


@dataclass(frozen=True)
class Compute:
    """The provider; `inventory` is what other providers may do with machines and disks."""

    parts: Sequence[
        Polling
        | DiskRoutes
        | SnapshotRoutes
        | VmRoutes
        | ExtensionRoutes
        | CollectionRoutes
        | PointRoutes
    ]
    guests: Guests
    shelves: Shelves
    vhds: Vhds
    inventory: Inventory

    @classmethod
    def over(cls, core: Core, vhds: Vhds, terms: Terms | None = None) -> Self:
        """Everything over one core and one storage; the terms are Azure's unless given."""
        terms = terms or Terms()
        shelves = open_shelves(core)
        sources, polling = Sources(shelves, vhds), Polling(core)
        attaching = Attaching(shelves, sources)
        access = Access(core, shelves, vhds, polling, terms)
        taking = PointTaking(core, shelves, vhds, terms)
        vms = VmRoutes(core, shelves, vhds, attaching, polling, terms)
        collections = CollectionRoutes(core, shelves, taking, polling, terms)
        parts = (
            polling,
            DiskRoutes(core, shelves, vhds, sources, polling, access, terms),
            SnapshotRoutes(core, shelves, vhds, sources, polling, access, terms),
            vms,
            ExtensionRoutes(core, shelves, polling, terms),
            collections,
            PointRoutes(core, shelves, taking, polling, access, terms),
        )
        inventory = Inventory(shelves, vhds, attaching, taking)
        return cls(parts, Guests(shelves, vhds), shelves, vhds, inventory)

    def routes(self) -> Sequence[Route]:
        return [route for part in self.parts for route in part.routes()]

    def controls(self) -> Sequence[Route]:
        return self.guests.routes()

    async def settle(self, now: datetime) -> None:
        """Time alone decides; nothing is to be done."""

    async def drop_group(self, subscription: str, group: str) -> None:
        """Machines, then everything else, with their bytes."""
        scope = group_id(subscription, group)
        shelves = self.shelves
        for shelf in (
            shelves.vms,
            shelves.extensions,
            shelves.disk_points,
            shelves.points,
            shelves.collections,
            shelves.snapshots,
            shelves.disks,
        ):
            for resource in list(shelf.under(scope)):
                shelf.delete(resource.id)
                if "vhd" in resource.inner:
                    await self.vhds.delete(resource.inner["vhd"])

    async def close(self) -> None:
        await self.vhds.close()
