"""What the service refuses a request with, in its own words where those are known.

Each says where its code and text come from; *reported* is a public issue or page, not a recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.arm.answers import ArmError, JsonObject, resource_not_found


@dataclass(eq=False)
class ServiceError(ArmError):
    """An error of the service itself: it has three more fields, mostly null (recorded)."""

    @property
    def body(self) -> JsonObject:
        error: dict[str, Any] = {"code": self.code, "message": self.message, "target": None}
        error |= {"details": list(self.details) or None, "innerError": None}
        return {"error": error}


def vault_not_found(vault: str, group: str) -> ArmError:
    """Recorded, also for everything below a vault that is gone."""
    return resource_not_found(f"Microsoft.RecoveryServices/vaults/{vault}", group)


def not_found(what: str) -> ServiceError:
    """Anything below a vault that is not there; code recorded, text not."""
    return ServiceError(404, "ResourceNotFound", f"{what} was not found.")


def vault_has_soft_deleted(names: Sequence[str]) -> ServiceError:
    """Recorded 2022."""
    return ServiceError(
        400,
        "ServiceResourceNotEmptyWithBackendMessage",
        "Recovery Services vault cannot be deleted as there are backup items still present in soft "
        "delete state. Visit the following link for the steps to permanently delete soft deleted "
        f"items: https://aka.ms/undeletesoftdeleteditems.  : {', '.join(names)}. {_UNREGISTER}",
    )


def vault_has_items(names: Sequence[str]) -> ServiceError:
    """Code recorded, the text's beginning from the public page on deleting a vault."""
    return ServiceError(
        400,
        "ServiceResourceNotEmptyWithBackendMessage",
        "Vault cannot be deleted as there are existing resources within the vault. Please ensure "
        "there are no backup items, protected servers, or backup management servers associated "
        f"with this vault. The registered items are : {', '.join(names)}\n{_UNREGISTER}",
    )


_UNREGISTER = (
    "Please ensure all containers have been unregistered from the vault and all private endpoints "
    "associated with the vault have been deleted, and retry operation. "
    "For more details, see https://aka.ms/AB-AA4ecq5"
)


def redundancy_is_frozen() -> ServiceError:
    """Reported for backupstorageconfig (terraform-provider-azurerm 8813); assumed for vaults."""
    return ServiceError(
        400,
        "StorageModelModifyError",
        "Storage Redundancy option is locked when the first machine is registered with the vault, "
        "and cannot be modified thereafter.",
    )


def redundancy_belongs_to_vault() -> ServiceError:
    """Reported (bicep-registry-modules 5156)."""
    return ServiceError(
        400,
        "BMSUserErrorRedundancySettingsUseVaultApi",
        "Redundancy settings for this vault cannot be modified using this API. Since the Vault API "
        "was previously used to update the redundancy settings for this vault, you must again use "
        "the Vault API to make any further changes to this property.",
    )


def invalid_vault(parameter: str) -> ArmError:
    """Reported for `sku` and `monitoringSettings` (azure-rest-api-specs 4901)."""
    return ArmError(
        400,
        "InvalidRestApiParameter",
        f"{parameter} parameter is invalid.\r\nPlease provide a valid {parameter}",
    )


def soft_delete_stays_on() -> ServiceError:
    """Code reported, text not known."""
    return ServiceError(
        400,
        "BMSUserErrorDisablingSoftDeleteStateNotAllowed",
        "Soft delete of this vault is always on and cannot be disabled.",
    )


def invalid_policy(reason: str) -> ServiceError:
    """Code and text reported (azure-sdk-for-go 2822); Azure names no field, `details` does here."""
    return ServiceError(
        400,
        "BMSUserErrorInvalidPolicyInput",
        "Input for create or update policy is not in proper format\r\nPlease check format of "
        "parameters like schedule time, schedule days, retention time and retention days ",
        ({"code": "Reason", "message": reason},),
    )


def invalid_instant_days(days: int, least: int, most: int) -> ServiceError:
    """Reported (terraform-provider-azurerm 8822); the text's end is not known."""
    return ServiceError(
        400,
        "UserErrorInvalidRequestParameter",
        "Parameter InstantRpRetentionRangeInDays in request is invalid. "
        f"{days} is not within {least} and {most}.",
    )


