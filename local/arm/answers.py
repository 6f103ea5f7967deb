"""What a handler answers: a response, or an error in Resource Manager's own words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A response; a `body` of None is an empty one, without a Content-Type."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class ArmError(Exception):
    """A refusal: `{"error": {"code", "message"}}` and what `details` and `target` add to it.

    `retry_after_seconds` is service time; the server scales it to the caller's.
    """

    status: int
    code: str
    message: str
    details: Sequence[JsonObject] = ()
    retry_after_seconds: float | None = None
    target: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    @property
    def body(self) -> JsonObject:
        """The error as it goes over the wire."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def resource_not_found(type_and_name: str, group: str) -> ArmError:
    """A GET of what is not there (recorded); `type_and_name` is `Microsoft.Compute/disks/d1`."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{type_and_name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(group: str) -> ArmError:
    """Anything in a resource group that is not there."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def source_not_found(name: str) -> ArmError:
    """A copy of what is not there (recorded): the name alone, and another code."""
    return ArmError(404, "NotFound", f"Resource {name} is not found.")


def not_allowed(message: str) -> ArmError:
    """A conflict with the state the resource is in."""
    return ArmError(409, "OperationNotAllowed", message)


def in_use(message: str) -> ArmError:
    """A conflict with another request or another holder of the resource."""
    return ArmError(409, "Conflict", message)


def nic_in_use(interface: str, owner: str) -> ArmError:
    """A network interface that a machine has (reported for its deletion)."""
    return ArmError(
        400, "NicInUse", f"Network Interface {interface} is used by existing VM {owner}."
    )


def missing_reference(referenced: str, by: str) -> ArmError:
    """A resource that names another, which is not there (reported for a missing subnet)."""
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {referenced} referenced by resource {by} was not found. Please make sure that "
        "the referenced resource exists, and that both resources are in the same region.",
    )


def invalid_parameter(name: str, message: str) -> ArmError:
    """A field that the service refuses."""
    return ArmError(400, "InvalidParameter", message, target=name)


def scope_locked(scope: str, action: str, locked: Sequence[str]) -> ArmError:
    """`action` is `delete` or `write`; `locked` are the scopes that carry the locks."""
    return ArmError(
        409,
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {action} operation because following scope(s) are "
        f"locked: '{','.join(locked)}'. Please remove the lock and try again.",
    )


def throttled(subscription: str, operation: str, wait_seconds: float) -> ArmError:
    """The token bucket is empty (recorded body)."""
    seconds = max(1, math.ceil(wait_seconds))
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of requests for subscription '{subscription}' and operation '{operation}' "
        "exceeded the backend storage limit. "
        f"Please try again after '{seconds}' seconds.",
        retry_after_seconds=wait_seconds,
    )


def not_supported(what: str) -> ArmError:
    """Real Azure may well know this; the laptop's does not."""
    return ArmError(
        501,
        "NotImplemented",
        f"The local Resource Manager does not support {what}. "
        "GET /__operations lists what it supports.",
    )
