"""How a dead letter is sent again."""

import json
from typing import Any

from shared.model.dead_letter import DeadLetter
from shared.model.ids import digest
from shared.model.messages import COMMANDS, Outgoing

_MARK = ".redrive."
_STEM_CHARACTERS = 80


def redriven(letter: DeadLetter) -> Outgoing:
    """A copy under a MessageId of its own, which the same letter always gets: sent twice, it is
    dropped once."""
    again = f"{_stem(letter.message_id)}{_MARK}{letter.sequence_number}"
    body = _command(letter, again) if letter.queue == COMMANDS else letter.body
    return Outgoing(queue=letter.queue, message_id=again, body=body, traceparent=letter.traceparent)


def _command(letter: DeadLetter, again: str) -> str:
    """A command that nobody has judged keeps its request id, which may be its MessageId: it
    starts the job that somebody waits for. One that was refused is a new request, since the job
    of the old one has failed with the reason."""
    try:
        fields: Any = json.loads(letter.body)
    except ValueError:
        return letter.body
    if not isinstance(fields, dict):
        return letter.body
    request = again if letter.refused else fields.get("request_id") or letter.message_id
    return json.dumps({**fields, "request_id": request})


def _stem(message_id: str) -> str:
    """The first MessageId, as far as there is room for more."""
    stem = message_id.partition(_MARK)[0]
    if len(stem) <= _STEM_CHARACTERS:
        return stem
    return f"{stem[: _STEM_CHARACTERS - 11]}-{digest(stem)}"
