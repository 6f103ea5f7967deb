"""What is kept, what is released and what expires, and why (invariant 8).

Reasons are computed anew from the policy as it is now, so that a changed policy applies to the
points that exist. Dates are calendar dates in the policy's zone. A plan only says what is to be
done; a dry run prints it, the retention step carries it out.
"""

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from shared.decide.schedule import local_instant
from shared.model.ids import PointId, digest
from shared.model.point import Point, Reason
from shared.model.policy import Policy, RetentionRule, Rule, Week, Weekday

ON_DEMAND_DAYS = 30
"""How long a backup is kept that somebody asked for without a date (Azure's default)."""

ON_DEMAND = "on-demand"
RETAIN_UNTIL = "retain-until"
INSTANT_RESTORE = "instant-restore"
STOPPED = "protection-stopped"
HOLD = "hold"
BEFORE_RESTORE = "before a restore"

DATA_DELETED = "protection was stopped and its data is deleted"

_WEEKDAYS = tuple(Weekday)
_WEEKS = {Week.FIRST: 0, Week.SECOND: 1, Week.THIRD: 2, Week.FOURTH: 3}


class Mark(StrEnum):
    """What becomes of a point: kept by its reasons, kept for its use though no reason is left,
    kept until a person confirms an abnormal plan, or removed."""

    KEEP = "keep"
    PROTECTED = "protected"
    HELD = "held"
    EXPIRE = "expire"


@dataclass(frozen=True, kw_only=True)
class RetentionDecision:
    """One point's fate. `reasons` are those of the policy as it is; `release` says that its
    source snapshot goes while the point itself stays, `release_why` why it goes or stays."""

    point: Point
    mark: Mark
    reasons: tuple[Reason, ...]
    why: str
    release: bool
    release_why: str

    def hold_back(self, why: str) -> "RetentionDecision":
        """The decision while its plan waits for a person."""
        kept = replace(
            self,
            release=False,
            release_why="kept: the plan is held" if self.release else self.release_why,
        )
        if self.mark is not Mark.EXPIRE or self.point.expiring:
            return kept
        return replace(kept, mark=Mark.HELD, why=f"{self.why}; held: {why}")

    def explain(self) -> str:
        """The decision as a line for people."""
        snapshot = f"; source snapshot: {self.release_why}" if self.release_why else ""
        return f"{self.point.id}  {self.mark}  {self.why}{snapshot}"


@dataclass(frozen=True, kw_only=True)
class RetentionPlan:
    """What retention does at one moment to one item's points, oldest first. `held` says why
    nothing is removed before a person confirms it; empty where nothing is held."""

    decisions: tuple[RetentionDecision, ...]
    held: str = ""

    @property
    def keep(self) -> tuple[Point, ...]:
        return self._marked(Mark.KEEP)

    @property
    def protected(self) -> tuple[Point, ...]:
        return self._marked(Mark.PROTECTED)

    @property
    def expire(self) -> tuple[Point, ...]:
        return self._marked(Mark.EXPIRE)

    @property
    def begins(self) -> tuple[Point, ...]:
        """The points whose removal would begin with this plan."""
        return tuple(point for point in self.expire if not point.expiring)

    @property
    def staying(self) -> tuple[Point, ...]:
        """The points that are there when the plan is carried out."""
        return tuple(each.point for each in self.decisions if each.mark is not Mark.EXPIRE)

    @property
    def signature(self) -> str:
        """Stands for what is to go, held or not: the same before and while it is carried out."""
        going = (each for each in self.decisions if each.mark in (Mark.EXPIRE, Mark.HELD))
        return digest(" ".join(each.point.id for each in going))

    def hold_back(self, why: str) -> "RetentionPlan":
        """The plan that waits: only removals that have begun go on."""
        return RetentionPlan(
            decisions=tuple(decision.hold_back(why) for decision in self.decisions), held=why
        )

    @property
    def release(self) -> tuple[Point, ...]:
        """Points that stay and whose source snapshot goes."""
        return tuple(decision.point for decision in self.decisions if decision.release)

    def explain(self) -> list[str]:
        """The plan as lines for people, one a point."""
        return [decision.explain() for decision in self.decisions]

    def _marked(self, mark: Mark) -> tuple[Point, ...]:
        return tuple(decision.point for decision in self.decisions if decision.mark is mark)


