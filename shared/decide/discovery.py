"""What becomes of a discovery that stopped moving."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from shared.codec import from_json
from shared.decide.decision import Decision
from shared.model.errors import ErrorDetail
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Versioned, update
from shared.model.messages import COMMANDS, Discover, Outgoing
from shared.model.pace import Pace


def is_under_way(job: Job) -> bool:
    """Whether the job is a discovery that has not ended."""
    return job.operation is Operation.DISCOVER and not job.status.ended


def push_discovery(row: Versioned[Job], now: datetime, pace: Pace) -> Decision[None]:
    """Its command once more, under a new MessageId; after so many times, its failure. Nothing
    where it moves, or has ended."""
    job = row.record
    limit = now - timedelta(seconds=pace.stall_seconds)
    if not is_under_way(job) or job.progressed_at > limit:
        return Decision(None)
    if job.attempts >= pace.max_attempts:
        return Decision(None, (update(row, job.end(Status.FAILED, now, _stalled(pace))),))
    pushed = replace(job, attempts=job.attempts + 1, progressed_at=now)
    return Decision(None, (update(row, pushed),), (_message(pushed),))


def _message(job: Job) -> Outgoing:
    """The command as it was posted; its job keeps it until it ends."""
    command = from_json(Discover, job.detail)
    scope = {"url": command.scope.url}
    if command.scope.tag is not None:
        scope["tag"] = str(command.scope.tag)
    body = {"type": "discover", "scope": scope, "request_id": command.request_id}
    return Outgoing(
        queue=COMMANDS, message_id=f"{job.id}.again.{job.attempts}", body=json.dumps(body)
    )


def _stalled(pace: Pace) -> ErrorDetail:
    return ErrorDetail(
        code="Stalled",
        message=f"nothing moved, although the search was begun {pace.max_attempts + 1} times",
        recommended_action="Look at the job's trace; then search again, in a smaller scope.",
    )
