"""Codes in the status of the VMSnapshot extension (source: the extension for Linux, whose source
is public; Windows has the same numbers where it has them at all)."""

from shared.model.explanation import Explanation

_SCRIPT = "Correct the script that VMSnapshotScriptPluginConfig.json names, on the machine."
_CONFIG = (
    "Correct VMSnapshotScriptPluginConfig.json on the machine (in /etc/azure, owned by root, mode "
    "600)."
)
_HOST = "Remove the extension VMSnapshotLinux; the next backup installs it anew."
_NETWORK = (
    "Let the machine reach Azure Storage on port 443; `vaultline vm check VM` names what is in the "
    "way."
)
_BUSY = "Nothing: the next attempt mostly succeeds. If not, see what keeps the file systems busy."
_REPEAT = "Back up again."

SUCCEEDED = frozenset({0, 1, 3})
"""The codes of statuses without an error."""


def _coded(number: int, code: str, meaning: str, action: str) -> Explanation:
    return Explanation(code=code, number=number, meaning=meaning, action=action)


EXTENSION_ERRORS = (
    _coded(0, "success_appconsistent", "The snapshot is application-consistent.", "Nothing."),
    _coded(1, "success", "The snapshot is file-system-consistent.", "Nothing."),
    _coded(2, "error", "The extension failed; the message says why.", _REPEAT),
    _coded(3, "SuccessAlreadyProcessedInput", "The task was done before.", "Nothing."),
    _coded(4, "ExtensionTempTerminalState", "The extension has not ended yet.", "Wait."),
    _coded(11, "error_parameter", "A setting is missing or wrong.", "Correct the settings."),
    _coded(12, "error_12", "The extension's set-up failed.", _HOST),
    _coded(13, "error_wrong_time", "The machine's clock is wrong.", "Set the machine's clock."),
    _coded(14, "error_same_taskid", "The task was done before.", "Give the task a new id."),
    _coded(15, "error_http_failure", "A request to Azure Storage failed.", _NETWORK),
    _coded(
        16,
        "FailedHandlerGuestAgentCertificateNotFound",
        "The certificate of the protected settings is not on the machine.",
        "Restart the agent (walinuxagent); it fetches the certificate.",
    ),
    _coded(
        17,
        "FailedInvalidDataDiskLunList",
        "Disks are left out, but the list of those to take is empty.",
        "Name the LUNs that the snapshot is to hold.",
    ),
    _coded(
        76,
        "FailedRetryableSnapshotFailedNoNetwork",
        "The machine does not reach Azure Storage.",
        _NETWORK,
    ),
    _coded(
        761,
        "FailedRetryableSnapshotFailedRestrictedNetwork",
        "The machine reaches some of Azure Storage, not all it needs.",
        _NETWORK,
    ),
    _coded(
        85,
        "FailedSnapshotLimitReached",
        "A disk has as many snapshots as it may have.",
        "Delete snapshots or restore points that nobody needs.",
    ),
    _coded(
        173,
        "FailedRetryableSnapshotRateExceeded",
        "Too many snapshots within a short time.",
        "Nothing: it is tried again later.",
    ),
    _coded(556, "FailedHostSnapshotRemoteServerError", "The host's own service failed.", _REPEAT),
    _coded(121, "FailedRetryableFsFreezeFailed", "A file system could not be frozen.", _BUSY),
    _coded(
        122, "FailedRetryableFsFreezeTimeout", "Freezing the file systems took too long.", _BUSY
    ),
    _coded(
        123,
        "FailedRetryableUnableToOpenMount",
        "A mounted file system could not be opened.",
        "On the machine see that every mount answers (`df`), network mounts too.",
    ),
    _coded(124, "FailedSafeFreezeBinaryNotFound", "A part of the extension is missing.", _HOST),
    _coded(300, "FailedPrepostPreScriptFailed", "The script before the snapshot failed.", _SCRIPT),
    _coded(301, "FailedPrepostPostScriptFailed", "The script after the snapshot failed.", _SCRIPT),
    _coded(
        302,
        "FailedPrepostPreScriptNotFound",
        "The script before the snapshot is not there.",
        _SCRIPT,
    ),
    _coded(
        303,
        "FailedPrepostPostScriptNotFound",
        "The script after the snapshot is not there.",
        _SCRIPT,
    ),
    _coded(
        304,
        "FailedPrepostPluginhostConfigParsing",
        "The script host's configuration is no JSON.",
        _HOST,
    ),
    _coded(
        305, "FailedPrepostPluginConfigParsing", "The scripts' configuration is no JSON.", _CONFIG
    ),
    _coded(
        306, "FailedPrepostPreScriptPermissionError", "The first script's mode is not 700.", _SCRIPT
    ),
    _coded(
        307, "FailedPrepostPostScriptPermissionError", "The last script's mode is not 700.", _SCRIPT
    ),
    _coded(308, "FailedPrepostPreScriptTimeout", "The script before it took too long.", _SCRIPT),
    _coded(309, "FailedPrepostPostScriptTimeout", "The script after it took too long.", _SCRIPT),
    _coded(
        310, "FailedPrepostPluginhostPreTimeout", "All scripts before it took too long.", _SCRIPT
    ),
    _coded(
        311, "FailedPrepostPluginhostPostTimeout", "All scripts after it took too long.", _SCRIPT
    ),
    _coded(312, "FailedPrepostCheckSumMismatch", "The scripts' host was changed.", _HOST),
    _coded(
        313,
        "FailedPrepostPluginhostConfigNotFound",
        "The script host's configuration is missing.",
        _HOST,
    ),
    _coded(
        314,
        "FailedPrepostPluginhostConfigPermissionError",
        "The mode of the script host's configuration is wrong.",
        _HOST,
    ),
    _coded(
        315,
        "FailedPrepostPluginhostConfigOwnershipError",
        "The owner of the script host's configuration is wrong.",
        _HOST,
    ),
    _coded(
        316, "FailedPrepostPluginConfigNotFound", "The scripts' configuration is missing.", _CONFIG
    ),
    _coded(
        317,
        "FailedPrepostPluginConfigPermissionError",
        "The mode of the scripts' configuration is not 600.",
        _CONFIG,
    ),
    _coded(
        318,
        "FailedPrepostPluginConfigOwnershipError",
        "The owner of the scripts' configuration is not root.",
        _CONFIG,
    ),
    _coded(
        402,
        "FailedGuestAgentInvokedCommandTooLate",
        "The task reached the machine more than 140 minutes after its start.",
        "Back up again; if it happens again, see why the agent is so late (`waagent.log`).",
    ),
    _coded(500, "FailedWorkloadPreError", "The database did not go into backup mode.", _SCRIPT),
    _coded(504, "FailedWorkloadPostError", "The database did not leave backup mode.", _SCRIPT),
    _coded(506, "FailedWorkloadConnectionError", "The database could not be reached.", _SCRIPT),
)

BY_NUMBER = {each.number: each for each in EXTENSION_ERRORS}
