"""The activities of a restore, in the order of the incremental-snapshot procedure.

1. pin the point (`accept_restore`, in `commands`)
2. snapshot what the target holds, or make the new target, and lease it (`prepare_target`)
3. plan what to write (`plan_restore`)
4. copy it, in parts, by the storage service (`copy_restore_part`)
5. compare what is allocated, and put right what differs (`plan_restore` again: an audit)
6. snapshot the restored disk (`finish_restore`)
7. release lease and pin; protection goes on from that snapshot incrementally (`finish_restore`,
   and `commands.protect`, which finds it)

Each may run twice at the same time: every effect is found again, or is the same bytes behind the
same lease.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from shared import telemetry
from shared.codec import from_json, to_json
from shared.decide.copying import plan_audit, plan_whole
from shared.decide.decision import Decision
from shared.decide.restore import end_restore
from shared.decide.sampling import Sampler
from shared.model.errors import (
    AlreadyExists,
    Cancelled,
    ChainBroken,
    SourceGone,
    TargetBusy,
    VaultlineError,
)
from shared.model.extents import image_of, told
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job, Status
from shared.model.ledger import update
from shared.model.plan import OP_BYTES, PageOp, PlanRef, decode_index, decode_ops
from shared.model.point import Point
from shared.model.restore import (
    COPY,
    HAND_OVER,
    PREPARE,
    VERIFY,
    RestoreDisk,
    RestoreWork,
)
from shared.ports import Ports
from shared.steps.doubt import first_difference
from shared.steps.drafting import Compare, Window, compared, differing, write_plan
from shared.steps.executor import Errand, Stretch, carry_out
from shared.steps.extents import changed
from shared.steps.handing_over import hand_over, keep_what_is_there, take_no_further
from shared.steps.listing import Tally, changes
from shared.steps.plan import plans_of
from shared.steps.side_by_side import side_by_side
from shared.steps.step import step
from shared.steps.swapping import unclaim_restored
from shared.steps.transact import the, transact

ROUNDS_LIMIT = 4
PATIENCE = timedelta(days=2)
"""What the service has not done by then is given up like other work that is stuck."""


@dataclass(frozen=True, kw_only=True)
class RestoreStep:
    """The input of every activity: references alone (invariant 10)."""

    item_id: ItemId
    job_id: JobId
    round: int = 0
    plan: PlanRef | None = None
    part: int | None = None


@step("prepare target")
async def prepare_target(ports: Ports, request: RestoreStep) -> None:
    """Leases the targets, so that nobody else writes to them; those that are new are made. Raises
    `TargetBusy`, `SourceGone`; `Deferred`."""
    work = await _wanted_work(ports, request)
    if work.filled:
        return
    if work.overwrites:
        await ports.images.lease(work.target, work.lease_id)
    if work.original and work.safety is None:
        await keep_what_is_there(ports, request.item_id, request.job_id)
    if not work.overwrites:
        await side_by_side(work.targets, lambda disk: _make(ports, request, work, disk))
    await _moved_on(ports, request, lambda job: _tasks(job, PREPARE, COPY, ports))


async def _make(ports: Ports, request: RestoreStep, work: RestoreWork, disk: RestoreDisk) -> None:
    tag, traits = request.job_id, disk.traits
    region = traits.region if work.original else ""  # in place of another, so where that lies
    try:
        await ports.images.create(disk.url, disk.size_bytes, tag, traits, region)
    except AlreadyExists:
        state = await ports.disks.state(disk.url)
        if state.tag != request.job_id:
            raise TargetBusy(
                f"{disk.url} exists already",
                action="Restore to a name that does not exist, or delete what is there.",
            ) from None
    await ports.images.lease(disk.url, work.lease_id)


@step("plan restore")
async def plan_restore(ports: Ports, request: RestoreStep) -> PlanRef | None:
    """Writes the plan of one round; None means that the target is as the point.

    Round 0 copies; later ones are audits. The round comes from the orchestration and the plan
    goes back to it: a repeat of this activity must neither skip a round nor change a plan that
    parts are being copied by. Raises when the rounds do not end.
    """
    work = await _wanted_work(ports, request)
    if work.filled:
        return None
    if request.round >= ROUNDS_LIMIT:
        raise VaultlineError(
            f"after {request.round} rounds {work.target} still differs from point {work.point}",
            code="AuditFailed",
        )
    item = (await the(ports, request.item_id, Item)).record
    await side_by_side(work.targets, lambda disk: _fit(ports, work, disk))
    name = plans_of(item.replica, f"{request.job_id}/{request.round}-{uuid4().hex}")
    plan = await _write(ports, item, work, request, name)
    await _note_plan(ports, request, plan)
    return plan if plan.ops else None


async def _fit(ports: Ports, work: RestoreWork, disk: RestoreDisk) -> None:
    state = await ports.images.lease(disk.url, work.lease_id)
    if state.size_bytes != disk.size_bytes:
        await ports.images.resize(state, disk.size_bytes, work.fence)


async def _note_plan(ports: Ports, request: RestoreStep, plan: PlanRef) -> None:
    def noted(job: Job) -> Job:
        before = (job.planned_bytes, job.moved_bytes) if request.round else (0, 0)
        planned = replace(job, planned_bytes=before[0] + plan.copy_bytes, moved_bytes=before[1])
        return planned if plan.parts else _tasks(planned, COPY, VERIFY, ports)

    await _moved_on(ports, request, noted)


async def _write(
    ports: Ports, item: Item, work: RestoreWork, request: RestoreStep, url: str
) -> PlanRef:
    """The plan, written to `url` or to one like it."""
    if request.round:
        return await _write_audit(ports, work, request, url)
    if work.overwrites:
        plan = await _write_differing(ports, item, work, f"{url}-differing")
        if plan is not None:
            # Where nothing is to be done by what the service says, it is audited at once.
            return plan if plan.ops else await _write_audit(ports, work, request, url)
    return await _write_compared(ports, work, url, plan_whole)


async def _write_audit(ports: Ports, work: RestoreWork, request: RestoreStep, url: str) -> PlanRef:
    """What the one has allocated and the other has not. Where that is nothing, a few pages of
    both are compared, as with an increment (invariant 32): where they differ, everything is
    copied."""
    sampler = Sampler(f"{request.job_id} {request.round}", ports.pace.samples)
    plan = await _write_compared(ports, work, url, plan_audit, sampler)
    if plan.ops:
        return plan
    place = await first_difference(ports, work.wanted, work.image, sampler.chosen)
    if place is None:
        return plan
    where = told(place.start)
    message = f"what was restored differs from point {work.point} at {where}: it is copied whole"
    telemetry.alarm(message, item=request.item_id, job=request.job_id)
    return await _write_compared(ports, work, f"{url}-whole", plan_whole)


async def _write_compared(
    ports: Ports, work: RestoreWork, url: str, compare: Compare, sampler: Sampler | None = None
) -> PlanRef:
    """By what is allocated in the point and in the target; the sampler sees what both have."""
    windows = compared(ports, Tally(), work.wanted, work.image, compare)
    return await write_plan(ports, url, work.image, _shown(windows, sampler))


async def _shown(windows: AsyncIterator[Window], sampler: Sampler | None) -> AsyncIterator[Window]:
    async for window in windows:
        if sampler and not window.ops:
            sampler.see(window.source or ())
        yield window


async def _write_differing(ports: Ports, item: Item, work: RestoreWork, url: str) -> PlanRef | None:
    """The plan for where the original disk may differ from the point; None where nobody can tell.

    Disk now ≠ base (the source's diff), or base ≠ point (the replica's): everywhere else the
    disk holds the point's bytes already. So little is written, and the next increment, which
    carries what the restore wrote, is small as well.
    """
    base, tally = item.base, Tally()
    if base is None or work.safety is None or work.source.disk != base.replica.disk:
        return None
    source, safety = image_of(work.source), image_of(work.safety)
    diffs = [changes(tally, changed(ports, safety, image_of(base.source)))]
    if work.source.id != base.replica.id:
        diffs.append(changes(tally, changed(ports, image_of(base.replica), source)))
    try:
        windows = differing(ports, tally, source, *diffs)
        return await write_plan(ports, url, work.image, windows)
    except (ChainBroken, SourceGone):
        return None


@step("copy restore part")
async def copy_restore_part(ports: Ports, request: RestoreStep) -> int:
    """Carries out one part of the current plan; returns the bytes that it copied."""
    work = await _wanted_work(ports, request)
    assert request.plan is not None
    assert request.part is not None
    errand = Errand(
        target=work.image,
        source=work.source,
        fence=work.fence,
        ops=await _part(ports, request.plan, request.part),
    )
    copied = await _copy(ports, request, errand)
    await _moved_on(ports, request, lambda job: replace(job, moved_bytes=job.moved_bytes + copied))
    return copied


async def _copy(ports: Ports, request: RestoreStep, errand: Errand) -> int:
    """Copies all of the errand, however long the storage service makes it wait, and shows now and
    then that it moves. Raises `Transient` where it does not move at all, `Cancelled`."""
    copied = 0

    async def note(done: Stretch) -> bool:
        nonlocal copied
        await _wanted_work(ports, request)
        await _moved_on(ports, request, lambda job: job)
        copied += done.copied_from(done.first).copied_bytes
        return True

    while True:
        carried = await carry_out(ports, errand, note)
        rest = carried.unreported
        copied += rest.copied_from(rest.first).copied_bytes
        if carried.complete:
            return copied
        if carried.stopped_by and not carried.moved:
            raise carried.stopped_by
        await ports.clock.sleep(carried.wait_seconds)
        errand = errand.beyond(rest.last)


async def _part(ports: Ports, plan: PlanRef, number: int) -> list[PageOp]:
    index = decode_index(await ports.plans.slice(plan.url, *plan.index_slice))
    first, last = index[number].first, index[number].last
    return decode_ops(
        await ports.plans.slice(plan.url, first * OP_BYTES, (last - first) * OP_BYTES)
    )


@step("finish restore")
async def finish_restore(ports: Ports, request: RestoreStep) -> None:
    """Hands over what was restored: to a machine, or to a protection of its own, which goes on
    from there; lets everything go. Raises `Cancelled`; `Deferred`."""
    work = await _note_filled(ports, request)
    if work is not None:
        await hand_over(ports, request.item_id, request.job_id, work)
        await _let_go(ports, request, work, None)


async def _note_filled(ports: Ports, request: RestoreStep) -> RestoreWork | None:
    """The work, from here on nothing but handed over; None where it has ended. What is to become
    a machine's is not, where somebody wanted it to end before."""

    async def decide() -> Decision[RestoreWork | None]:
        row = await the(ports, request.item_id, Job, request.job_id)
        work = from_json(RestoreWork, row.record.detail)
        if row.record.status.ended:
            return Decision(None)
        if work.filled:
            return Decision(work)
        if work.machine and row.record.status is Status.CANCELLING:
            raise _cancelled(row.record)
        filled = replace(work, filled=True)
        noted = replace(row.record, detail=to_json(filled), attempts=0)
        return Decision(filled, (update(row, _tasks(noted, VERIFY, HAND_OVER, ports)),))

    return await transact(ports, request.item_id, decide)


