"""The first step behind `transfer-to-vault`: fences the replica, finds out what to copy, and
writes the plan."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import uuid4

from shared import telemetry
from shared.decide.check import begin_check_round
from shared.decide.comparing import WHOLE
from shared.decide.copying import plan_audit, plan_reading, plan_whole, plan_within
from shared.decide.decision import Decision
from shared.decide.transfer import (
    Planned,
    accept_plan,
    begin_round,
    plan_lost,
    refuse_base,
    refuse_seed,
    source_of,
    target_of,
)
from shared.model.errors import ChainBroken, Conflict, SourceGone
from shared.model.extents import Image, image_of
from shared.model.ids import DiskUrl, ItemId, JobId
from shared.model.item import Base, Item
from shared.model.ledger import Versioned
from shared.model.messages import TransferStep
from shared.model.plan import PlanRef
from shared.model.transfer import Round, Transfer
from shared.ports import Ports
from shared.steps.damage import places_of
from shared.steps.drafting import Window, compared, increment, write_plan
from shared.steps.extents import Fenced, changed, fence, unbroken
from shared.steps.failing import fail_backup_transfer
from shared.steps.listing import Tally, changes
from shared.steps.step import step
from shared.steps.transact import commit, the, transact

_FENCING_REQUESTS = 2
"""For each extent: one raises the epoch, one reads the state."""


class Outcome(StrEnum):
    PLANNED = "planned"
    SUPERSEDED = "a newer planning took over"
    PLANNED_AGAIN = "to be planned again without its base"
    FAILED = "failed"
    NOTHING = "nothing to do"


@dataclass(frozen=True)
class Work:
    """What one round is about to do: the transfer in its new epoch, and the fenced replica."""

    item: Item
    transfer: Transfer
    replica: Fenced

    @property
    def source(self) -> Image:
        return image_of(source_of(self.item, self.transfer))


def plans_of(replica: DiskUrl, job: JobId | str = "") -> str:
    """Where the plans of a replica's transfers lie; those of one job where it is named."""
    return f"{replica}.plans/{job}"


@step("plan transfer")
async def plan_transfer(ports: Ports, request: TransferStep) -> Outcome:
    """Plans the transfer's next round under a new epoch. Repeatable: a repeat takes a newer
    epoch, and the older planning can then neither write nor be accepted."""
    begun = await transact(ports, request.item_id, lambda: _begin(ports, request))
    if begun is None:
        return Outcome.NOTHING
    item = (await the(ports, request.item_id, Item)).record
    try:
        work = await _fence(ports, item, begun)
        tally = Tally()
        plan = await _write(ports, work, _windows(ports, work, tally))
        return await _accept(ports, work, plan, tally)
    except ChainBroken as error:
        return await _without_base(ports, item, begun, error)
    except SourceGone as error:
        return await _without_source(ports, item, begun, error)


async def _begin(ports: Ports, request: TransferStep) -> Decision[Transfer | None]:
    item = await the(ports, request.item_id, Item)
    transfer = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if transfer is None:
        return Decision(None)
    begin = begin_check_round if transfer.record.for_check else begin_round
    return begin(item, transfer, ports.clock.now())


async def _fence(ports: Ports, item: Item, transfer: Transfer) -> Work:
    """Raises the epoch on the replica *before* anything is listed: what an older writer has not
    written by then it never will (invariants 3 and 4)."""
    image = target_of(item, transfer)
    if transfer.for_check and transfer.round is Round.CHECK:
        return Work(item=item, transfer=transfer, replica=Fenced(image, (), frozenset()))
    fenced = await fence(ports, image, transfer.epoch, item.id)
    return Work(item=item, transfer=transfer, replica=fenced)


def _windows(ports: Ports, work: Work, tally: Tally) -> AsyncIterator[Window]:
    """What the round is to do, window by window; the tally is complete once they are."""
    begun, replica = work.transfer, work.replica.image
    match begun.round:
        case Round.COPY if begun.base is not None:
            return _increment(ports, work, begun.base, tally)
        case Round.AUDIT:
            return compared(ports, tally, work.source, replica, plan_audit)
        case Round.CHECK:
            region = WHOLE if begun.for_check else begun.suspected
            return compared(ports, tally, work.source, replica, partial(plan_reading, region))
        case Round.COMPARE if begun.base is not None:
            return _repair(ports, work, begun.base, tally)
        case _:
            return compared(ports, tally, work.source, replica, plan_whole)


