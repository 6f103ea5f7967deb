"""Why points are kept, by the policy as it stands."""

from datetime import date, datetime

from shared.decide.retention import end_of_day, reasons_for, snapshot_reasons
from shared.model.disk import Snapshot
from shared.model.errors import Invalid
from shared.model.item import Item
from shared.model.job import Job
from shared.model.point import Reason
from shared.ports import Ports
from shared.steps.policies import policy_of


async def reasons_of(ports: Ports, item: Item, job: Job, snapshot: Snapshot) -> tuple[Reason, ...]:
    """Why a point in the vault, made of `snapshot` by `job`, will be kept."""
    policy = await policy_of(ports, item.policy)
    return reasons_for(
        snapshot.taken_at, policy, retain_until=job.retain_until, on_demand=job.slot is None
    )


async def reasons_of_snapshot(
    ports: Ports, item: Item, job: Job, snapshot: Snapshot
) -> tuple[Reason, ...]:
    """Why a point will be kept that has the snapshot tier alone."""
    policy = await policy_of(ports, item.policy)
    return snapshot_reasons(snapshot.taken_at, policy, job.retain_until)


async def retained_until(ports: Ports, item: Item, day: date | None) -> datetime | None:
    """The end of the day asked for, by the clocks of the item's policy; None where none was.
    Raises `Invalid` for a day that is past there, or that no calendar has an end of."""
    if day is None:
        return None
    policy = await policy_of(ports, item.policy)
    try:
        end = end_of_day(day, policy.time_zone)
    except OverflowError:
        raise Invalid(f"retain_until {day} is too far away") from None
    if end <= ports.clock.now():
        raise Invalid(f"retain_until {day} is past in {policy.time_zone}")
    return end
