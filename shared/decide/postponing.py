"""A message that cannot be served now, as one that comes when it may be."""

import json
from datetime import datetime, timedelta
from typing import Any

from shared.model.errors import Transient, VaultlineError
from shared.model.ids import digest
from shared.model.messages import COMMANDS, Outgoing

SHORT_SECONDS = 5.0
"""What may go on sooner is simply delivered again."""
TIMES = 40
"""How often one message is put off; then its queue's own patience decides, and the reconciler."""
_MARK = ".later."
_STEM_CHARACTERS = 90


def postponed(
    queue: str, message_id: str, body: bytes, traceparent: str, error: VaultlineError, now: datetime
) -> Outgoing | None:
    """The message once more, when the service wants to be asked again; None where it named no
    time, or one worth no message, or the message was put off often enough.

    Its MessageId follows from what it is put off for the n-th time, so that a repeat is dropped.
    """
    wait = error.retry_after if isinstance(error, Transient) else None
    stem, _, times = message_id.partition(_MARK)
    if wait is None or wait < SHORT_SECONDS or int(times or 0) >= TIMES:
        return None
    return Outgoing(
        queue=queue,
        message_id=f"{_short(stem)}{_MARK}{int(times or 0) + 1}",
        body=_command(body, stem) if queue == COMMANDS else body.decode(),
        traceparent=traceparent,
        not_before=now + timedelta(seconds=wait),
    )


def _command(body: bytes, message_id: str) -> str:
    """A command keeps its request id, which may be the MessageId that it had at first."""
    fields: Any = json.loads(body)
    return json.dumps({**fields, "request_id": fields.get("request_id") or message_id})


def _short(stem: str) -> str:
    if len(stem) <= _STEM_CHARACTERS:
        return stem
    return f"{stem[: _STEM_CHARACTERS - 11]}-{digest(stem)}"
