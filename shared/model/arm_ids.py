"""Ids of Azure Resource Manager: the names of managed disks, of their snapshots, and of where to
look for them.

Resource Manager compares ids without case and gives them back in changing case. So an id is kept
in lower case, and what is not exactly an id is refused: it becomes part of a request's path.
"""

import re
from dataclasses import dataclass
from typing import Literal

from shared.model.errors import Invalid
from shared.model.ids import DiskUrl

Kind = Literal["disks", "snapshots"]

_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GROUP = r"[\w().-]{0,89}[\w()-]"
_NAME = r"[a-z0-9](?:[a-z0-9_.-]{0,78}[a-z0-9_])?"
_SUBSCRIPTION = re.compile(_GUID)
_SCOPE = re.compile(rf"/subscriptions/({_GUID})(?:/resourcegroups/({_GROUP}))?/?")
_RESOURCE = re.compile(
    rf"/subscriptions/({_GUID})/resourcegroups/({_GROUP})"
    rf"/providers/microsoft\.compute/(disks|snapshots)/({_NAME})"
)


@dataclass(frozen=True, slots=True)
class ArmId:
    """A managed disk or a snapshot of one; every part in lower case."""

    subscription: str
    group: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}"
            f"/providers/microsoft.compute/{self.kind}/{self.name}"
        )

    @property
    def url(self) -> DiskUrl:
        """The disk as items and snapshots name it."""
        return DiskUrl(str(self))


@dataclass(frozen=True, slots=True)
class ArmScope:
    """A subscription, or a resource group of it."""

    subscription: str
    group: str = ""

    def __str__(self) -> str:
        group = f"/resourcegroups/{self.group}" if self.group else ""
        return f"/subscriptions/{self.subscription}{group}"


def is_arm_id(text: str) -> bool:
    """Whether the text is meant as an id of Resource Manager, rather than as a URL."""
    return text[:15].lower() == "/subscriptions/"


def subscription_id(text: str) -> str:
    """A subscription's id, in lower case. Raises `Invalid`."""
    if not _SUBSCRIPTION.fullmatch(lowered := text.strip().lower()):
        raise Invalid(f"'{text[:60]}' is not a subscription's id")
    return lowered


def disk_id(text: str) -> ArmId:
    """The id of a managed disk. Raises `Invalid`."""
    found = _RESOURCE.fullmatch(text.lower())
    if found is None or found[3] != "disks":
        raise Invalid(
            f"'{_shown(text)}' is not a managed disk's id",
            action="It looks like /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.Compute/disks/NAME; `az disk show --query id` prints it.",
        )
    return ArmId(found[1], found[2], "disks", found[4])


def snapshot_id(text: str) -> ArmId:
    """The id of a snapshot of a managed disk. Raises `Invalid`."""
    found = _RESOURCE.fullmatch(text.lower())
    if found is None or found[3] != "snapshots":
        raise Invalid(f"'{_shown(text)}' is not the id of a managed disk's snapshot")
    return ArmId(found[1], found[2], "snapshots", found[4])


def compute_scope(text: str) -> ArmScope:
    """A subscription or one of its resource groups. Raises `Invalid`."""
    found = _SCOPE.fullmatch(text.lower())
    if found is None:
        raise Invalid(
            f"'{_shown(text)}' names neither a subscription nor a resource group",
            action="Give /subscriptions/ID or /subscriptions/ID/resourceGroups/GROUP.",
        )
    return ArmScope(found[1], found[2] or "")


def _shown(text: str) -> str:
    """The text without what may be secret in it."""
    return text.partition("?")[0][:200]
