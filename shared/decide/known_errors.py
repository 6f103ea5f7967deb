"""Error codes of Azure's that concern backups of machines and disks, in our words.

Numbers and names are those that jobs of Recovery Services vaults have been seen with; the rest is
documented by Azure for restore points, backups or Resource Manager. Actions say what a person does;
where the pipeline repeats by itself they say so.
"""

from shared.model.explanation import Explanation

_REPEATED = "Nothing: the work is repeated. If it keeps failing, look at Azure's service health."
_AGENT = (
    "See that the machine runs and that its guest agent is started and up to date: on Windows the "
    "services RdAgent and WindowsAzureGuestAgent, on Linux `systemctl status walinuxagent` (or "
    "waagent). `vaultline vm check VM` shows what Azure sees of it."
)
_NETWORK = (
    "Let the machine reach Azure Storage, Azure Backup and Microsoft Entra ID on port 443: an "
    "outbound rule of its network security groups with the service tags Storage, AzureBackup and "
    "AzureActiveDirectory, the FQDN tag AzureBackup on a firewall, or a proxy. "
    "`vaultline vm check VM` names the rule in the way."
)
_EXTENSION = (
    "Remove the extension (VMSnapshot, on Linux VMSnapshotLinux) from the machine; the next backup "
    "installs it anew. Look for another extension that failed: it keeps this one waiting."
)
_WINDOWS_SERVICES = (
    "On the machine restart the services COM+ System Application and Distributed Transaction "
    "Coordinator (which logs on as Network Service), then the machine itself if it still fails."
)
_LOCK = (
    "Remove the lock from the resource group AzureBackupRG_<geography>_<n>: expired points in it "
    "cannot be removed. The next backup cleans up."
)
_ROLES = "Give the app's identity the roles of docs/deploy.md on what is named in the message."


def _of_vaults(number: int, code: str, meaning: str, action: str) -> Explanation:
    return Explanation(code=code, number=number, meaning=meaning, action=action)


def _other(code: str, meaning: str, action: str) -> Explanation:
    return Explanation(code=code, meaning=meaning, action=action)


_GUEST = (
    _of_vaults(
        400196,
        "UserErrorGuestAgentStatusUnavailable",
        "The machine's agent does not answer Azure: it is stopped, too old, not installed, or "
        "cannot reach the host.",
        _AGENT,
    ),
    _other(
        "VMAgentStatusCommunicationError",
        "The machine has not reported the state of its agent or extensions, so no consistent "
        "restore point could be taken.",
        f"{_AGENT} After three attempts Vaultline takes a crash-consistent point instead.",
    ),
    _of_vaults(
        380016,
        "UserErrorGuestAgentVersionUnsupported",
        "The machine's agent is too old for backups.",
        "Update the agent: on Windows to 2.6.1198.718 or newer by its installer, on Linux from the "
        "distribution's packages.",
    ),
    _of_vaults(
        400039,
        "GuestAgentSnapshotTaskStatusError",
        "The agent did not report what became of the snapshot.",
        _AGENT,
    ),
    _of_vaults(
        400206,
        "ExtensionSnapshotFailedNoNetwork",
        "The extension in the machine could not reach Azure to take the snapshot.",
        _NETWORK,
    ),
    _other(
        "ExtensionOperationFailedForManagedDisks",
        "The VMSnapshot extension failed.",
        _EXTENSION,
    ),
    _other(
        "ExtensionStuckInDeletionState",
        "The VMSnapshot extension is still being removed.",
        _EXTENSION,
    ),
    _other(
        "ExtensionFailedVssWriterInBadState",
        "Volume shadow copies of the machine failed: one of its writers is in a bad state.",
        "On the machine `vssadmin list writers` names the writer: restart its service, or the "
        "machine.",
    ),
    _other(
        "ExtensionSnapshotFailedCOM",
        "The extension failed in the machine's COM+.",
        _WINDOWS_SERVICES,
    ),
    _other(
        "ExtensionInstallationFailedCOM",
        "The extension could not be installed: the machine's COM+ failed.",
        _WINDOWS_SERVICES,
    ),
    _other(
        "ExtensionInstallationFailedMDTC",
        "The extension could not be installed: COM+ does not reach the Distributed Transaction "
        "Coordinator.",
        _WINDOWS_SERVICES,
    ),
    _other(
        "UserErrorVmProvisioningStateFailed",
        "The machine's last change failed, mostly because one of its extensions did.",
        "Look at the machine's extensions; remove or repair the failed one, and back up again.",
    ),
    _other(
        "UserErrorVmNotInDesirableState",
        "The machine is being changed, so no snapshot of it can be taken.",
        "Wait until it runs or is deallocated, and back up again.",
    ),
)

