"""A message that must be sent, stored with the state that caused it (invariant 7)."""

from dataclasses import dataclass
from datetime import datetime

from shared.model.messages import Outgoing


@dataclass(frozen=True, kw_only=True)
class Outbox:
    message: Outgoing
    created_at: datetime
