"""The limits of managed disks, kept rather than run into: when the next snapshot of a disk may be
taken, and whether one more of its snapshots may be read.

Source: Microsoft's pages on incremental snapshots.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

GIBIBYTE = 1024**3
LARGEST_SMALL_DISK_BYTES = 4095 * GIBIBYTE
"""No changes are told between snapshots of a disk that grew beyond this size in between."""


@dataclass(frozen=True, kw_only=True)
class DiskLimits:
    """What the service bears of one disk."""

    snapshots_in_window: int = 7
    window: timedelta = timedelta(minutes=5)
    snapshots: int = 500
    open_grants: int = 5
    """Snapshots of one disk that may be read by SAS at a time."""


LIMITS = DiskLimits()


def next_snapshot_at(
    taken: Iterable[datetime], now: datetime, limits: DiskLimits = LIMITS
) -> datetime:
    """When the next snapshot of a disk may be taken, whose others were taken then: `now`, or the
    moment at which enough of the last ones are past the window."""
    recent = sorted(at for at in taken if now - at < limits.window)
    if len(recent) < limits.snapshots_in_window:
        return now
    return recent[-limits.snapshots_in_window] + limits.window


def is_full(snapshots: int, limits: DiskLimits = LIMITS) -> bool:
    """Whether a disk with so many snapshots can have no other."""
    return snapshots >= limits.snapshots


def may_grant(open_grants: int, limits: DiskLimits = LIMITS) -> bool:
    """Whether another snapshot of a disk may be read while so many are."""
    return open_grants < limits.open_grants


def diff_is_told(older_bytes: int, newer_bytes: int) -> bool:
    """Whether the service tells the changes between snapshots of these sizes."""
    return (older_bytes <= LARGEST_SMALL_DISK_BYTES) == (newer_bytes <= LARGEST_SMALL_DISK_BYTES)
