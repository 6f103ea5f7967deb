"""What a hold changes about a point (invariant 8)."""

from dataclasses import replace
from datetime import datetime

from shared.decide.decision import Decision
from shared.decide.retention import HOLD, expires_at
from shared.model.errors import Invalid
from shared.model.ledger import Versioned, update
from shared.model.point import Hold, Point, Reason


def hold(row: Versioned[Point], reason: str, now: datetime) -> Decision[Point]:
    """The point held from `now`, or since it was first held. Raises `Invalid` where its removal
    has begun: parts of it may be gone."""
    point = row.record
    if point.mirrors:
        raise Invalid(
            f"point {point.id} is a Recovery Services vault's, which alone decides how long it is "
            "kept",
            code="NotOurs",
            action="Ask for backups that are to stay with a date: `backup --retain-until`.",
        )
    if point.expiring:
        raise Invalid(
            f"point {point.id} is being removed: {point.expiring}",
            action="Hold another point; `vaultline points ITEM` shows what there is.",
        )
    since = point.hold.since if point.hold else now
    return _changed(row, Hold(since=since, reason=reason))


def release(row: Versioned[Point]) -> Decision[Point]:
    """The point left to its policy; one that is not held stays as it is."""
    return _changed(row, None)


def _changed(row: Versioned[Point], wanted: Hold | None) -> Decision[Point]:
    own = tuple(reason for reason in row.record.reasons if reason.rule != HOLD)
    reasons = (*own, Reason(rule=HOLD)) if wanted else own
    after = replace(row.record, hold=wanted, reasons=reasons, expires_at=expires_at(reasons))
    return Decision(after, (update(row, after),) if after != row.record else ())
