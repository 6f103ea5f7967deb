"""What went wrong, as people and scripts are told it, and the exit status that says so."""

import json
import sys
from dataclasses import dataclass, replace

from typer.exceptions import Abort, TyperException

from local.errors import StackError
from shared.model.errors import AlreadyExists, Invalid, NotFound, SourceGone, VaultlineError

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit statuses: done; the work failed; the request itself was wrong."""

_TRY_AGAIN = "See that the service can be reached (`vaultline local status`), and try again."


@dataclass(frozen=True, kw_only=True)
class Failure:
    """`action` is what to do about it; empty where the message says that already."""

    code: str
    message: str
    action: str
    status: int


def failure_of(error: Exception) -> Failure | None:
    """The failure that an exception means; None for what is a mistake of ours."""
    match error:
        case Invalid() | NotFound() | AlreadyExists() | SourceGone():
            return _domain(error, BAD_INPUT)
        case VaultlineError(transient=True):
            # Its own advice is for messages, which come again by themselves; people do not.
            return replace(_domain(error, FAILED), action=_TRY_AGAIN)
        case VaultlineError():
            return _domain(error, FAILED)
        case StackError():
            return Failure(code=type(error).__name__, message=str(error), action="", status=FAILED)
        case TyperException():
            return _usage(error)
        case Abort():
            return Failure(code="Aborted", message="Aborted.", action="", status=FAILED)
    return None


def tell(failure: Failure, *, as_json: bool) -> None:
    """Prints it: a JSON object on standard output, or words on standard error."""
    if as_json:
        told = {
            "code": failure.code,
            "message": failure.message,
            "recommended_action": failure.action,
        }
        sys.stdout.write(json.dumps({"error": told}, indent=2) + "\n")
        return
    lines = [failure.message, failure.action]
    sys.stderr.write("\n".join(line for line in lines if line) + "\n")


def _domain(error: VaultlineError, status: int) -> Failure:
    return Failure(code=error.code, message=str(error), action=error.action, status=status)


def _usage(error: TyperException) -> Failure:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "vaultline"
    return Failure(
        code="BadUsage",
        message=error.format_message(),
        action=f"See `{path} --help`.",
        status=error.exit_code,
    )
