"""The step behind `incremental-copy`: one part of a plan, carried out by the storage service."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared import telemetry
from shared.decide.decision import Decision
from shared.decide.transfer import Copied, finish_part, refuse_base
from shared.model.disk import EpochFence, Fence, Snapshot
from shared.model.errors import (
    TARGET_NOT_FOUND,
    NotFound,
    ServerSideCopyRefused,
    SourceGone,
    StaleEpoch,
)
from shared.model.ids import DiskUrl
from shared.model.item import Item
from shared.model.messages import CopyPart
from shared.model.plan import OP_BYTES, PageOp, decode_ops
from shared.model.ranges import Change
from shared.model.transfer import Phase, Round, Transfer
from shared.ports import Ports, ReadGrant
from shared.steps.failing import fail_backup_transfer
from shared.steps.plan import source_of, without_plan, without_seed
from shared.steps.step import step
from shared.steps.transact import the, transact


class Outcome(StrEnum):
    COPIED = "copied"
    STALE = "refused: a newer epoch writes"
    FAILED = "failed"
    PLANNED_AGAIN = "to be planned again"
    NOTHING = "nothing to do"


@dataclass(frozen=True, kw_only=True)
class Errand:
    """Operations on one image, from one snapshot, behind one fence."""

    target: DiskUrl
    source: Snapshot
    fence: Fence
    ops: Sequence[PageOp]
    stream: bool = False


@step("copy part")
async def copy_part(ports: Ports, request: CopyPart) -> Outcome:
    """Carries out one part and reports it; repeatable, as its source never changes."""
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or not _wanted(row.record, request):
        return Outcome.NOTHING
    item = (await the(ports, request.item_id, Item)).record
    try:
        copied = await carry_out(ports, await _errand(ports, item, row.record, request))
    except StaleEpoch as error:
        if error.code == TARGET_NOT_FOUND:
            await _replica_gone(ports, item, row.record)
            return Outcome.PLANNED_AGAIN
        return Outcome.STALE
    except SourceGone as error:
        return await _source_gone(ports, item, row.record, error)
    except NotFound:
        await without_plan(ports, item.id, row.record)
        return Outcome.PLANNED_AGAIN
    counted = await transact(ports, request.item_id, lambda: _finish(ports, request, copied))
    if counted:
        telemetry.moved_bytes.add(copied.copied_bytes)
        telemetry.worker_bytes.add(copied.worker_bytes)
        telemetry.requests.add(copied.requests)
    return Outcome.COPIED


def _wanted(transfer: Transfer, request: CopyPart) -> bool:
    return (
        transfer.phase is Phase.COPYING
        and transfer.epoch == request.epoch
        and not transfer.is_done(request.part)
    )


async def _errand(ports: Ports, item: Item, transfer: Transfer, request: CopyPart) -> Errand:
    assert transfer.plan is not None
    slice_ = await ports.plans.slice(
        transfer.plan.url, request.first * OP_BYTES, (request.last - request.first) * OP_BYTES
    )
    return Errand(
        target=item.replica,
        source=source_of(item, transfer),
        fence=EpochFence(epoch=request.epoch),
        ops=decode_ops(slice_),
        stream=transfer.stream,
    )


async def _finish(ports: Ports, request: CopyPart, copied: Copied) -> Decision[bool]:
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or not _wanted(row.record, request):
        return Decision(False)
    return finish_part(request.item_id, row, request.part, copied, ports.clock.now())


async def _replica_gone(ports: Ports, item: Item, transfer: Transfer) -> None:
    """Somebody deleted the replica in mid-transfer: it is made anew, by a full copy."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Transfer, transfer.job_id)
        if row is None or row.record.epoch != transfer.epoch:
            return Decision(None)
        why = "the replica was deleted during the transfer"
        return refuse_base(item.id, row, why, ports.clock.now())

    await transact(ports, item.id, decide)


async def _source_gone(ports: Ports, item: Item, transfer: Transfer, error: SourceGone) -> Outcome:
    if transfer.round is Round.SEED:
        await without_seed(ports, item, transfer)
        return Outcome.PLANNED_AGAIN
    await fail_backup_transfer(ports, item.id, transfer, error)
    return Outcome.FAILED


async def carry_out(ports: Ports, errand: Errand) -> Copied:
    """Does every operation, some at a time; what it returns is done in the storage service.

    Where the service will not read the source itself the bytes are streamed. Raises the gravest
    of what went wrong; then some operations are done and some are not.
    """
    if errand.stream:
        return await _run(ports, errand, None)
    try:
        async with ports.disks.grant(errand.source) as grant:
            return await _run(ports, errand, grant)
    except ServerSideCopyRefused:
        return await _run(ports, errand, None)


async def _run(ports: Ports, errand: Errand, grant: ReadGrant | None) -> Copied:
    places = asyncio.Semaphore(ports.pace.copy_concurrency)

    async def one(op: PageOp) -> None:
        async with places:
            await _do(ports, errand, op, grant)

    try:
        async with asyncio.TaskGroup() as group:
            for op in errand.ops:
                group.create_task(one(op))
    except BaseExceptionGroup as failures:
        raise _gravest(failures) from None
    return _tally(errand, streamed=grant is None)


async def _do(ports: Ports, errand: Errand, op: PageOp, grant: ReadGrant | None) -> None:
    if op.change is Change.CLEARED:
        await ports.images.clear(errand.target, op.range, errand.fence)
    elif grant is not None:
        await ports.images.copy(errand.target, op.range, grant, errand.fence)
    else:
        body = await ports.disks.read(errand.source, op.range)
        await ports.images.write(errand.target, op.range, body, errand.fence)


def _gravest(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ends the work (permanent) before what only delays it; what is no error of ours first."""
    return min(failures.exceptions, key=lambda error: getattr(error, "transient", -1))


def _tally(errand: Errand, *, streamed: bool) -> Copied:
    copies = [op.range.size_bytes for op in errand.ops if op.change is Change.WRITTEN]
    clears = [op.range.size_bytes for op in errand.ops if op.change is Change.CLEARED]
    return Copied(
        copied_bytes=sum(copies),
        cleared_bytes=sum(clears),
        worker_bytes=sum(copies) if streamed else 0,
        requests=len(errand.ops) + (len(copies) if streamed else 0),
        stream=streamed,
    )
