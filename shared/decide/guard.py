"""The deletion guard: a plan that looks abnormal is held until a person confirms it.

What it looks for are the marks of mistakes that look like age: a clock that jumped, a policy that
was shortened by accident. Ordinary rotation, and the first clean-up after a short outage, pass.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.decide.retention import RetentionPlan, expires_at, reasons_for
from shared.decide.schedule import latest_slot, slots_between
from shared.model.expiry import Expiry, Guard
from shared.model.policy import Policy

CLOCKS_APART = timedelta(hours=1)
"""Hosts' clocks may differ; a point from further in the future means that one of them jumped."""
_WEEK = timedelta(days=7)
_MOMENT = timedelta(microseconds=1)


def guard_plan(
    plan: RetentionPlan, policy: Policy, past: Expiry, guard: Guard, now: datetime
) -> RetentionPlan:
    """The plan, held back where it looks abnormal and nobody confirmed it.

    Once held it stays held until a person confirms what is then to go, or until nothing is: the
    next day's plan may look ordinary and remove as much.
    """
    if not plan.begins or past.confirmed == plan.signature:
        return plan
    why = next(_abnormal(plan, policy, past, guard, now), past.held)
    return plan.hold_back(why) if why else plan


def remember(past: Expiry, plan: RetentionPlan, policy: Policy) -> Expiry:
    """What the item keeps in mind of a plan that is held, or about to be carried out."""
    if plan.held:
        return replace(past, held=plan.held)
    return replace(past, held="", policy=version_of(policy))


def version_of(policy: Policy) -> str:
    """The policy and its version, as items remember it."""
    return f"{policy.name}/{policy.version}"


def _abnormal(
    plan: RetentionPlan, policy: Policy, past: Expiry, guard: Guard, now: datetime
) -> Iterator[str]:
    """Everything that speaks against carrying the plan out unasked."""
    newest = max(each.point.created_at for each in plan.decisions)
    if newest > now + CLOCKS_APART:
        yield f"a point is from {newest:%Y-%m-%d %H:%M}Z, later than now: a clock jumped"
    quiet = _quiet(plan, now)
    if quiet > timedelta(days=guard.quiet_days):
        yield f"{quiet.days} days went by without a new point: the clock may have jumped"
    least = guard.least_points
    if past.policy == version_of(policy):
        least = min(least, _ordinary(policy, now, least))
    if len(plan.staying) < least:
        yield f"it would leave {len(plan.staying)} of {len(plan.decisions)} points, under {least}"
    removed = past.removed_by(now.astimezone(UTC).date()) + len(plan.begins)
    if removed > guard.most_removals_a_day and removed > (most := _made_in_a_week(policy, now)):
        most = max(most, guard.most_removals_a_day)
        yield f"it would make {removed} removals in a day, over {most}"


def _quiet(plan: RetentionPlan, now: datetime) -> timedelta:
    """How long no point was made: before the newest one, or until now."""
    *_, before, newest = [now, now, *(each.point.created_at for each in plan.decisions)]
    return max(newest - before, now - newest)


def _ordinary(policy: Policy, now: datetime, least: int) -> int:
    """How many points (at most `least`) the policy keeps when all goes as it should."""
    start = latest_slot(policy.schedule, policy.time_zone, now) or now
    return sum(1 for slot in _past_slots(policy, start, least) if _kept(policy, slot, start))


def _past_slots(policy: Policy, last: datetime, count: int) -> Iterator[datetime]:
    """The last slots up to and including `last`, newest first."""
    slot: datetime | None = last
    for _ in range(count):
        if slot is None:
            return
        yield slot
        slot = latest_slot(policy.schedule, policy.time_zone, slot - _MOMENT)


def _kept(policy: Policy, slot: datetime, now: datetime) -> bool:
    end = expires_at(reasons_for(slot, policy))
    return slot == now or (end is not None and end > now)


def _made_in_a_week(policy: Policy, now: datetime) -> int:
    return sum(1 for _ in slots_between(policy.schedule, policy.time_zone, now - _WEEK, now))
