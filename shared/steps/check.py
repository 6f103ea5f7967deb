"""The steps of a consistency check: asked for, compared, noted, repaired (invariants 30-33).

Its rounds go the way of a transfer's, through the same queues and steps; here is what is its own.
"""

from dataclasses import replace
from functools import partial

from shared import telemetry
from shared.decide.check import (
    CHECK,
    ask_for_repair,
    end_check,
    heal,
    new_check,
    request_check,
    suspect,
)
from shared.decide.decision import Decision
from shared.decide.requests import fingerprint
from shared.decide.suspicion import suspicion
from shared.model.disk import Snapshot
from shared.model.errors import ChainBroken, SourceGone, Transient
from shared.model.extents import image_of, layout_of
from shared.model.ids import PointId, request_job
from shared.model.item import Item
from shared.model.job import Job, Operation
from shared.model.ledger import Versioned
from shared.model.messages import ConsistencyCheck, TransferStep
from shared.model.point import Point
from shared.model.ranges import Span
from shared.model.transfer import Phase, Transfer
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.damage import mark_suspects, places_of
from shared.steps.extents import changed
from shared.steps.transact import TRIES, the, transact, watch


async def check_now(ports: Ports, command: ConsistencyCheck) -> Accepted:
    """A check, beside whatever else the item does; repeatable under its request."""
    item_id, now = command.item_id, ports.clock.now()
    job_id = request_job(item_id, CHECK, command.request_id)
    await the(ports, item_id, Item)
    await watch(ports, item_id)
    await ports.catalog.note_job(job_id, now)
    job = replace(
        new_check(item_id, job_id, Operation.CONSISTENCY_CHECK, now, telemetry.trace_id()),
        request=fingerprint(command),
    )

    async def decide() -> Decision[None]:
        row = await the(ports, item_id, Item)
        if await ports.ledger.get(item_id, Job, job_id) is not None:
            return Decision(None)
        return request_check(row, job)

    await transact(ports, item_id, decide)
    return Accepted(item_id=item_id, job_id=job_id)


async def conclude_comparison(ports: Ports, request: TransferStep) -> bool:
    """What a check's comparison has found is noted, and its repair asked for; or the check ends,
    since nothing differs. The result says whether there was anything; repeatable."""
    for _ in range(TRIES):
        item = (await the(ports, request.item_id, Item)).record
        check = await ports.ledger.get(request.item_id, Transfer, request.job_id)
        if check is None or not compared(check.record, request):
            return False
        dirty = () if check.record.found else await _written_to(ports, item)
        suspects = await _noted(ports, request, check.record)
        note = partial(_note, ports, request, item, dirty, suspects)
        answer = await transact(ports, item.id, note)
        if answer is not None:
            return answer
    raise Transient(f"item {request.item_id} moves on too often to be checked now")


def compared(check: Transfer, request: TransferStep) -> bool:
    return check.phase is Phase.COMMITTING and check.epoch == request.epoch


async def _written_to(ports: Ports, item: Item) -> tuple[Span, ...]:
    """Where the replica was written to since the base, although no transfer is under way; one
    that is puts that right by itself (invariant 4)."""
    if item.base is None or item.transferring is not None:
        return ()
    replica = item.replica_of(layout_of(item.base.replica))
    try:
        return await places_of(changed(ports, replica, image_of(item.base.replica)))
    except (ChainBroken, SourceGone):
        return ()


async def _noted(ports: Ports, request: TransferStep, check: Transfer) -> tuple[PointId, ...]:
    """Writes the damage down, in the item and in the points that share it (invariant 31)."""
    if not check.found:
        return ()
    assert check.base is not None
    telemetry.alarm(
        f"{check.differing_bytes} bytes of the replica of {request.item_id} are not their source's",
        item=request.item_id,
        job=check.job_id,
    )

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
        if row is None or not compared(row.record, request):
            return Decision(None)
        return suspect(await the(ports, request.item_id, Item), row)

    await transact(ports, request.item_id, decide)
    why = suspicion(check.found, check.job_id)
    return await mark_suspects(ports, request.item_id, check.base.replica, check.found, why)


async def _note(
    ports: Ports,
    request: TransferStep,
    seen: Item,
    dirty: tuple[Span, ...],
    suspects: tuple[PointId, ...],
) -> Decision[bool | None]:
    """None where the replica may be written to since it was looked at."""
    item = await the(ports, request.item_id, Item)
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or not compared(row.record, request):
        return Decision(False)
    if dirty and _writing(item.record) != _writing(seen):
        return Decision(None)
    job, now = await the(ports, request.item_id, Job, request.job_id), ports.clock.now()
    noted = ask_for_repair(item, job, row, dirty, suspects, now)
    if noted.result:
        return Decision(True, noted.changes, noted.messages)
    ended = end_check(item, job, row, now)
    return Decision(False, ended.changes, ended.messages)


def _writing(item: Item) -> tuple[object, ...]:
    """What changes before a transfer writes."""
    return item.base, item.transferring, item.epoch


async def heal_point(ports: Ports, request: TransferStep, sealed: Snapshot) -> None:
    """The repaired replica's snapshot becomes the newest point's (invariant 33); repeatable."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
        if row is None or not compared(row.record, request):
            return Decision(None)
        item = await the(ports, request.item_id, Item)
        job = await the(ports, request.item_id, Job, request.job_id)
        return heal(
            item, job, row, await _base_point(ports, item.record), sealed, ports.clock.now()
        )

    await transact(ports, request.item_id, decide)


async def _base_point(ports: Ports, item: Item) -> Versioned[Point] | None:
    return await ports.ledger.get(item.id, Point, item.base.point) if item.base else None