_RESTORE_POINTS = (
    _other(
        "VMRestorePointInternalError",
        "Compute failed to take the restore point.",
        f"{_REPEATED} Otherwise: {_AGENT}",
    ),
    _other(
        "VMRestorePointClientError",
        "The restore point could not be taken; the message says why: a guest's services, the "
        "network, a disk that cannot be part of it, the limit of 500 points, or another one that "
        "is just being taken.",
        "Do what the message says; `vaultline vm check VM` looks for each of these.",
    ),
    _other(
        "DiskRestorePointClientError",
        "A disk of the restore point could not be taken: the key vault of its encryption is gone.",
        "Make the key vault and the disk encryption set available again.",
    ),
    _other(
        "DiskRestorePointUsedByCustomer",
        "The restore point cannot be deleted: somebody may still read one of its disks by SAS.",
        "Nothing: it is deleted once the SAS is taken back or has run out.",
    ),
    _other(
        "OSProvisioningClientError",
        "The machine's operating system did not finish its set-up.",
        "Repair the machine, or its image; then back up again.",
    ),
    _other(
        "AllocationFailed",
        "Azure has no room for the machine where it is to be.",
        "Choose another size, zone or region, or try again later.",
    ),
    _other(
        "InvalidVhd",
        "What was uploaded to the disk does not end in a valid VHD footer.",
        "Nothing, where a restore failed before: its disk is unfinished and can be deleted.",
    ),
)

