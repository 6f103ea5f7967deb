"""Why points are kept, by the policy as it stands."""

from shared.decide.retention import reasons_for, snapshot_reasons
from shared.model.disk import Snapshot
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