def reasons_for(
    created_at: datetime,
    policy: Policy,
    retain_until: datetime | None = None,
    *,
    on_demand: bool = False,
) -> tuple[Reason, ...]:
    """Why a point in the vault is kept: every rule that its local day satisfies, and what was
    asked for it. The latest date counts."""
    local = created_at.astimezone(ZoneInfo(policy.time_zone))
    today = local.date()
    return (
        *(
            Reason(rule=rule.rule.value, until=_later(local, _end_day(rule, today)))
            for rule in policy.retention
            if _matches(rule, today)
        ),
        *_requested(local, retain_until, on_demand),
    )


def snapshot_reasons(
    created_at: datetime, policy: Policy, retain_until: datetime | None = None
) -> tuple[Reason, ...]:
    """Why a point is kept that nothing but its source snapshot holds: it ends with that."""
    local = created_at.astimezone(ZoneInfo(policy.time_zone))
    instant = Reason(rule=INSTANT_RESTORE, until=_snapshot_end(created_at, policy))
    return (instant, *_requested(local, retain_until, on_demand=False))


def expires_at(reasons: Iterable[Reason]) -> datetime | None:
    """When the last reason ends; None where one has no end, or where there is no reason."""
    ends = [reason.until for reason in reasons]
    dated = [end for end in ends if end is not None]
    return max(dated) if dated and len(dated) == len(ends) else None


def end_of_day(day: date, time_zone: str) -> datetime:
    """The instant, in UTC, that ends the local `day`: a point retained until a date lives it
    through."""
    return local_instant(day + timedelta(days=1), datetime.min.time(), ZoneInfo(time_zone))


def plan_retention(
    points: Iterable[Point],
    policy: Policy,
    base_point_id: PointId | None,
    now: datetime,
    *,
    stopped: bool = False,
) -> RetentionPlan:
    """What to do with an item's points now. While protection is stopped, data is kept.

    Never removed: the newest point in the vault that is not suspect, the base, a point in use by a
    restore. A point whose removal has begun counts no more as one in the vault; its removal goes
    on.
    """
    oldest_first = sorted(points, key=lambda point: (point.created_at, point.id))
    in_vault = [point for point in oldest_first if point.replica and not point.expiring]
    sound = [point for point in in_vault if not point.suspect]
    newest = next((point.id for point in reversed(sound or in_vault)), None)
    context = _Context(policy, base_point_id, newest, now, stopped)
    return RetentionPlan(decisions=tuple(context.decide(point) for point in oldest_first))


def plan_deletion(points: Iterable[Point]) -> RetentionPlan:
    """What to do with the points of an item whose data is to go: all of them but those that a
    person holds, and those that a restore still reads."""
    oldest_first = sorted(points, key=lambda point: (point.created_at, point.id))
    return RetentionPlan(decisions=tuple(_deletion(point) for point in oldest_first))


def _deletion(point: Point) -> RetentionDecision:
    mark, why = Mark.EXPIRE, DATA_DELETED
    if point.hold:
        mark, why = Mark.KEEP, f"kept by {HOLD}"
    elif point.pins:
        mark, why = Mark.PROTECTED, f"in use by {', '.join(point.pins)}"
    return RetentionDecision(
        point=point, mark=mark, reasons=point.reasons, why=why, release=False, release_why=""
    )