@step("fail restore")
async def fail_restore(ports: Ports, request: RestoreStep, error: VaultlineError) -> None:
    """Ends the job with its reason; lease and pin go, the safety point stays. A machine that was
    switched off for it runs again, where it can be started at all. Raises `Deferred`."""
    job = (await the(ports, request.item_id, Job, request.job_id)).record
    work = from_json(RestoreWork, job.detail)
    if not job.status.ended:
        try:
            await take_no_further(ports, work)
        except VaultlineError:
            if ports.clock.now() - job.started_at < PATIENCE:
                raise
        await unclaim_restored(ports, request.item_id, work)
    await _let_go(ports, request, work, error)


@step("note that a restore waits")
async def note_wait(ports: Ports, request: RestoreStep) -> None:
    """What waits for the service moves, for a while: nobody takes it for stuck."""
    job = (await the(ports, request.item_id, Job, request.job_id)).record
    if ports.clock.now() - job.started_at < PATIENCE:
        await _moved_on(ports, request, lambda job: job)


async def _let_go(
    ports: Ports, request: RestoreStep, work: RestoreWork, error: VaultlineError | None
) -> None:
    await side_by_side(work.targets, lambda disk: ports.images.release(disk.url, work.lease_id))
    item = (await the(ports, request.item_id, Item)).record
    await ports.plans.delete(plans_of(item.replica, f"{request.job_id}/"))

    async def decide() -> Decision[None]:
        item = await ports.ledger.get(request.item_id, Item)
        job = await the(ports, request.item_id, Job, request.job_id)
        point = await ports.ledger.get(request.item_id, Point, work.point)
        detail = error.detail() if error else None
        return end_restore(item, job, point, detail, ports.clock.now())

    await transact(ports, request.item_id, decide)


