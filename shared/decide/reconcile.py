"""What an item that is not at rest needs, when nothing has moved for too long."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto

from shared.decide.decision import Decision
from shared.decide.posting import expire_message, snapshot_message, transfer_message
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import Versioned, update
from shared.model.messages import Step, TakeSnapshot
from shared.model.pace import Pace
from shared.model.transfer import Phase, Transfer


class Need(Enum):
    """What to do about one item."""

    REST = auto()
    """Nothing is under way: its watch may end."""
    WAIT = auto()
    """Work is under way and moves."""
    SNAPSHOT = auto()
    """The job that holds the place for a snapshot has stopped moving."""
    TRANSFER = auto()
    """The transfer has stopped moving."""
    EXPIRY = auto()
    """A retention run was asked for and has not ended."""
    GIVE_UP = auto()
    """It was moved on often enough: the job fails with the reason."""


def need_of(
    item: Item, snapshotting: Job | None, transfer: Transfer | None, now: datetime, pace: Pace
) -> Need:
    """The most urgent need. Too long without progress is `pace.stall_seconds`."""
    limit = now - timedelta(seconds=pace.stall_seconds)
    if transfer is not None and transfer.progressed_at <= limit:
        return Need.GIVE_UP if transfer.attempt >= pace.max_attempts else Need.TRANSFER
    if snapshotting is not None and snapshotting.progressed_at <= limit:
        return Need.GIVE_UP if snapshotting.attempts >= pace.max_attempts else Need.SNAPSHOT
    if transfer is not None or snapshotting is not None:
        return Need.WAIT
    return Need.EXPIRY if item.expiry_due else Need.REST


_STEP_OF: dict[Phase, Step] = {
    Phase.PLANNING: "plan",
    Phase.COPYING: "fan-out",
    Phase.COMMITTING: "commit",
}


def push_transfer(item: Item, row: Versioned[Transfer], now: datetime) -> Decision[None]:
    """The message that moves the transfer on from where it stands, under a new MessageId."""
    pushed = replace(row.record, attempt=row.record.attempt + 1, progressed_at=now)
    message = transfer_message(item.id, pushed, _STEP_OF[pushed.phase])
    return Decision(None, (update(row, pushed),), (message,))


def push_snapshot(row: Versioned[Job], now: datetime) -> Decision[None]:
    """The job's `snapshot` message once more, under a new MessageId."""
    pushed = replace(row.record, attempts=row.record.attempts + 1, progressed_at=now)
    request = TakeSnapshot(
        item_id=pushed.item_id,
        job_id=pushed.id,
        slot=pushed.slot,
        retain_until=pushed.retain_until,
    )
    message = snapshot_message(request, attempt=pushed.attempts)
    return Decision(None, (update(row, pushed),), (message,))


def push_expiry(item: Versioned[Item], now: datetime) -> Decision[None]:
    """Another retention run."""
    return Decision(
        None,
        (update(item, item.record),),
        (expire_message(item.record.id, "again", now),),
    )
