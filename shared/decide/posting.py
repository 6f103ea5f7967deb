"""The messages that decisions give rise to, under deterministic ids."""

from datetime import datetime

from shared.codec import to_json
from shared.model.ids import ItemId, JobId, slot_job, stamp
from shared.model.messages import (
    COPY,
    RETENTION,
    SNAPSHOT,
    TRANSFER,
    CopyPart,
    ExpirePoints,
    Outgoing,
    Step,
    TakeSnapshot,
    TransferStep,
)
from shared.model.plan import Part
from shared.model.transfer import Transfer

DEFER_LIMIT = 120
"""How often a backup waits for another snapshot of its item before the reconciler takes over."""


def snapshot_message(
    request: TakeSnapshot, attempt: int = 0, not_before: datetime | None = None
) -> Outgoing:
    """The MessageId is the job's id, so that a slot or request asked for twice is one message."""
    suffix = f".{request.deferred}.{attempt}" if request.deferred or attempt else ""
    return Outgoing(
        queue=SNAPSHOT,
        message_id=f"{request.job_id}{suffix}",
        body=to_json(request),
        not_before=not_before,
    )


def slot_message(item: ItemId, slot: datetime) -> Outgoing:
    """A backup that the schedule wants."""
    return snapshot_message(TakeSnapshot(item_id=item, job_id=slot_job(item, slot), slot=slot))


def transfer_message(item: ItemId, transfer: Transfer, step: Step) -> Outgoing:
    """The next step of a transfer; epoch, round and attempt make the id its own."""
    request = TransferStep(step=step, item_id=item, job_id=transfer.job_id, epoch=transfer.epoch)
    return Outgoing(
        queue=TRANSFER,
        message_id=f"{transfer.job_id}.{step}.{transfer.epoch}.{transfer.rounds}.{transfer.attempt}",
        body=to_json(request),
    )


def part_message(item: ItemId, transfer: Transfer, number: int, part: Part) -> Outgoing:
    """One part of the current plan."""
    request = CopyPart(
        item_id=item,
        job_id=transfer.job_id,
        epoch=transfer.epoch,
        part=number,
        first=part.first,
        last=part.last,
    )
    return Outgoing(
        queue=COPY,
        message_id=f"{transfer.job_id}.part.{transfer.epoch}.{number}.{transfer.attempt}",
        body=to_json(request),
    )


def expire_message(item: ItemId, cause: JobId | str, now: datetime) -> Outgoing:
    """A retention run after `cause`."""
    return Outgoing(
        queue=RETENTION,
        message_id=f"{item}.expire.{cause}.{stamp(now)}"[:128],
        body=to_json(ExpirePoints(item_id=item)),
    )