_VAULTS = (
    _of_vaults(
        320001,
        "ResourceNotFound",
        "What the work was about does not exist any more.",
        "If it was deleted on purpose, stop its protection; its points are kept.",
    ),
    _of_vaults(
        400136,
        "UserErrorVmNotFoundV2",
        "The machine does not exist any more.",
        "If it was deleted on purpose, stop its protection; its points are kept. Otherwise "
        "restore it.",
    ),
    _of_vaults(400002, "BackUpOperationFailed", "Azure's backup failed within itself.", _REPEATED),
    _of_vaults(
        400003,
        "RestoreOperationFailed",
        "Azure's restore failed within itself.",
        "Restore again; if it fails in the same way, restore another point, or disks instead of a "
        "machine.",
    ),
    _of_vaults(
        400052,
        "DiffCopyFailedToTransferData",
        "The snapshot was taken, but its transfer to the vault failed: the point is in the "
        "snapshot tier only.",
        "Nothing: the next backup transfers what has changed since.",
    ),
    _of_vaults(
        400158,
        "UserErrorJobSuccessfullyCancelled",
        "Somebody cancelled the job.",
        "Nothing, unless it was a mistake: then ask for it again.",
    ),
    _of_vaults(
        400048,
        "UserErrorBCMRestoreStorageAccountNotFound",
        "The storage account that the restore was to use does not exist.",
        "Name another staging account (VAULTLINE_STAGING_ACCOUNT) and keep it until the restore "
        "has ended.",
    ),
    _of_vaults(
        400141,
        "UserErrorResourceGroupNotFound",
        "The resource group that the restore was to fill does not exist.",
        "Make the group, or choose another one, and restore again.",
    ),
    _of_vaults(
        400239,
        "IaasVmHealthGreenDefault",
        "The machine's backups are healthy.",
        "Nothing.",
    ),
    _of_vaults(
        400288,
        "UserErrorRpCollectionDeleted",
        "Somebody deleted the restore points that the backup was to transfer.",
        "Back up again, and leave the groups AzureBackupRG_<geography>_<n> to Azure.",
    ),
    _of_vaults(
        400309,
        "UserErrorGenericResourceNotFound",
        "A resource that the backup needs does not exist any more.",
        "See that machine, disks and network exist; back up again.",
    ),
    _of_vaults(
        400349,
        "UserErrorCrpReportedUserError",
        "Compute refused the snapshot; its own words are in the message.",
        f"Remove what the message names, and back up again. Often it is a lock. {_LOCK}",
    ),
    _of_vaults(
        400380,
        "DiskAPIRevokeSASFailed",
        "Leave to read a snapshot could not be taken back.",
        _REPEATED,
    ),
    _other(
        "UserErrorRpCollectionLimitReached",
        "The machine has as many restore points as it may have.",
        f"Delete restore points that nobody needs. {_LOCK}",
    ),
    _other(
        "UserErrorBackupOperationInProgress",
        "Another backup of the machine is under way.",
        "Nothing: wait for its end.",
    ),
    _other(
        "CloudDosAbsoluteLimitReached",
        "The machine has had its backups on demand for today.",
        "Wait for the next day (UTC), or for the scheduled backup.",
    ),
    _other(
        "UserErrorUnsupportedDiskSize",
        "A disk is larger than Azure's vaults take.",
        "Leave the disk out, or protect the machine in a storage vault.",
    ),
    _other(
        "UserErrorKeyVaultPermissionsNotConfigured",
        "The vault may not read the keys of an encrypted machine.",
        "Give the vault's service leave to get and list keys and secrets in that key vault.",
    ),
    _other(
        "ServiceResourceNotEmptyWithBackendMessage",
        "The vault still holds items, or softly deleted ones.",
        "Stop their protection and delete their data; softly deleted ones go after their days, or "
        "undelete them first and delete them for good.",
    ),
    _other(
        "StorageModelModifyError",
        "The vault's redundancy cannot be changed: it holds an item already.",
        "Use another vault.",
    ),
    _other(
        "BMSUserErrorInvalidPolicyInput",
        "Azure does not take the policy.",
        "`vaultline policy preview FILE --vault VAULT` says what cannot be expressed.",
    ),
    _other(
        "UserErrorInvalidRequestParameter",
        "Azure does not take one of the values, which the message names.",
        "Correct it: often it is the number of instant restore days.",
    ),
    _other(
        "UserErrorOperationDeniedOnImmutableItem",
        "The vault is immutable: its items and points cannot be removed before their time.",
        "Wait until they expire.",
    ),
)

_RESOURCE_MANAGER = (
    _other(
        "ResourceRequestsThrottled",
        "Too many requests to the vault within an hour.",
        "Nothing: the work goes on when Azure allows it.",
    ),
    _other(
        "SubscriptionRequestsThrottled",
        "Too many requests to Resource Manager.",
        "Nothing: the work goes on when Azure allows it.",
    ),
    _other(
        "ScopeLocked",
        "A management lock forbids the change.",
        "Remove the lock that the message names, or have snapshots put into another group "
        "(VAULTLINE_SNAPSHOT_GROUP).",
    ),
    _other("AuthorizationFailed", "The app's identity may not do this.", _ROLES),
    _other(
        "LinkedAuthorizationFailed",
        "The app's identity may not use something that the request names.",
        _ROLES,
    ),
    _other(
        "MissingSubscriptionRegistration",
        "The subscription has not registered the provider.",
        "`az provider register --namespace` with the namespace that the message names.",
    ),
    _other(
        "RequestDisallowedByPolicy",
        "An Azure Policy of the subscription forbids it.",
        "Exempt the resource group, or have the policy changed.",
    ),
    _other(
        "DiskNetworkAccessPolicyDenied",
        "The disk's network access policy forbids exports, so nobody can read its snapshots.",
        "`az disk update --network-access-policy AllowAll`, or AllowPrivate with a disk access.",
    ),
    _other(
        "OperationNotAllowed",
        "The resource is not in a state that allows this, or a limit is reached; the message says "
        "which.",
        "Do what the message says, and try again.",
    ),
)

KNOWN_ERRORS = (*_GUEST, *_RESTORE_POINTS, *_VAULTS, *_RESOURCE_MANAGER)
