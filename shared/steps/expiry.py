"""What retention would do to an item now: one plan, for the dry run, the run, and who confirms."""

from collections.abc import Iterable

from shared import telemetry
from shared.decide.decision import Decision
from shared.decide.expiry import ask_for_run
from shared.decide.guard import guard_plan
from shared.decide.mirroring import plan_mirrored
from shared.decide.retention import RetentionPlan, plan_deletion, plan_retention
from shared.model.errors import Invalid
from shared.model.ids import ItemId, JobId, RequestId, request_job
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.policies import policy_of
from shared.steps.transact import the, transact, watch

EXPIRE = "expire"
"""The operation in the ids of the jobs that requests start."""


async def preview_expiry(ports: Ports, item_id: ItemId) -> RetentionPlan:
    """The plan that a retention run would carry out now. Raises `NotFound`."""
    item = (await the(ports, item_id, Item)).record
    points = [row.record async for row in ports.ledger.rows(item_id, Point)]
    return await expiry_plan(ports, item, points)


async def expiry_plan(ports: Ports, item: Item, points: Iterable[Point]) -> RetentionPlan:
    """What retention does with the item's points now, held back where that looks abnormal."""
    if item.mirrors:
        return plan_mirrored(points)
    if item.delete_data:
        return plan_deletion(points)
    policy, now = await policy_of(ports, item.policy), ports.clock.now()
    stopped = item.state is ProtectionState.PROTECTION_STOPPED
    base = item.base.point if item.base else None
    plan = plan_retention(points, policy, base, now, stopped=stopped)
    return guard_plan(plan, policy, item.expiry, ports.guard, now)


async def request_expiry(
    ports: Ports, item_id: ItemId, request: RequestId, *, confirm: bool
) -> JobId:
    """Asks for a retention run; with `confirm`, a plan that is held goes through as it is now.

    Repeatable under its request. Raises `Invalid` where the plan is held and not confirmed, or
    where another run that somebody asked for has not ended; `NotFound`.
    """
    job_id = request_job(item_id, EXPIRE, request)
    await the(ports, item_id, Item)
    await watch(ports, item_id)
    await ports.catalog.note_job(job_id, ports.clock.now())

    async def decide() -> Decision[None]:
        if await ports.ledger.get(item_id, Job, job_id) is not None:
            return Decision(None)
        row = await the(ports, item_id, Item)
        plan = await preview_expiry(ports, item_id)
        if plan.held and not confirm:
            raise Invalid(
                f"the clean-up of item {item_id} is held: {plan.held}",
                action=f"See `vaultline expire {item_id} --dry-run`; add --confirm to allow it.",
            )
        return ask_for_run(row, plan, job_id, ports.clock.now(), telemetry.trace_id())

    await transact(ports, item_id, decide)
    return job_id
