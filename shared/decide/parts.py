"""What becomes of a transfer as its parts report: how far they came, and that they are done."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.decide.comparing import coarse
from shared.decide.decision import Decision
from shared.decide.posting import rest_message, transfer_message
from shared.model.ids import ItemId
from shared.model.item import Item
from shared.model.ledger import RowChange, Versioned, update
from shared.model.messages import CopyPart
from shared.model.ranges import Span, size_bytes
from shared.model.transfer import Phase, Round, Transfer


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What some operations amounted to. `worker_bytes` passed through us; the others did not."""

    copied_bytes: int = 0
    cleared_bytes: int = 0
    worker_bytes: int = 0
    requests: int = 0
    stream: bool = False
    compared_bytes: int = 0
    differing: tuple[Span, ...] = ()
    """Where a part that reads both sides found them different."""


def finish_part(
    item: ItemId, transfer: Versioned[Transfer], part: int, copied: Copied, now: datetime
) -> Decision[bool]:
    """One more part in the set; the last one asks for the commit. The result says whether the
    part counted: one reported twice does not (fault 10). `copied` is what it amounts to since
    the checkpoint that the row holds."""
    before = transfer.record
    if before.is_done(part):
        return Decision(False)
    after = _counted(before, copied, now).with_done(part)
    if not after.complete:
        return Decision(True, (update(transfer, after),))
    after = replace(after, phase=Phase.COMMITTING)
    return Decision(True, (update(transfer, after),), (transfer_message(item, after, "commit"),))


def checkpoint_part(
    transfer: Versioned[Transfer], request: CopyPart, reached: int, copied: Copied, now: datetime
) -> Decision[bool]:
    """How far a part came (invariant 27). The result says whether that is any farther than the
    row knew; `copied` is what it amounts to from there."""
    before = transfer.record
    if before.resumes(request.part, request.first) >= reached:
        return Decision(False)
    after = _counted(before, copied, now).with_reached(request.part, reached)
    return Decision(True, (update(transfer, after),))


def continue_part(
    transfer: Versioned[Transfer],
    request: CopyPart,
    reached: int,
    copied: Copied,
    now: datetime,
    go_on_at: datetime | None,
) -> Decision[bool]:
    """The same, and the rest goes on as another message, from `go_on_at` on or at once."""
    noted = checkpoint_part(transfer, request, reached, copied, now)
    farthest = transfer.record.resumes(request.part, max(reached, request.first))
    rest = rest_message(request, transfer.record, farthest, go_on_at)
    return replace(noted, messages=(rest,))


def remember_stream(item: Versioned[Item], transfer: Transfer) -> tuple[RowChange, ...]:
    """The item knows from now on that its source has to be streamed; a seed's is another one."""
    chain = transfer.snapshot.chain
    if transfer.round is Round.SEED or item.record.streams == chain:
        return ()
    return (update(item, replace(item.record, streams=chain)),)


def _counted(before: Transfer, copied: Copied, now: datetime) -> Transfer:
    """The transfer, which moves, with what some operations amount to."""
    seeding = before.round is Round.SEED
    return replace(
        before,
        pushes=0,
        copied_bytes=before.copied_bytes + (0 if seeding else copied.copied_bytes),
        seeded_bytes=before.seeded_bytes + (copied.copied_bytes if seeding else 0),
        cleared_bytes=before.cleared_bytes + copied.cleared_bytes,
        worker_bytes=before.worker_bytes + copied.worker_bytes,
        requests=before.requests + copied.requests,
        stream=before.stream or copied.stream,
        progressed_at=now,
        **_compared(before, copied),
    )


def _compared(before: Transfer, copied: Copied) -> dict[str, Any]:
    """What a round that reads both sides adds: one finds, the next puts right what was found."""
    if not copied.compared_bytes:
        return {}
    differing = size_bytes(copied.differing)
    compared = {"compared_bytes": before.compared_bytes + copied.compared_bytes}
    if before.round is Round.COMPARE:
        repaired = differing if before.base else 0
        return {**compared, "repaired_bytes": before.repaired_bytes + repaired}
    return {
        **compared,
        "differing_bytes": before.differing_bytes + differing,
        "found": coarse([*before.found, *copied.differing]),
    }
