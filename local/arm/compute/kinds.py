"""The shelves of Microsoft.Compute, the ids on them, and how long its work takes."""

import re
from dataclasses import dataclass, field

from local.arm.answers import ArmError, JsonObject, invalid_parameter, resource_not_found
from local.arm.core import Core
from local.arm.routing import GROUP_SCOPE, Call
from local.arm.shelf import Resource, Shelf

NAMESPACE = "Microsoft.Compute"
_NAME = re.compile(r"[^_\W][\w\-.]{0,79}(?<![-.])", re.ASCII)
IN_GROUP = f"{GROUP_SCOPE}/providers/{NAMESPACE}"
IN_SUBSCRIPTION = f"/subscriptions/{{subscription}}/providers/{NAMESPACE}"


@dataclass(frozen=True)
class Pace:
    """Service seconds that operations take (medians of the recordings where there are some)."""

    disk: float = 0.2
    copy: float = 0.7
    access: float = 0.3
    delete: float = 0.3
    restore_point: float = 20.0
    delete_restore_point: float = 5.0
    vm: float = 40.0
    power: float = 30.0
    hydration: float = 120.0
    region_copy: float = 600.0


@dataclass(frozen=True)
class Shelves:
    """Everything that Microsoft.Compute keeps."""

    disks: Shelf
    snapshots: Shelf
    vms: Shelf
    extensions: Shelf
    collections: Shelf
    points: Shelf
    disk_points: Shelf


def open_shelves(core: Core) -> Shelves:
    names = ("disks", "snapshots", "vms", "extensions", "collections", "points", "disk_points")
    return Shelves(**{name: Shelf(core.store, f"compute.{name}") for name in names})


@dataclass(frozen=True)
class Terms:
    """What a tenant can set: the pace of the work and the limits of the service.

    The defaults are Azure's (source: azure-limits, disks and snapshots, VM restore points).
    """

    pace: Pace = field(default_factory=Pace)
    snapshots_per_window: int = 7
    window_seconds: float = 300.0
    snapshots_per_disk: int = 500
    sas_per_family: int = 5
    points_per_hour: int = 3
    points_per_vm: int = 500
    region_copies: int = 100


def require(shelf: Shelf, call: Call, parent: str | None = None) -> Resource:
    """The resource that the call is about, or its `parent`.

    Raises the recorded 404 ResourceNotFound.
    """
    path = parent or call.target
    found = shelf.get(path)
    if found is None:
        raise resource_not_found(path.partition("/providers/")[2], call.group)
    return found


def required_location(body: JsonObject) -> str:
    """The region, in the spelling Azure stores: `West US` is `westus`."""
    location = body.get("location")
    if not isinstance(location, str) or not location:
        raise ArmError(
            400, "LocationRequired", "The location property is required for this definition."
        )
    return location.replace(" ", "").casefold()


def check_name(name: str, kind: str) -> None:
    """Raises 400 for a name that Azure refuses: at most 80 letters, digits, `_`, `-` and `.`."""
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            kind,
            f"The entity name '{kind}' is invalid according to its validation rule: "
            f"{_NAME.pattern}.",
        )


def with_slash(resource_id: str) -> str:
    """An id as it should be: some specification examples leave the first slash out."""
    return resource_id if resource_id.startswith("/") else f"/{resource_id}"
