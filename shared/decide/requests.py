"""What makes a request the same request."""

from dataclasses import replace

from shared.codec import to_json
from shared.model.errors import Invalid
from shared.model.ids import RequestId, digest
from shared.model.job import Job
from shared.model.messages import Command


def fingerprint(command: Command) -> str:
    """A digest of what the command asks for, whatever its request id."""
    return digest(to_json(replace(command, request_id=RequestId(""))))


def check_repeat(job: Job, command: Command) -> None:
    """Raises `Invalid` where the job was started by a command that asked for something else.
    Jobs from before fingerprints were kept match every command."""
    if job.request and job.request != fingerprint(command):
        raise Invalid(
            f"request id '{command.request_id[:60]}' was used before for something else: "
            f"job {job.id}",
            code="RequestIdReused",
            action="Give every request an id of its own.",
        )