async def _repair(ports: Ports, work: Work, base: Base, tally: Tally) -> AsyncIterator[Window]:
    """What is suspect, and, in a check, whatever else was written to the replica since its base:
    it is the base that the check makes the replica like (invariant 33)."""
    region, replica = work.transfer.suspected, work.replica.image
    if work.transfer.for_check:
        before = image_of(base.replica)
        unbroken(work.replica, before)
        region = await places_of(changed(ports, replica, before), region)
    wanted = partial(plan_within, region)
    async for window in compared(ports, tally, work.source, replica, wanted):
        yield window


def _increment(ports: Ports, work: Work, base: Base, tally: Tally) -> AsyncIterator[Window]:
    """What the source says has changed, and what an abandoned transfer left in the replica: the
    replica itself is asked for that, so nobody has to remember it (invariant 4)."""
    before = image_of(base.replica)
    unbroken(work.replica, before)
    diverged = changes(tally, changed(ports, work.replica.image, before))
    return increment(ports, tally, work.source, image_of(base.source), diverged)


async def _accept(ports: Ports, work: Work, plan: PlanRef, tally: Tally) -> Outcome:
    planned = Planned(
        plan=plan,
        changed_bytes=tally.changed_bytes,
        requests=tally.requests + _FENCING_REQUESTS * len(work.replica.image),
    )
    row = await _unmoved(ports, work.transfer, work.item)
    if row is None:
        return Outcome.SUPERSEDED
    try:
        decision = accept_plan(work.item.id, row, planned, ports.clock.now())
        await commit(ports, work.item.id, decision)
    except Conflict:
        return Outcome.SUPERSEDED
    telemetry.planned_bytes.add(plan.copy_bytes)
    telemetry.note(
        parts=plan.parts,
        ops=plan.ops,
        copy_bytes=plan.copy_bytes,
        strayed_ranges=tally.strayed_ranges,
    )
    return Outcome.PLANNED


async def _unmoved(ports: Ports, begun: Transfer, item: Item) -> Versioned[Transfer] | None:
    """The transfer's row; None where it has moved on, or was cancelled, meanwhile."""
    row = await ports.ledger.get(item.id, Transfer, begun.job_id)
    return row if row and row.record == begun else None


async def _write(ports: Ports, work: Work, windows: AsyncIterator[Window]) -> PlanRef:
    """Under a name of its own: a rival planner's plan must not change under its parts."""
    name = f"{work.transfer.job_id}/{work.transfer.epoch}-{uuid4().hex}"
    url = plans_of(work.item.replica, name)
    return await write_plan(ports, url, work.replica.image, windows)


async def _without_base(ports: Ports, item: Item, begun: Transfer, error: ChainBroken) -> Outcome:
    """Planned again as a full copy, with the reason on the point (faults 4 and 5). A check makes
    no point, and cannot go on."""
    if begun.for_check:
        await fail_backup_transfer(ports, item.id, begun, error)
        return Outcome.FAILED

    async def decide() -> Decision[None]:
        row = await _unmoved(ports, begun, item)
        if row is None:
            return Decision(None)
        return refuse_base(item.id, row, str(error), ports.clock.now())

    await transact(ports, item.id, decide)
    return Outcome.PLANNED_AGAIN


async def _without_source(ports: Ports, item: Item, begun: Transfer, error: SourceGone) -> Outcome:
    """A seed that is gone makes way for a full copy; a source snapshot that is gone ends it."""
    if begun.round is Round.SEED:
        await without_seed(ports, item, begun)
        return Outcome.PLANNED_AGAIN
    await fail_backup_transfer(ports, item.id, begun, error)
    return Outcome.FAILED


async def without_plan(ports: Ports, item_id: ItemId, copying: Transfer) -> None:
    """The plan is gone from beside the replica: planned again, unless somebody has already, or
    the transfer has ended."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item_id, Transfer, copying.job_id)
        if row is None or row.record.epoch != copying.epoch or row.record.plan != copying.plan:
            return Decision(None)
        return plan_lost(item_id, row, ports.clock.now())

    await transact(ports, item_id, decide)


async def without_seed(ports: Ports, item: Item, seeding: Transfer) -> None:
    """The vault's copy to start from is gone: planned again as a full copy."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Transfer, seeding.job_id)
        if row is None or row.record.epoch != seeding.epoch:
            return Decision(None)
        return refuse_seed(await the(ports, item.id, Item), row, ports.clock.now())

    await transact(ports, item.id, decide)
