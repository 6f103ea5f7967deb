"""A recorded body and the fake's: the keys and types at every depth, and the values that tell."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Values that say what happened; all others are by chance, or of the recording's day.
_SAME_VALUES = frozenset(
    {
        "backupManagementType", "code", "containerName", "containerType", "encryptionAtRestType",
        "enhancedSecurityState", "entityFriendlyName", "errorCode", "errorString", "errorTitle",
        "fabricName", "friendlyName", "healthStatus", "jobType", "lastBackupStatus", "objectType",
        "operation", "policyName", "protectableItemType", "protectedItemName", "protectedItemType",
        "protectionState", "protectionStatus", "provisioningState", "recommendations",
        "recoveryPointType", "registrationStatus", "schedulePolicyType", "softDeleteFeatureState",
        "standardTierStorageRedundancy", "status", "taskId", "taskType", "title", "type",
        "virtualMachineVersion", "workloadType", "instantRpRetentionRangeInDays", "resourceGroup",
        "isScheduledForDeferredDelete", "createdWithPolicyType", "Job Type", "VM Name",
        "Policy Name", "Target VM Name", "Target VNet Name", "Target resource group",
        "Number of Recovery Points", "Recovery Point Expiry Time in UTC",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """How two bodies are compared.

    `exact`: a field that was not recorded is a difference, too. `named` puts the fake's names in
    the place of the recording's.
    """

    exact: bool
    named: Callable[[str], str]


def between(recorded: Any, ours: Any, where: str, terms: Terms) -> Iterator[str]:
    """What is not in `ours` as it was recorded."""
    if _kind(recorded) != _kind(ours):
        yield f"{where} is {_kind(ours)} instead of {_kind(recorded)}"
    elif isinstance(recorded, dict):
        yield from _between_objects(recorded, ours, where, terms)
    elif isinstance(recorded, list) and where.endswith(("value", "tasksList", "errorDetails")):
        yield from _between_lists(recorded, ours, where, terms)
    elif where.rpartition(".")[2] in _SAME_VALUES or _tells_that_never(recorded):
        wanted = terms.named(json.dumps(recorded))
        if wanted.casefold() != json.dumps(ours).casefold():
            yield f"{where} is {json.dumps(ours)} instead of {wanted}"


def _between_objects(
    recorded: dict[str, Any], ours: dict[str, Any], where: str, terms: Terms
) -> Iterator[str]:
    for name in recorded:
        if name not in ours:
            yield f"{where}.{name} is missing"
        else:
            yield from between(recorded[name], ours[name], f"{where}.{name}", terms)
    if terms.exact:
        yield from (f"{where}.{name} is not recorded" for name in ours if name not in recorded)


def _between_lists(recorded: list[Any], ours: list[Any], where: str, terms: Terms) -> Iterator[str]:
    by_name = {str(each.get("name", "")).casefold(): each for each in ours}
    if len(recorded) != len(ours):
        yield f"{where} has {len(ours)} entries instead of {len(recorded)}"
    for number, each in enumerate(recorded):
        name = terms.named(str(each.get("name", ""))).casefold()
        mine = by_name.get(name) if name else ours[number] if number < len(ours) else None
        if mine is not None:
            yield from between(each, mine, where, terms)


def _tells_that_never(recorded: Any) -> bool:
    """Times that stand for none: a task's that has not begun, an item's without a backup."""
    return isinstance(recorded, str) and recorded[:11] in ("0001-01-01T", "2001-01-01T")


def _kind(value: Any) -> str:
    """JSON's types; a number is a number."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {dict: "object", list: "array", str: "string", type(None): "null"}[type(value)]
