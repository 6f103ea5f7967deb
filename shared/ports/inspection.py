"""What a check needs of virtual machines."""

from typing import Protocol

from shared.model.ids import DiskUrl
from shared.model.inspection import Inspected


class Inspection(Protocol):
    """Looks at machines, and changes nothing."""

    async def inspect(self, vm: DiskUrl) -> Inspected:
        """Everything that can be seen of the machine from outside. What could not be looked at is
        in `unseen`, with the reason. Raises `SourceGone` where there is no such machine, `Invalid`
        where it is not ours to look at, `Transient`."""
        ...
