"""From one round of a transfer to the next."""

from dataclasses import replace
from datetime import datetime

from shared.decide.decision import Decision
from shared.decide.posting import transfer_message
from shared.model.ids import ItemId
from shared.model.ledger import Versioned, update
from shared.model.transfer import Phase, Transfer

ROUNDS_LIMIT = 6
"""A transfer whose result still differs after so many rounds will not end: its job fails."""


def another_round(
    item: ItemId, row: Versioned[Transfer], changed: Transfer, now: datetime
) -> Decision[None]:
    """The transfer, `changed`, waits for a plan again."""
    waiting = replace(
        changed,
        phase=Phase.PLANNING,
        rounds=row.record.rounds + 1,
        plan=None,
        done_hex="0",
        reached=(),
        attempt=0,
        pushes=0,
        progressed_at=now,
    )
    return Decision(None, (update(row, waiting),), (transfer_message(item, waiting, "plan"),))
