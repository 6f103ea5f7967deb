"""What a policy would do: its backups and points day by day, by the functions that do it.

The item that is previewed is made up: it begins without a point, every backup starts on its slot
and reaches the vault at once, and a clean-up follows each.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from shared.decide.retention import end_of_day, expires_at, plan_retention, reasons_for
from shared.decide.schedule import ClockChange, clock_changes, local_instant, slots_between
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, ItemId, PointId, point_of, slot_job
from shared.model.point import Kind, Point, Reason
from shared.model.policy import Policy

UNTIL_CLEAN_UP = "until the next clean-up"
"""Why a point is still there that no rule keeps: clean-ups follow backups."""

_ITEM = ItemId("preview")


@dataclass(frozen=True, kw_only=True)
class PreviewedPoint:
    """The point of one slot, why it is kept, and the clean-up that removes it; `removed_at` None
    where that comes after the period."""

    slot: datetime
    reasons: tuple[Reason, ...]
    expires_at: datetime | None
    removed_at: datetime | None

    def exists(self, at: datetime) -> bool:
        return self.slot < at and (self.removed_at is None or at <= self.removed_at)

    def kept_by(self, at: datetime) -> tuple[str, ...]:
        """The rules that keep it then."""
        standing = (r.rule for r in self.reasons if r.until is None or r.until > at)
        return tuple(standing) or (UNTIL_CLEAN_UP,)


@dataclass(frozen=True, kw_only=True)
class PreviewedDay:
    """A local day: its backups, what the clocks do to them, and the points that are there when it
    ends (`end`, UTC), oldest first."""

    day: date
    end: datetime
    made: tuple[PreviewedPoint, ...]
    points: tuple[PreviewedPoint, ...]
    clock_changes: tuple[ClockChange, ...]


def preview(policy: Policy, first: date, days: int) -> Iterator[PreviewedDay]:
    """The local days from `first` on, in order."""
    zone = policy.time_zone
    start = local_instant(first, time(), ZoneInfo(zone))
    last = first + timedelta(days=days - 1)
    coming = deque(preview_points(policy, start, end_of_day(last, zone)))
    standing: tuple[PreviewedPoint, ...] = ()
    for day in (first + timedelta(days=offset) for offset in range(days)):
        end, made = end_of_day(day, zone), []
        while coming and coming[0].slot < end:
            made.append(coming.popleft())
        standing = tuple(point for point in (*standing, *made) if point.exists(end))
        yield PreviewedDay(
            day=day,
            end=end,
            made=tuple(made),
            points=standing,
            clock_changes=tuple(clock_changes(policy.schedule, zone, day)),
        )


def preview_points(policy: Policy, start: datetime, end: datetime) -> list[PreviewedPoint]:
    """Every point that is made in `[start, end)`, oldest first."""
    made: list[Point] = []
    removed: dict[PointId, datetime] = {}
    ends: list[tuple[datetime, PointId, Point]] = []
    for slot in slots_between(policy.schedule, policy.time_zone, start, end):
        newest = _point(policy, slot)
        # Points whose date has not come are kept by it: only the others need judging.
        over = [newest]
        while ends and ends[0][0] <= slot:
            over.append(heappop(ends)[2])
        plan = plan_retention(over, policy, newest.id, slot)
        removed |= {point.id: slot for point in plan.expire}
        made.append(newest)
        heappush(ends, (newest.expires_at or slot, newest.id, newest))
    return [_previewed(point, removed.get(point.id)) for point in made]


def _previewed(point: Point, removed_at: datetime | None) -> PreviewedPoint:
    return PreviewedPoint(
        slot=point.created_at,
        reasons=point.reasons,
        expires_at=point.expires_at,
        removed_at=removed_at,
    )


def _point(policy: Policy, slot: datetime) -> Point:
    """The vault's point of a backup that took no time."""
    job, reasons = slot_job(_ITEM, slot), reasons_for(slot, policy)
    copy = Snapshot(disk=DiskUrl(_ITEM), id=job, taken_at=slot, size_bytes=0, chain="", tag=job)
    return Point(
        id=point_of(job),
        item_id=_ITEM,
        job_id=job,
        created_at=slot,
        kind=Kind.INCREMENTAL,
        source=None,
        replica=copy,
        size_bytes=0,
        reasons=reasons,
        expires_at=expires_at(reasons),
    )
