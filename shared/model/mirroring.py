"""What a job has a Recovery Services vault do, and how far the asking has come."""

from dataclasses import dataclass
from datetime import datetime

from shared.model.recovery import VaultRestore


@dataclass(frozen=True, kw_only=True)
class Errand:
    """Kept in the job's row, so that whoever comes after a death goes on from there: asked or
    not, under which operation, and (the job's `mirrors`) which job of the vault it became."""

    looks: int = 0
    """How often it was looked at: a message for an earlier look comes too late."""
    asked_at: datetime | None = None
    """From when on the vault may have been asked; written before it is."""
    known: tuple[str, ...] | None = None
    """The vault's jobs of that kind and machine from before it was asked, which are not what it
    began for us, whatever its clock says; None where they could not be listed."""
    tried_at: datetime | None = None
    """The last time that it may have been."""
    operation: str = ""
    """What the vault calls that which was begun: a name, never an address (invariant 10)."""
    discovery: str = ""
    """The search for machines that has to end first."""
    heard_at: datetime | None = None
    """When the vault last answered."""
    policy: str = ""
    """The vault's policy that the machine is to come under."""
    new: bool = False
    """The item exists for this job's sake: it goes where the job fails."""
    deletes: bool = False
    """The end of protection is that of its points, too."""
    restore: VaultRestore | None = None
