"""Why a job fails: the codes, titles and texts of a job's `errorDetails`."""

from dataclasses import dataclass

_RETRY = "Please retry the operation in a few minutes. If the problem persists, please contact Microsoft support."  # noqa: E501


@dataclass(frozen=True)
class Failure:
    """One entry of `errorDetails`; `recorded` is False where only code and title are evidence."""

    code: int
    title: str
    text: str
    advice: str = ""
    recorded: bool = True

    @property
    def recommendations(self) -> list[str]:
        return [self.advice] if self.advice else []


VM_NOT_FOUND = Failure(
    400136,
    "UserErrorVmNotFoundV2",
    "Virtual machine doesn't exist.",
    "Please make sure that virtual machine exists or select a different virtual machine. "
    "For more details, please refer to http://aka.ms/UserErrorVmNotFoundV2",
)
VM_GONE = Failure(
    320001,
    "ResourceNotFound",
    "Could not perform the operation as VM no longer exists.",
    "Stop protecting virtual machine without deleting backup data. "
    "More details at http://go.microsoft.com/fwlink/?LinkId=808124 ",
)
TRANSFER_FAILED = Failure(
    400052,
    "DiffCopyFailedToTransferData",
    "Backup failed to copy data to vault.",
    "Please retry backup after sometime. Please see https://azure.microsoft.com/en-us/status/ "
    "if there is an on-going issue with storage or network service and retry backup after "
    "issue is mitigated.",
)
CANCELLED = Failure(400158, "UserErrorJobSuccessfullyCancelled", "Job is cancelled.")
RESOURCE_GONE = Failure(
    400309,
    "UserErrorGenericResourceNotFound",
    "Azure resource does not exist.",
    "Please make sure required resources exist. If the issue persists, contact Microsoft support.",
)
RESTORE_FAILED = Failure(
    400003, "RestoreOperationFailed", "Restore failed with an internal error.", _RETRY
)
STORAGE_ACCOUNT_GONE = Failure(
    400048,
    "UserErrorBCMRestoreStorageAccountNotFound",
    "Storage Account specified for Restore operation doesn't exist.",
    "Make sure that the storage account specified in restore operation exists till restore "
    "operation is completed. If you have deleted the specified storage account, please use a "
    "different storage account and retry the operation. ",
)
GROUP_GONE = Failure(
    400141,
    "UserErrorResourceGroupNotFound",
    "Resource group doesn't exist.",
    "Please select an existing resource group or create a new resource group.",
)

BACKUP_FAILED = Failure(
    400002,
    "BackUpOperationFailed",
    "Backup failed with an internal error.",
    _RETRY,
    recorded=False,
)
AGENT_UNAVAILABLE = Failure(
    400196,
    "UserErrorGuestAgentStatusUnavailable",
    "VM agent is unable to communicate with Azure Backup.",
    "Make sure that the VM agent is running, current and can be reached, and retry.",
    recorded=False,
)
AGENT_TOO_OLD = Failure(
    380016,
    "UserErrorGuestAgentVersionUnsupported",
    "The version of the VM agent is not supported.",
    "Update the VM agent and retry the backup.",
    recorded=False,
)
NO_NETWORK = Failure(
    400206,
    "ExtensionSnapshotFailedNoNetwork",
    "Snapshot operation failed due to no network connectivity on the virtual machine.",
    "Allow the virtual machine outbound access to Azure storage, and retry the backup.",
    recorded=False,
)
SNAPSHOT_STATUS_UNKNOWN = Failure(
    400039,
    "GuestAgentSnapshotTaskStatusError",
    "Could not communicate with the VM agent for snapshot status.",
    "Make sure that the VM agent is running and retry the backup.",
    recorded=False,
)
COLLECTION_DELETED = Failure(
    400288,
    "UserErrorRpCollectionDeleted",
    "The restore point collection was deleted.",
    "Retry the backup; do not delete the resource group that Azure Backup makes.",
    recorded=False,
)
COMPUTE_REFUSED = Failure(
    400349,
    "UserErrorCrpReportedUserError",
    "Compute refused the operation.",
    "Remove what is named in the message, and retry.",
    recorded=False,
)
REVOKE_FAILED = Failure(
    400380,
    "DiskAPIRevokeSASFailed",
    "Access to a disk's snapshot could not be revoked.",
    _RETRY,
    recorded=False,
)

AT_SNAPSHOT = (
    VM_NOT_FOUND,
    BACKUP_FAILED,
    AGENT_UNAVAILABLE,
    AGENT_TOO_OLD,
    NO_NETWORK,
    SNAPSHOT_STATUS_UNKNOWN,
    COMPUTE_REFUSED,
)
"""End a backup before there is a recovery point: the job is Failed."""

AT_TRANSFER = (TRANSFER_FAILED, VM_GONE, RESOURCE_GONE, COLLECTION_DELETED, REVOKE_FAILED)
"""End the transfer of a backup: the job is CompletedWithWarnings, its point in the instant tier."""

AT_RESTORE = (RESTORE_FAILED, STORAGE_ACCOUNT_GONE, GROUP_GONE)
"""End a restore: the job is Failed."""

BY_TITLE = {each.title: each for each in (*AT_SNAPSHOT, *AT_TRANSFER, *AT_RESTORE)}


def refused_by_compute(message: str) -> Failure:
    """Compute's own words, passed on."""
    known = COMPUTE_REFUSED
    return Failure(known.code, known.title, message, known.advice, recorded=False)