def instant_days_exceed_vault(days: int, kept: int) -> ServiceError:
    """Code reported, text not known."""
    return ServiceError(
        400,
        "BMSUserErrorInstantRPRetentionExceedsVaultedRetention",
        f"Instant recovery points are kept for {days} days, longer than the vault keeps its own "
        f"({kept}).",
    )


def policy_in_use(name: str, items: int) -> ServiceError:
    """Known: a policy with items cannot be deleted. Code and text are not."""
    return ServiceError(
        400,
        "BMSUserErrorPolicyInUse",
        f"Policy '{name}' cannot be deleted: {items} backup items are associated with it.",
    )


def invalid_protection(reason: str) -> ServiceError:
    """Code and text reported (terraform-provider-azurerm 2143)."""
    return ServiceError(
        400,
        "BMSUserErrorInvalidConfigureProtectionRequest",
        "Input for configure protection is not in proper format\r\n"
        "Please ensure that container exists and other parameters are in valid format",
        ({"code": "Reason", "message": reason},),
    )


def policy_for_other_workload() -> ServiceError:
    """Code reported (terraform-provider-azurerm 25845), text not known."""
    return ServiceError(
        400,
        "BMSUserErrorInvalidPolicyForGivenProvider",
        "The policy is not for virtual machines.",
    )


def registered_elsewhere() -> ServiceError:
    """Text reported (terraform-provider-azapi 398), code not known."""
    return ServiceError(
        400,
        "BMSUserErrorContainerAlreadyRegisteredToAnotherVault",
        "Virtual machine is already registered\\registering with another recovery services vault "
        "Please select a different virtual machine for registration.",
    )


def another_protection_operation() -> ServiceError:
    """Code and text from the public list of errors; the status is not known."""
    return ServiceError(
        409,
        "BMSUserErrorConflictingProtectionOperation",
        "Another configure protection operation is in progress for this item.",
    )


def item_is_busy() -> ServiceError:
    """Code and text from the public list of errors; the status is not known."""
    return ServiceError(
        409, "BMSUserErrorObjectLocked", "Another operation is in progress on the selected item."
    )


def backup_is_running() -> ServiceError:
    """Code and text from the public list of errors; the status is not known."""
    return ServiceError(
        409,
        "UserErrorBackupOperationInProgress",
        "Unable to initiate backup as another backup operation is currently in progress.",
    )


def too_many_backups() -> ServiceError:
    """Code and text reported (azure-content 5067)."""
    return ServiceError(
        400,
        "CloudDosAbsoluteLimitReached",
        "Operation is blocked as you have reached the limit on number of operations permitted in "
        "24 hours.",
    )


def invalid_input(reason: str) -> ServiceError:
    """Code and text reported (azure-cli 31183)."""
    return ServiceError(
        400,
        "BMSUserErrorInvalidInput",
        "Input provided for the call is invalid",
        ({"code": "Reason", "message": reason},),
    )


def item_is_deleted() -> ServiceError:
    """Known: an item in soft-deleted state must be undeleted first. Code and text are not."""
    return ServiceError(
        400,
        "BMSUserErrorItemInSoftDeletedState",
        "The backup item is in soft deleted state. Undelete it before any other operation.",
    )


def not_cancellable(reason: str) -> ServiceError:
    """Known: a backup that transfers cannot be cancelled. Code and text are not."""
    return ServiceError(
        400, "UserErrorJobNotCancellable", f"The job is not in a cancelable state: {reason}"
    )


def throttled_by_hour(action: str, limit: int, wait_seconds: float) -> ArmError:
    """Recorded; Azure always said 324 seconds."""
    return ArmError(
        429,
        "ResourceRequestsThrottled",
        f"Number of requests for action 'Microsoft.RecoveryServices/vaults/{action}' exceeded the "
        f"limit of '{limit}' for time interval '01:00:00'. "
        f"Please try again after '{round(wait_seconds)}' seconds.",
        retry_after_seconds=wait_seconds,
    )