@dataclass(frozen=True)
class _Context:
    """What every point of one plan is judged by."""

    policy: Policy
    base: PointId | None
    newest: PointId | None
    now: datetime
    stopped: bool

    def decide(self, point: Point) -> RetentionDecision:
        reasons = self._reasons(point)
        mark, why = self._mark(point, reasons)
        release, release_why = self._release(point, mark)
        return RetentionDecision(
            point=point,
            mark=mark,
            reasons=reasons,
            why=why,
            release=release,
            release_why=release_why,
        )

    def _reasons(self, point: Point) -> tuple[Reason, ...]:
        return (*self._by_policy(point), *self._besides(point))

    def _by_policy(self, point: Point) -> tuple[Reason, ...]:
        if point.replica is None:
            return snapshot_reasons(point.created_at, self.policy, point.retain_until)
        on_demand = any(reason.rule == ON_DEMAND for reason in point.reasons)
        return reasons_for(point.created_at, self.policy, point.retain_until, on_demand=on_demand)

    def _besides(self, point: Point) -> Iterator[Reason]:
        """Reasons that no policy gives."""
        yield from (reason for reason in point.reasons if reason.rule == BEFORE_RESTORE)
        if point.hold:
            yield Reason(rule=HOLD)
        if self.stopped:
            yield Reason(rule=STOPPED)

    def _mark(self, point: Point, reasons: tuple[Reason, ...]) -> tuple[Mark, str]:
        standing = [reason for reason in reasons if _stands(reason, self.now)]
        if standing and not point.expiring:
            return Mark.KEEP, f"kept by {_listed(standing)}"
        use = self._use(point)
        if use:
            return Mark.PROTECTED, use
        if point.expiring:
            return Mark.EXPIRE, f"its removal has begun: {point.expiring}"
        if not reasons:
            return Mark.EXPIRE, "no rule of the policy keeps a point of its day"
        return Mark.EXPIRE, f"no longer kept: {_listed(reasons)}"

    def _use(self, point: Point) -> str:
        """What needs the point though no reason keeps it; empty where nothing does."""
        if point.pins:
            return f"in use by {', '.join(point.pins)}"
        if point.id == self.base:
            return "the next increment is computed against it"
        return "the newest point in the vault" if point.id == self.newest else ""

    def _release(self, point: Point, mark: Mark) -> tuple[bool, str]:
        if point.source is None or mark is Mark.EXPIRE:
            return False, ""
        if point.id == self.base:
            return False, "kept: the next increment is computed against it"
        if point.hold:
            return False, "kept: the point is held"
        if point.pins:
            return False, f"kept: in use by {', '.join(point.pins)}"
        if point.replica is None:
            return False, "kept: nothing else holds the point"
        end = _snapshot_end(point.created_at, self.policy)
        if end > self.now:
            return False, f"kept for instant restore until {_utc(end)}"
        return True, f"released: instant restore ended {_utc(end)}"


def _snapshot_end(created_at: datetime, policy: Policy) -> datetime:
    """When the snapshot tier of a point made then is over."""
    local = created_at.astimezone(ZoneInfo(policy.time_zone))
    return _later(local, local.date() + timedelta(days=policy.instant_restore_days))


def _requested(local: datetime, retain_until: datetime | None, on_demand: bool) -> Iterator[Reason]:
    """What was asked for the point itself, beside the policy's rules."""
    if retain_until is not None:
        yield Reason(rule=RETAIN_UNTIL, until=retain_until.astimezone(UTC))
    elif on_demand:
        last = local.date() + timedelta(days=ON_DEMAND_DAYS)
        yield Reason(rule=ON_DEMAND, until=_later(local, last))


def _matches(rule: RetentionRule, day: date) -> bool:
    """Whether the day meets every condition that the rule gives."""
    return (
        (not rule.on or _WEEKDAYS[day.weekday()] in rule.on)
        and (not rule.months or day.month in rule.months)
        and (rule.week is None or _in_week(rule.week, day))
        and (rule.day is None or day.day == (rule.day or _days_in_month(day)))
    )


def _in_week(week: Week, day: date) -> bool:
    """Whether the day is that occurrence of its weekday in its month."""
    if week is Week.LAST:
        return day.day + 7 > _days_in_month(day)
    return (day.day - 1) // 7 == _WEEKS[week]


def _days_in_month(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _end_day(rule: RetentionRule, day: date) -> date:
    """The local day on which the rule's term ends; a month's missing days count as its last."""
    match rule.rule:
        case Rule.DAILY:
            return day + timedelta(days=rule.keep)
        case Rule.WEEKLY:
            return day + timedelta(weeks=rule.keep)
        case Rule.MONTHLY:
            return _months_later(day, rule.keep)
        case Rule.YEARLY:
            return _months_later(day, 12 * rule.keep)


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _later(local: datetime, day: date) -> datetime:
    """The point's own `local` time of day on a later day, as an instant in UTC."""
    assert isinstance(local.tzinfo, ZoneInfo)
    return local_instant(day, local.time(), local.tzinfo)


def _stands(reason: Reason, now: datetime) -> bool:
    return reason.until is None or reason.until > now


def _listed(reasons: Iterable[Reason]) -> str:
    return ", ".join(
        f"{reason.rule} until {_utc(reason.until)}" if reason.until else reason.rule
        for reason in reasons
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
