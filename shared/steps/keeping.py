"""Why points are kept, by the policy as it stands."""

from shared.decide.retention import reasons_for
from shared.model.disk import Snapshot
from shared.model.item import Item
from shared.model.job import Job
from shared.model.point import Reason
from shared.ports import Ports


async def reasons_of(ports: Ports, item: Item, job: Job, snapshot: Snapshot) -> tuple[Reason, ...]:
    """Why a point made of `snapshot` by `job` will be kept."""
    policy = await ports.catalog.policy(item.policy)
    return reasons_for(
        snapshot.taken_at, policy, retain_until=job.retain_until, on_demand=job.slot is None
    )
