"""What may be wrong in a replica although no listing says so, and what a transfer does about it.

The item remembers where (`Item.suspect`), so that no commit passes over it (invariant 31).
"""

from dataclasses import replace
from datetime import datetime

from shared.decide.comparing import WHOLE
from shared.decide.decision import Decision
from shared.decide.rounds import another_round
from shared.model.errors import ErrorDetail
from shared.model.extents import told
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.ledger import Versioned, update
from shared.model.point import Kind
from shared.model.ranges import PageRange, Span, size_bytes
from shared.model.transfer import Round, Transfer

DIFF_INCOMPLETE, REPLICA_DAMAGED = "DiffIncomplete", "ReplicaDamaged"
SUSPECT_POINTS = "`vaultline points` shows which points are suspect; restore others."


def must_look(item: Item, transfer: Transfer) -> bool:
    """Whether the replica is suspect where this transfer has not compared it. A full copy has
    written, or compared, all of it."""
    unseen = bool(item.suspect) and item.suspect != transfer.suspected
    return unseen and transfer.kind is Kind.INCREMENTAL


def look_again(item: ItemId, row: Versioned[Transfer], now: datetime) -> Decision[None]:
    """Before its commit the transfer compares what is suspect."""
    looking = replace(row.record, round=Round.CHECK, found=())
    return another_round(item, row, looking, now)


def doubt(
    item: Versioned[Item], row: Versioned[Transfer], warning: ErrorDetail, now: datetime
) -> Decision[None]:
    """A sample differed: from here on all of the replica is suspect."""
    doubted = replace(item.record, suspect=WHOLE)
    warned = replace(row.record, warning=row.record.warning or warning)
    again = look_again(item.record.id, Versioned(warned, row.etag), now)
    return Decision(None, (update(item, doubted), *again.changes), again.messages)


def narrow(item: Versioned[Item], row: Versioned[Transfer], now: datetime) -> Decision[None]:
    """What is suspect has been compared: what differed there alone is to be put right. Where more
    has become suspect meanwhile that is compared, too."""
    its, looked = item.record, row.record
    if its.suspect != looked.suspected:
        again = look_again(its.id, row, now)
        return Decision(None, (update(item, its), *again.changes), again.messages)
    repair = replace(looked, round=Round.COMPARE)
    again = another_round(its.id, row, repair, now)
    narrowed = replace(its, suspect=looked.found)
    return Decision(None, (update(item, narrowed), *again.changes), again.messages)


def diff_incomplete(at: PageRange) -> ErrorDetail:
    """The source had changed there, and its diff did not tell (fault 1)."""
    return ErrorDetail(
        code=DIFF_INCOMPLETE,
        message=f"the source's diff did not tell of a change at {told(at.start)}; all of it was "
        "compared, and the point is right",
        recommended_action="If it happens again, report it to Azure with the disk's name and the "
        "times of its snapshots.",
    )


def replica_damaged(at: PageRange) -> ErrorDetail:
    """The source had not changed there, and the replica is another (fault 15)."""
    return ErrorDetail(
        code=REPLICA_DAMAGED,
        message=f"the replica was damaged at {told(at.start)}; all of it was compared, and the "
        "point is right",
        recommended_action=f"Look into the vault's storage account; {SUSPECT_POINTS}",
    )


def warning_of(transfer: Transfer) -> ErrorDetail | None:
    """What the job of an increment ends with where some of what had not changed differed."""
    if transfer.warning or transfer.kind is Kind.FULL or not transfer.differing_bytes:
        return transfer.warning
    return ErrorDetail(
        code=REPLICA_DAMAGED,
        message=f"{transfer.differing_bytes} bytes of the replica were suspect and wrong; they "
        "were put right before the point was made",
        recommended_action=f"Look into the vault's storage account; {SUSPECT_POINTS}",
    )


def suspicion(found: tuple[Span, ...], job: JobId) -> str:
    """Why a point that holds those pages is suspect."""
    return f"holds pages that differ from their source, within {size_bytes(found)} bytes: {job}"
