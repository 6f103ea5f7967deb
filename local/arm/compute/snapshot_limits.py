"""How many incremental snapshots of a disk there may be, and how fast; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from local.arm.answers import ArmError, not_allowed
from local.arm.compute.kinds import Terms


def refuse_over_limits(
    disk: str, taken_at: Sequence[datetime], existing: int, now: datetime, terms: Terms
) -> None:
    """Raises 429 for the eighth in five minutes, 409 for the 501st.

    `taken_at` are the times of the disk's snapshots, deleted ones included. The limits are
    documented; no recording shows the answers. The 429 is formed as Compute documents its own.
    """
    if existing >= terms.snapshots_per_disk:
        raise not_allowed(
            f"The number of incremental snapshots of disk {disk} has reached the limit of "
            f"{terms.snapshots_per_disk}. Delete one and try again."
        )
    window = timedelta(seconds=terms.window_seconds)
    recent = sorted(at for at in taken_at if now - at < window)
    if len(recent) >= terms.snapshots_per_window:
        free_at = recent[-terms.snapshots_per_window] + window
        raise too_many_requests("HighCostSnapshotCreateHydrate", (free_at - now).total_seconds())


def too_many_requests(target: str, wait_seconds: float) -> ArmError:
    """Compute's own throttling, as it is documented."""
    return ArmError(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this "
        "subscription.",
        ({"code": "TooManyRequests", "target": target, "message": "The limit has been reached."},),
        retry_after_seconds=max(1.0, wait_seconds),
    )
