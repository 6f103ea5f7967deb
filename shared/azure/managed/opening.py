"""What is behind the ports of managed disks, put together."""

from dataclasses import dataclass

from shared.azure.arm import Arm
from shared.azure.http import Pool
from shared.azure.managed.disks import ManagedDisks
from shared.azure.managed.grants import Grants
from shared.azure.managed.images import ManagedImages
from shared.azure.managed.shelf import Shelf
from shared.azure.managed.snapshots import Snapshots
from shared.azure.managed.uploads import Uploads


@dataclass(frozen=True)
class Managed:
    """The two ports, and the leave that they share."""

    disks: ManagedDisks
    images: ManagedImages
    grants: Grants

    async def aclose(self) -> None:
        """Takes back all leave."""
        await self.grants.aclose()


def open_managed(arm: Arm, pool: Pool) -> Managed:
    """Over one connection to Resource Manager, and a pool for what is read and written by SAS."""
    shelf = Shelf(arm)
    grants = Grants(arm, pool, shelf.revoked)
    uploads = Uploads(arm, grants)
    disks = ManagedDisks(arm, grants, Snapshots(arm, grants, shelf), uploads)
    return Managed(disks, ManagedImages(grants, uploads), grants)
