"""What Resource Manager refuses, in the words of `shared.model.errors`.

Its errors are JSON (`{"error": {"code", "message"}}`, as recorded); the code decides first, then
the status. As everywhere, no SDK exception goes on, and no text keeps a signature (invariant 10).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError

from shared.azure.errors import LONGEST_ASKED_SECONDS, scrub
from shared.azure.http import ASKED_WAIT
from shared.model.errors import Conflict, Invalid, SourceGone, Transient, VaultlineError

Kinds = Mapping[str, type[VaultlineError]]


class GroupGone(SourceGone):
    """The resource group that something was to be made in does not exist (any more)."""

    code = "TargetGroupNotFound"
    action = "Make the resource group again, or restore into another one."


IN_GROUP: Kinds = {"ResourceGroupNotFound": GroupGone}
"""Where something is made."""

THROTTLED_SECONDS = 30.0
"""How long Resource Manager is left alone where it says "too many" and not for how long."""
_GONE = frozenset(
    {
        "ResourceNotFound",
        "NotFound",
        "ResourceGroupNotFound",
        "SubscriptionNotFound",
        "ParentResourceNotFound",
    }
)
_PASSING = frozenset(
    {
        "AnotherOperationInProgress",
        "ConcurrentRequestConflict",
        "OperationPreempted",
        "RetryableError",
        "ResourceGroupBeingDeleted",
        "DiskServiceInternalError",
    }
)
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
ROLES = (
    "Give the app's identity the roles of docs/deploy.md on the resource groups of the disks: "
    "Disk Snapshot Contributor's rights on snapshots, and beginGetAccess on snapshots and disks."
)
_ACTIONS = {
    "ScopeLocked": "Remove the lock from the resource group, or have snapshots put into another "
    "one (VAULTLINE_SNAPSHOT_GROUP).",
    "AuthorizationFailed": ROLES,
    "LinkedAuthorizationFailed": ROLES,
    "MissingSubscriptionRegistration": "Register the provider once in the subscription: "
    "`az provider register --namespace Microsoft.Compute`.",
    "RequestDisallowedByPolicy": "An Azure Policy of the subscription forbids it: exempt the "
    "resource group, or have the policy changed.",
    "QuotaExceeded": "Have the subscription's quota raised.",
    "DiskNetworkAccessPolicyDenied": "The disk's network access policy forbids exports: allow it.",
}
"""What to do about what only people can change."""


@contextmanager
def arm_translated(subject: str, kinds: Kinds | None = None) -> Iterator[None]:
    """Turns SDK errors inside into ours, about `subject`; `kinds` go before everything else."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise arm_translate(error, subject, kinds) from None


def arm_translate(error: Exception, subject: str, kinds: Kinds | None = None) -> VaultlineError:
    """The domain error that Resource Manager's answer means."""
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return Transient(f"{subject}: {_first_line(str(error))}", code="ConnectionFailed")
    code = arm_code(error)
    ours = _meaning(error.status_code, code, f"{subject}: {_text(error)}", subject, kinds or {})
    if isinstance(ours, Transient):
        ours.retry_after = _asked_wait(error, ours.retry_after)
        ours.busy = error.status_code == 429
    headers = getattr(error.response, "headers", None) or {}
    if request := headers.get("x-ms-request-id"):
        ours.add_note(f"request id: {request}")
    return ours


def arm_code(error: HttpResponseError) -> str:
    """The code in the error's body, or ""."""
    return str(getattr(error.error, "code", "") or "")


def _meaning(status: int, code: str, text: str, subject: str, kinds: Kinds) -> VaultlineError:
    if code in kinds:
        return kinds[code](text)
    if code in _GONE or status == 404:
        return SourceGone(f"{subject} does not exist")
    if status == 429:
        throttled = Transient(text, code=code or "TooManyRequests")
        throttled.retry_after = THROTTLED_SECONDS
        return throttled
    if status in _BUSY or code in _PASSING:
        return Transient(text, code=code or None)
    if status in (401, 403):
        return Invalid(text, code="AccessDenied", action=_ACTIONS.get(code, ROLES))
    if status == 412:
        return Conflict(text)
    return Invalid(text, code=code or None, action=_ACTIONS.get(code))


def _asked_wait(error: HttpResponseError, otherwise: float | None) -> float | None:
    asked = (getattr(error.response, "headers", None) or {}).get(ASKED_WAIT)
    return min(float(asked), LONGEST_ASKED_SECONDS) if asked else otherwise


def _text(error: HttpResponseError) -> str:
    return _first_line(getattr(error.error, "message", None) or error.reason or "no reason given")


def _first_line(text: str) -> str:
    lines = scrub(text).strip().splitlines()
    return lines[0][:300] if lines else "no reason given"
