"""The VMSnapshot extension: what it is told to do inside a machine, and what it says it did.

Source: Azure's pages on the extension, and the public source of the one for Linux.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.model.machine import Consistency, Os

PUBLISHER = "Microsoft.Azure.RecoveryServices"
EXTENSIONS = {Os.WINDOWS: "VMSnapshot", Os.LINUX: "VMSnapshotLinux"}
"""The extension's name, which is its type as well."""
HANDLER_VERSION = "1.9"
COMMAND = "snapshot"
VM_TYPE = "microsoft.compute/virtualmachines"

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
TICKS_A_MICROSECOND = 10
LAST_TICKS = 3_155_378_975_999_999_999
"""The last one that .NET's dates know: the end of the year 9999."""


def ticks_of(at: datetime) -> int:
    """.NET's ticks of a moment: tenths of microseconds since year 1, by UTC."""
    return (at.astimezone(UTC) - _FIRST) // timedelta(microseconds=1) * TICKS_A_MICROSECOND


def moment_of(ticks: int) -> datetime:
    """The moment, to the microsecond below. Raises `ValueError` where there is no such date."""
    if not 0 <= ticks <= LAST_TICKS:
        raise ValueError("ticks outside of the years 1 to 9999")
    return _FIRST + timedelta(microseconds=ticks // TICKS_A_MICROSECOND)


@dataclass(frozen=True, kw_only=True)
class SnapshotTask:
    """One snapshot, as the extension is told of it. What opens a door (the object string, which
    holds the SAS of the disks, and the two URIs) is never shown."""

    task_id: str
    """A GUID; a task whose id was seen before is not done again."""
    starts_at: datetime
    locale: str = "en-us"
    object_string: str = field(repr=False)
    logs_blob: str = field(repr=False)
    status_blob: str = field(repr=False)


class Outcome(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class DiskSnapshot:
    """What became of one disk. `url` is its snapshot's without leave to read it; empty where the
    host took the snapshot."""

    url: str
    succeeded: bool
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class SnapshotStatus:
    """What the extension says of its last task. `code` is its number for it, `name` and `action`
    are ours (`shared.decide.extension_errors`); `consistency` is None unless a snapshot exists."""

    outcome: Outcome
    code: int
    name: str
    message: str
    action: str = ""
    operation: str = ""
    task_id: str = ""
    starts_at: datetime | None = None
    reported_at: datetime | None = None
    consistency: Consistency | None = None
    disks: tuple[DiskSnapshot, ...] = ()
    version: str = ""
