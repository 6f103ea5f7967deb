"""Why no restore point is taken, in the words of `shared.model.errors`.

Codes and sentences: Microsoft's page on restore points that fail. One code stands for many causes,
so the sentence decides which refusals are only for now.
"""

from shared.model.deferral import Deferred
from shared.model.errors import GuestFailed, Transient, VaultlineError
from shared.model.machine import Consistency

POLL_SECONDS = 30.0
BUSY_SECONDS = 60.0
FULL_SECONDS = 900.0
"""When to try again where a machine has as many points as it can have: retention removes some."""

_NOT_NOW = (
    ("concurrent", BUSY_SECONDS, "RestorePointBusy"),
    ("in progress", POLL_SECONDS, "MachineChanging"),
    ("being deleted", POLL_SECONDS, "RestorePointBusy"),
    ("cannot exceed", FULL_SECONDS, "RestorePointLimit"),
    ("snapshot limit", FULL_SECONDS, "RestorePointLimit"),
)


class Read(Transient):
    """A disk of the point is being read, or the point itself is at work."""

    code = "DiskRestorePointUsedByCustomer"


READ = dict.fromkeys((Read.code, "OperationNotAllowed", "Conflict"), Read)
"""What the deletion of a point is refused with; the first is documented."""


def refused(error: VaultlineError) -> VaultlineError:
    """The refusal of a request for a point: it stands, or is only for now."""
    if isinstance(error, Transient) and error.busy and error.retry_after:
        return Deferred(str(error), retry_after=error.retry_after, code="RestorePointRate")
    return _for_now(error) or error


def failed(
    subject: str, consistency: Consistency, error: VaultlineError | None = None
) -> VaultlineError:
    """Why a point came to nothing that was begun; without the error, nobody knows it any more.
    Where the guest has a part in it, it is the guest that did not do it."""
    if error is not None and (later := _for_now(error)):
        return later
    text = str(error) if error else f"the restore point of {subject} came to nothing"
    code = error.code if error else "RestorePointFailed"
    if consistency is Consistency.CRASH:
        return Transient(text, code=code)
    return GuestFailed(text, code=code)


def _for_now(error: VaultlineError) -> Deferred | None:
    text = str(error).lower()
    for words, seconds, code in _NOT_NOW:
        if words in text:
            return Deferred(str(error), retry_after=seconds, code=code)
    return None
