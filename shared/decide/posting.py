"""The messages that decisions give rise to, under deterministic ids."""

from dataclasses import replace
from datetime import datetime

from shared.codec import to_json
from shared.model.ids import NO_EPOCH, ItemId, JobId, digest, slot_job, stamp
from shared.model.item import Item
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


def snapshot_message(request: TakeSnapshot, again: str = "") -> Outgoing:
    """The MessageId is the job's id, so that a slot or request asked for twice is one message;
    `again` says why it is another one."""
    suffix = f".{again}" if again else ""
    return Outgoing(queue=SNAPSHOT, message_id=f"{request.job_id}{suffix}", body=to_json(request))


def turn_message(item: Item, after: JobId) -> tuple[Outgoing, ...]:
    """To the backup whose turn it is to take its snapshot, now that `after` is out of the way."""
    if item.snapshotting is not None or not item.queued:
        return ()
    request = TakeSnapshot(item_id=item.id, job_id=item.queued[0])
    return (snapshot_message(request, f"after.{digest(after)}"),)


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


def turn_of_checks(item: Item, after: JobId) -> tuple[Outgoing, ...]:
    """To the checks that may wait for the item's place for a transfer, now that `after` is out of
    the way; the others pay no heed."""
    if item.transferring is not None:
        return ()
    return tuple(_turn(item.id, check, after) for check in item.checks)


def _turn(item: ItemId, check: JobId, after: JobId) -> Outgoing:
    request = TransferStep(step="plan", item_id=item, job_id=check, epoch=NO_EPOCH)
    message_id = f"{check}.turn.{digest(after)}"
    return Outgoing(queue=TRANSFER, message_id=message_id, body=to_json(request))


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


def rest_message(
    request: CopyPart, transfer: Transfer, reached: int, not_before: datetime | None
) -> Outgoing:
    """What of a part is left from `reached` on, as its next leg."""
    rest = replace(request, first=reached, leg=request.leg + 1)
    name = f"{rest.job_id}.part.{rest.epoch}.{rest.part}.{transfer.attempt}.{rest.leg}"
    return Outgoing(queue=COPY, message_id=name, body=to_json(rest), not_before=not_before)


def expire_message(item: ItemId, cause: JobId | str, now: datetime) -> Outgoing:
    """A retention run after `cause`."""
    return Outgoing(
        queue=RETENTION,
        message_id=f"{item}.expire.{cause}.{stamp(now)}"[:128],
        body=to_json(ExpirePoints(item_id=item)),
    )
