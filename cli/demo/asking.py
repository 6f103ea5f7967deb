"""Asking the pipeline by message, as anybody would, and waiting for what comes of it."""

from typing import Any

from cli.requests import Request, follow, post
from cli.session import Session
from shared.model.errors import VaultlineError
from shared.model.ids import ItemId
from shared.model.job import Job, Operation, Status
from shared.steps.commands import BACKUP, PROTECT, RESTORE

JOB_SECONDS = 600.0
"""A job that takes longer than this has failed the demo."""

_TYPES = {PROTECT: "protect", BACKUP: "backup-now", RESTORE: "restore"}


class JobFailed(VaultlineError):
    """A job that the demo needs did not end well."""

    code = "JobFailed"
    action = "Run the demo again with --keep, and look into the logs in its folder."


async def ask(session: Session, item: ItemId, operation: Operation, name: str, **more: Any) -> Job:
    """Posts the command `name` and waits for its job. Raises `JobFailed`."""
    fields = {"type": _TYPES[name], "item_id": item, **more}
    return await ended(session, await post(session, item, operation, name, fields))


async def ended(session: Session, request: Request) -> Job:
    """The request's job once it has ended. Raises `JobFailed` where it did not end well."""
    job = await follow(session, request, JOB_SECONDS, lambda *_: None)
    if job.status is not Status.COMPLETED:
        why = f": {job.error.code}: {job.error.message}" if job.error else ""
        raise JobFailed(f"job {job.id} ended {job.status}{why}")
    return job
