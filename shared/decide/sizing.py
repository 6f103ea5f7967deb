"""What a vault will hold: planned from disk sizes, what changes in them, and retention.

A replica holds one full copy; each older point adds the pages that were replaced after it. Pages
that change between two points count once, and a disk has no more than all of its pages: so a
point adds at most the disk. Real disks change the same pages again and again, so a plan is an
upper bound.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from shared.decide.retention import expires_at, reasons_for
from shared.decide.schedule import slots_between
from shared.model.point import Point
from shared.model.policy import Policy

DAY = timedelta(days=1)
SEEN_DAYS = 30
"""Changes are taken from points so young: older ones are thinned out by retention."""
ASSUMED_CHURN = 0.03
"""Share of a disk that changes in a day, where nothing has been seen yet: on the safe side of
most servers."""


@dataclass(frozen=True, kw_only=True)
class DiskLoad:
    """One disk to plan for: its size, and the bytes that change in it in a day."""

    size_bytes: int
    daily_bytes: float


@dataclass(frozen=True, kw_only=True)
class StoragePlan:
    """What the disks come to after `days`. `points` are those that each keeps in the vault;
    `snapshot_bytes` what the sources' own snapshots hold for instant restore."""

    disks: int
    days: int
    points: int
    full_copy_bytes: int
    daily_bytes: int
    stored_bytes: int
    snapshot_bytes: int


def plan_storage(
    loads: Sequence[DiskLoad], policy: Policy, start: datetime, days: int
) -> StoragePlan:
    """The plan for a start of protection at `start`, looked at after `days`."""
    kept = kept_slots(policy, start, start + days * DAY)
    gaps = [(later - earlier) / DAY for earlier, later in pairwise(kept)]
    alike = Counter(loads)
    return StoragePlan(
        disks=len(loads),
        days=days,
        points=len(kept),
        full_copy_bytes=sum(load.size_bytes for load in loads),
        daily_bytes=round(sum(_changed(load, 1) * n for load, n in alike.items())),
        stored_bytes=round(sum(_stored(load, gaps) * n for load, n in alike.items())),
        snapshot_bytes=round(
            sum(_changed(load, policy.instant_restore_days) * n for load, n in alike.items())
        ),
    )


def kept_slots(policy: Policy, start: datetime, now: datetime) -> list[datetime]:
    """The slots since `start` whose points the policy still keeps; always the newest."""
    slots = list(slots_between(policy.schedule, policy.time_zone, start, now))
    kept = [slot for slot in slots[:-1] if _is_kept(policy, slot, now)]
    return [*kept, *slots[-1:]]


def _is_kept(policy: Policy, slot: datetime, now: datetime) -> bool:
    end = expires_at(reasons_for(slot, policy))
    return end is None or end > now


def _stored(load: DiskLoad, gaps: Sequence[float]) -> float:
    return load.size_bytes + sum(_changed(load, days) for days in gaps)


def _changed(load: DiskLoad, days: float) -> float:
    return min(load.size_bytes, load.daily_bytes * days)


def seen_daily_bytes(points: Sequence[Point], now: datetime) -> float | None:
    """The bytes that changed in a day, as an item's young points tell; None where they cannot."""
    young = sorted(
        (p for p in points if p.replica and now - p.created_at <= SEEN_DAYS * DAY),
        key=lambda point: point.created_at,
    )
    if len(young) < 2 or young[0].created_at == young[-1].created_at:
        return None
    span = (young[-1].created_at - young[0].created_at) / DAY
    return sum(point.changed_bytes for point in young[1:]) / span


def stored_now(points: Sequence[Point]) -> int:
    """At most so much the vault holds of one item: its newest copy, and what later points
    replaced."""
    in_vault = sorted((p for p in points if p.replica), key=lambda point: point.created_at)
    if not in_vault:
        return 0
    return in_vault[-1].size_bytes + sum(point.copied_bytes for point in in_vault[1:])
