"""What can go wrong, in words that tell a person what to do.

An error says whether repeating may help (`transient`), names its subject, and recommends an
action. SDK exceptions never leave `shared/azure`; these do.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ErrorDetail:
    """An error as it is kept in a job and shown to people."""

    code: str
    message: str
    recommended_action: str


class VaultlineError(Exception):
    """Base of all domain errors. `code` is stable; the message is for people."""

    code = "InternalError"
    transient = False
    action = "Look at the job's trace; if it happens again, report it with the job id."

    def __init__(self, message: str, *, action: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.action = action or type(self).action
        self.code = code or type(self).code

    def detail(self) -> ErrorDetail:
        return ErrorDetail(code=self.code, message=str(self), recommended_action=self.action)


class Transient(VaultlineError):
    """Repeating later may help: the message goes back to its queue.

    `retry_after` is how many seconds the service asked to wait, where it did. `busy` where it
    said that it has too much to do: then fewer requests at a time help, too.
    """

    code = "ServiceUnavailable"
    transient = True
    action = "Nothing: the work is repeated until it succeeds."

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        busy: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.busy = busy


class GrantOver(Transient):
    """The source refused to be read: the grant has run out, or somebody revoked it."""

    code = "GrantOver"
    action = "Nothing: leave to read is asked for again."


class GuestFailed(Transient):
    """A machine's guest did not do its part of a consistent restore point."""

    code = "GuestFailed"
    action = "Nothing: after a few attempts the backup is crash-consistent. `vaultline vm check`."


class Invalid(VaultlineError):
    """Somebody's input is wrong; repeating cannot help."""

    code = "InvalidInput"
    action = "Correct the input and send it again."


class NotFound(VaultlineError):
    """The named item, policy, vault, job or point does not exist."""

    code = "NotFound"
    action = "Check the name; `vaultline items`, `policy list` and `vault list` show what exists."


class VaultGone(NotFound):
    """The Recovery Services vault itself is not there (any more), and nothing in it."""

    code = "VaultNotFound"
    action = (
        "If it was deleted on purpose, delete it here as well: its items with `vaultline stop "
        "ITEM --delete-data`, then `vaultline vault delete`. Otherwise have it restored."
    )


class Conflict(VaultlineError):
    """A conditional write lost its race. Normal: read again and decide again."""

    code = "Conflict"
    transient = True
    action = "Nothing: the step reads again and decides again."


class AlreadyExists(VaultlineError):
    """Something else has the name already."""

    code = "AlreadyExists"
    action = "Choose another name, or use what exists."


class StaleEpoch(VaultlineError):
    """The storage service refused a writer whose epoch is over (invariant 3)."""

    code = "StaleEpoch"
    action = "Nothing: a newer transfer writes to this replica."


TARGET_NOT_FOUND = "TargetNotFound"
"""The code of a `StaleEpoch` whose image does not exist (any more): its fence went with it."""


class SourceGone(VaultlineError):
    """The source disk, or the snapshot to read, does not exist (any more)."""

    code = "SourceNotFound"
    action = (
        "If the disk was deleted on purpose, stop its protection; its points are kept. "
        "Otherwise restore it."
    )


class ChainBroken(VaultlineError):
    """No truthful diff exists between the base and the new snapshot: a full copy follows."""

    code = "ChainBroken"
    action = "Nothing: the next transfer copies the whole disk."


class ServerSideCopyRefused(VaultlineError):
    """The service will not read this source itself; the worker must carry the bytes."""

    code = "CopySourceCannotBeIncrementalCopyBlob"
    action = "Nothing: the bytes are streamed through the worker instead."


class Cancelled(VaultlineError):
    """Somebody wanted the job to end before its time."""

    code = "Cancelled"
    action = "Nothing, unless it was a mistake: then ask for it again."


CANCELLED = Cancelled("it was cancelled on request").detail()


class TargetBusy(VaultlineError):
    """A restore target is in use: leased by somebody else, or already there."""

    code = "TargetInUse"
    action = "Release the lease on the target, or restore to another name."