async def _wanted_work(ports: Ports, request: RestoreStep) -> RestoreWork:
    """The job's work, where it is still to be done. Raises `Cancelled`: a job that has ended holds
    no lease any more, and must not take it again."""
    job = (await the(ports, request.item_id, Job, request.job_id)).record
    work = from_json(RestoreWork, job.detail)
    if job.status.ended or (job.status is Status.CANCELLING and not work.filled):
        raise _cancelled(job)
    return work


def _cancelled(job: Job) -> Cancelled:
    return Cancelled(
        f"restore {job.id} was cancelled on request",
        action="What its target holds is unfinished: restore again, or delete a new target.",
    )


def _tasks(job: Job, done: str, begun: str, ports: Ports) -> Job:
    now = ports.clock.now()
    return job.with_task(done, Status.COMPLETED, now).with_task(begun, Status.IN_PROGRESS, now)


async def _moved_on(ports: Ports, request: RestoreStep, change: Callable[[Job], Job]) -> None:
    async def decide() -> Decision[None]:
        row = await the(ports, request.item_id, Job, request.job_id)
        if row.record.status.ended:
            return Decision(None)
        moved = replace(change(row.record), progressed_at=ports.clock.now(), attempts=0)
        return Decision(None, (update(row, moved),))

    await transact(ports, request.item_id, decide)
