"""What Recovery Services refuse, in the words of `shared.model.errors`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError

from shared.azure.arm_errors import Kinds, arm_code, arm_translate
from shared.azure.http import ASKED_WAIT
from shared.model.deferral import Deferred
from shared.model.errors import Conflict, NotFound, VaultGone, VaultlineError

HOURLY_SECONDS = 324.0
"""How long it takes until an hourly limit lets requests pass again, where nothing says so; all
that were recorded said just that."""
BUSY_SECONDS = 60.0
"""When to try again what waits for another change of the same item."""
_WAIT = re.compile(r"try again after '(\d+)' seconds")
_VAULT = re.compile(r"'?Microsoft\.RecoveryServices/vaults/[^/' ]+'? under resource group", re.I)
_BUSY = frozenset({"BMSUserErrorConflictingProtectionOperation", "BMSUserErrorObjectLocked"})
_KINDS: Kinds = {"UserErrorBackupOperationInProgress": Conflict}
_ROLES = (
    "Give the app's identity the roles of docs/deploy.md: Backup Operator on the vault (Backup "
    "Contributor where it puts policies or deletes data), and Virtual Machine Contributor on the "
    "machines' resource groups."
)
_ACTIONS = {
    "AuthorizationFailed": _ROLES,
    "LinkedAuthorizationFailed": "The app's identity may use the vault, but not what the request "
    f"names besides: {_ROLES[0].lower()}{_ROLES[1:]}",
    "MissingSubscriptionRegistration": "Register the provider once in the subscription: "
    "`az provider register --namespace Microsoft.RecoveryServices`.",
    "StorageModelModifyError": "Choose the vault's own redundancy, or another vault: it is frozen "
    "once the vault holds an item.",
    "BMSUserErrorRedundancySettingsUseVaultApi": "Choose the vault's own redundancy.",
    "BMSUserErrorContainerAlreadyRegisteredToAnotherVault": "Stop its protection in the other "
    "vault and delete its data there; a machine is protected by one vault.",
    "CloudDosAbsoluteLimitReached": "Wait for the next day (UTC): a machine can be backed up nine "
    "times a day on demand.",
    "BMSUserErrorItemInSoftDeletedState": "Undelete it first.",
    "BMSUserErrorInvalidConfigureProtectionRequest": "See that the machine exists and is in the "
    "vault's region and subscription, and that the policy exists.",
}
"""What to do about what only people can change."""


@contextmanager
def vault_translated(subject: str) -> Iterator[None]:
    """Turns SDK errors inside into ours, about `subject`."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise vault_translate(error, subject) from None


def vault_translate(error: Exception, subject: str) -> VaultlineError:
    """The domain error that an answer of Recovery Services means."""
    ours = arm_translate(error, subject, _KINDS)
    if not isinstance(error, HttpResponseError):
        return ours
    code = arm_code(error)
    if error.status_code == 404:
        return _absent(error, subject, code)
    if error.status_code == 429:
        return Deferred(str(ours), retry_after=_wait(error), code=code or None)
    if code in _BUSY:
        return Deferred(str(ours), retry_after=BUSY_SECONDS, code=code)
    ours.code = code if code in _KINDS else ours.code
    ours.action = _ACTIONS.get(code, ours.action)
    return ours


def _absent(error: HttpResponseError, subject: str, code: str) -> NotFound:
    """Everything below a vault that is gone answers that the vault is."""
    if code == "ResourceGroupNotFound" or _VAULT.search(_message(error)):
        return VaultGone(f"{subject}: the vault does not exist (any more)")
    return NotFound(f"{subject} does not exist")


def _wait(error: HttpResponseError) -> float:
    """How long Azure wants to be left alone: by its header, or by its sentence."""
    asked = (getattr(error.response, "headers", None) or {}).get(ASKED_WAIT)
    said = _WAIT.search(_message(error))
    return float(asked or (said[1] if said else HOURLY_SECONDS))


def _message(error: HttpResponseError) -> str:
    return str(getattr(error.error, "message", None) or "")
