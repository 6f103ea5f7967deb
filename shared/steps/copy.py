"""The step behind `incremental-copy`: one part of a plan, carried out by the storage service."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared import telemetry
from shared.decide.decision import Decision
from shared.decide.parts import (
    Copied,
    checkpoint_part,
    continue_part,
    finish_part,
    remember_stream,
)
from shared.decide.transfer import refuse_base, source_of, target_of
from shared.model.disk import EpochFence
from shared.model.errors import TARGET_NOT_FOUND, Conflict, NotFound, SourceGone, StaleEpoch
from shared.model.ids import DiskUrl
from shared.model.item import Item
from shared.model.ledger import RowChange, Versioned
from shared.model.manifest import Leaf, encode, manifest_of
from shared.model.messages import CopyPart, Outgoing
from shared.model.outbox import Outbox
from shared.model.plan import OP_BYTES, decode_ops
from shared.model.transfer import Phase, Round, Transfer
from shared.ports import Ports
from shared.steps.executor import Carried, Errand, Stretch, carry_out
from shared.steps.failing import fail_backup_transfer
from shared.steps.looking import Looks
from shared.steps.plan import without_plan, without_seed
from shared.steps.step import step
from shared.steps.transact import the, transact


class Outcome(StrEnum):
    COPIED = "copied"
    CONTINUED = "goes on as another message"
    STALE = "refused: a newer epoch writes"
    FAILED = "failed"
    PLANNED_AGAIN = "to be planned again"
    NOTHING = "nothing to do"


@step("copy part")
async def copy_part(ports: Ports, request: CopyPart) -> Outcome:
    """Carries out what is left of one part and reports it; repeatable, as its source never
    changes. Raises `Transient` where nothing of it could be done."""
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or not _wanted(row.record, request):
        return Outcome.NOTHING
    item = (await the(ports, request.item_id, Item)).record
    part = _Part(ports, request, item.replica)
    try:
        carried = await carry_out(
            ports, await _errand(ports, item, row.record, request), part.checkpoint
        )
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
    return await _conclude(part, carried)


def _wanted(transfer: Transfer, request: CopyPart) -> bool:
    return (
        transfer.phase is Phase.COPYING
        and transfer.epoch == request.epoch
        and not transfer.is_done(request.part)
    )


async def _errand(ports: Ports, item: Item, transfer: Transfer, request: CopyPart) -> Errand:
    """What the checkpoints do not know of as done."""
    assert transfer.plan is not None
    first = transfer.resumes(request.part, request.first)
    slice_ = await ports.plans.slice(
        transfer.plan.url, first * OP_BYTES, (request.last - first) * OP_BYTES
    )
    source = source_of(item, transfer)
    return Errand(
        target=target_of(item, transfer),
        source=source,
        fence=EpochFence(epoch=request.epoch),
        ops=decode_ops(slice_),
        first=first,
        stream=transfer.stream,
        looks=_LOOKS.get(transfer.round, Looks.NEVER),
    )


_LOOKS = {Round.COMPARE: Looks.FIRST, Round.CHECK: Looks.ONLY}


async def _conclude(part: "_Part", carried: Carried) -> Outcome:
    """Reports the rest of what was done, and sees to what was not."""
    if not carried.wanted:
        return Outcome.NOTHING
    if carried.complete:
        await part.finish(carried.unreported)
        return Outcome.COPIED
    if carried.stopped_by and not (carried.moved or carried.wait_seconds):
        raise carried.stopped_by
    await part.go_on_later(carried.unreported, carried.wait_seconds)
    return Outcome.CONTINUED


Decide = Callable[[Versioned[Transfer], Copied, datetime], Decision[bool]]


@dataclass(frozen=True)
class _Part:
    """One part under way, as it tells the ledger what is done."""

    ports: Ports
    request: CopyPart
    replica: DiskUrl

    async def checkpoint(self, done: Stretch) -> bool:
        """Whether the rest is still wanted."""
        return await self._tell(
            done, lambda row, new, now: checkpoint_part(row, self.request, done.last, new, now)
        )

    async def finish(self, done: Stretch) -> None:
        item, part = self.request.item_id, self.request.part
        await self._tell(done, lambda row, new, now: finish_part(item, row, part, new, now))

    async def go_on_later(self, done: Stretch, wait_seconds: float) -> None:
        def decide(row: Versioned[Transfer], new: Copied, now: datetime) -> Decision[bool]:
            at = now + timedelta(seconds=wait_seconds) if wait_seconds else None
            return continue_part(row, self.request, done.last, new, now, at)

        await self._tell(done, decide)

    async def _tell(self, done: Stretch, decide: Decide) -> bool:
        """Whether the part is still wanted: then what is done is in the manifest and in the
        transfer's row, in this order (invariants 27 and 28)."""
        await self._write_down(done)

        async def told() -> Decision[Copied | None]:
            row = await self.ports.ledger.get(self.request.item_id, Transfer, self.request.job_id)
            if row is None or not _wanted(row.record, self.request):
                return Decision(None)
            known = row.record.resumes(self.request.part, self.request.first)
            new = done.copied_from(known)
            made = decide(row, new, self.ports.clock.now())
            messages = await self._unstored(made.messages)
            if not made.result:
                return Decision(Copied(), made.changes, messages)
            learnt = await self._learnt(row.record, new)
            return Decision(new, (*made.changes, *learnt), messages)

        counted = await transact(self.ports, self.request.item_id, told)
        if counted is not None:
            _measure(counted)
        return counted is not None

    async def _unstored(self, messages: tuple[Outgoing, ...]) -> tuple[Outgoing, ...]:
        """Without those that an earlier delivery stored and did not live to send: they will be."""
        ledger, item = self.ports.ledger, self.request.item_id
        stored = {each: await ledger.get(item, Outbox, each.message_id) for each in messages}
        return tuple(each for each, row in stored.items() if row is None)

    async def _learnt(self, transfer: Transfer, new: Copied) -> tuple[RowChange, ...]:
        if transfer.stream or not new.stream:
            return ()
        return remember_stream(await the(self.ports, self.request.item_id, Item), transfer)

    async def _write_down(self, done: Stretch) -> None:
        """Another run of the part may have told the same, with other checksums of the same
        bytes."""
        if not done.records:
            return
        leaf = Leaf(self.request.epoch, self.request.part, done.first, done.last)
        url = manifest_of(self.replica, self.request.job_id) + leaf.name
        with suppress(Conflict):
            await self.ports.plans.put(url, _whole(encode(done.records)))


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _measure(copied: Copied) -> None:
    telemetry.moved_bytes.add(copied.copied_bytes)
    telemetry.worker_bytes.add(copied.worker_bytes)
    telemetry.requests.add(copied.requests)


async def _replica_gone(ports: Ports, item: Item, transfer: Transfer) -> None:
    """Somebody deleted the replica in mid-transfer: it is made anew, by a full copy."""
    why = "the replica was deleted during the transfer"
    if transfer.for_check:
        await fail_backup_transfer(ports, item.id, transfer, SourceGone(why))
        return

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Transfer, transfer.job_id)
        if row is None or row.record.epoch != transfer.epoch:
            return Decision(None)
        return refuse_base(item.id, row, why, ports.clock.now())

    await transact(ports, item.id, decide)


async def _source_gone(ports: Ports, item: Item, transfer: Transfer, error: SourceGone) -> Outcome:
    if transfer.round is Round.SEED:
        await without_seed(ports, item, transfer)
        return Outcome.PLANNED_AGAIN
    await fail_backup_transfer(ports, item.id, transfer, error)
    return Outcome.FAILED
