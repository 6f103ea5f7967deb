"""Asking the pipeline for something: a message on `commands`, and waiting for the job it starts.

The job's id follows from the request's, so the one that was started is known before it exists.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.columns import REQUEST
from cli.failures import DONE, FAILED
from cli.output import show_one, terminal
from cli.session import Session
from shared.codec import from_json, to_dict
from shared.contracts.commands import parse_command
from shared.model.errors import Transient, VaultlineError
from shared.model.ids import ItemId, JobId, RequestId, request_job
from shared.model.inventory import Discovered
from shared.model.job import Job, Operation, Status
from shared.model.messages import COMMANDS, Outgoing
from shared.model.restore import RestoreWork
from shared.model.transfer import Transfer
from shared.steps.views import job_view, restored_view, vault_restore_view

Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="How many seconds to wait at most.")
]

DAY_SECONDS = 24 * 3600.0
TAKEN_UP_SECONDS = 120.0
"""So long a command may lie in its queue before waiting for its job ends with an error."""

Look = Callable[[Job, Transfer | None], None]


class NotTakenUp(VaultlineError):
    """No job began for a command."""

    code = "CommandNotTakenUp"
    action = (
        "See that the functions host runs (`vaultline local status`). If it does, the command was "
        "refused: the dead letters of queue `commands` say why."
    )


class StillRunning(VaultlineError):
    """The time to wait is over, the job is not."""

    code = "StillRunning"
    action = "The job goes on by itself; look at it with `vaultline show`."


@dataclass(frozen=True)
class Asked:
    """How the person wants the answer."""

    wait: bool
    timeout_seconds: float
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command that was sent, and the job that it starts."""

    item_id: ItemId
    job_id: JobId
    operation: Operation
    request_id: RequestId


async def post(
    session: Session, item: ItemId, operation: Operation, name: str, fields: dict[str, Any]
) -> Request:
    """Sends the command under a new request id. `name` is the operation's in job ids. Raises
    `Invalid` where its fields are wrong."""
    request, message = compose(item, operation, name, fields)
    await session.ports.bus.send([message])
    return request


def compose(
    item: ItemId, operation: Operation, name: str, fields: dict[str, Any]
) -> tuple[Request, Outgoing]:
    """The command as a message under a new request id, yet to be sent. Raises `Invalid`."""
    id_ = RequestId(uuid4().hex)
    given = {key: value for key, value in fields.items() if value is not None}
    body = json.dumps({**given, "request_id": id_})
    parse_command(body.encode(), id_)
    request = Request(
        item_id=item,
        job_id=request_job(item, name, id_),
        operation=operation,
        request_id=id_,
    )
    return request, Outgoing(queue=COMMANDS, message_id=id_, body=body)


async def ask_to_end(session: Session, job: Job) -> Request:
    """Sends a `cancel` for the job, which is then the one to wait for."""
    request = RequestId(uuid4().hex)
    body = json.dumps({"type": "cancel", "job_id": job.id, "request_id": request})
    await session.ports.bus.send([Outgoing(queue=COMMANDS, message_id=request, body=body)])
    return Request(item_id=job.item_id, job_id=job.id, operation=job.operation, request_id=request)


async def follow(session: Session, request: Request, timeout_seconds: float, look: Look) -> Job:
    """The job at its end; `look` sees it on the way. Raises `NotTakenUp`, `StillRunning`."""
    start, begun = session.ports.clock.now(), False
    while True:
        waited = (session.ports.clock.now() - start).total_seconds()
        job, transfer = await _read(session, request)
        if job:
            begun = True
            look(job, transfer)
            if job.status.ended:
                return job
        if not begun and waited > min(TAKEN_UP_SECONDS, timeout_seconds):
            raise NotTakenUp(f"no job began for the command within {waited:.0f} s")
        if waited > timeout_seconds:
            raise StillRunning(f"job {request.job_id} has not ended after {timeout_seconds:.0f} s")
        await asyncio.sleep(session.poll_seconds)


async def conclude(
    session: Session,
    request: Request,
    asked: Asked,
    more: Mapping[str, Any] | None = None,
    hoped: Status = Status.COMPLETED,
) -> int:
    """Prints what became of the request, after waiting where that is asked for; the exit status,
    which is good where the job ended as `hoped`. `more` are fields that the request's own kind
    adds."""
    if not asked.wait:
        show_one({**sent_view(request), **(more or {})}, REQUEST, as_json=asked.as_json)
        return DONE
    with _progress(quiet=asked.as_json) as progress:
        bar = progress.add_task(request.operation.value, total=None)

        def look(job: Job, transfer: Transfer | None) -> None:
            view = job_view(job, transfer)
            total = view["planned_bytes"] or None
            done = view.get("compared_bytes", view["moved_bytes"])
            progress.update(bar, description=_now(job), completed=done, total=total)

        job = await follow(session, request, asked.timeout_seconds, look)
    answer = {**job_view(job), "request_id": request.request_id, **(more or {}), **_detail(job)}
    show_one(answer, REQUEST, as_json=asked.as_json)
    return DONE if job.status is hoped else FAILED


async def _read(session: Session, request: Request) -> tuple[Job | None, Transfer | None]:
    """The job and, while it runs, its transfer. A read that fails is tried again by the loop."""
    ledger, item, id_ = session.ports.ledger, request.item_id, request.job_id
    try:
        job = await ledger.get(item, Job, id_)
        under_way = job is not None and not job.record.status.ended
        transfer = await ledger.get(item, Transfer, id_) if under_way else None
    except Transient:
        return None, None
    return job.record if job else None, transfer.record if transfer else None


def sent_view(request: Request) -> dict[str, Any]:
    return {
        "id": request.job_id,
        "item_id": request.item_id,
        "operation": request.operation.value,
        "status": Status.NOT_STARTED.value,
        "request_id": request.request_id,
    }


def _detail(job: Job) -> dict[str, Any]:
    """Which point a restore brought back, and where; what a discovery found."""
    if job.operation is Operation.RESTORE and job.errand:
        return vault_restore_view(job)
    if job.operation is Operation.RESTORE and job.detail:
        return restored_view(from_json(RestoreWork, job.detail))
    if job.operation is Operation.DISCOVER and job.detail:
        return to_dict(from_json(Discovered, job.detail))
    return {}


def _now(job: Job) -> str:
    under_way = [task.name for task in job.sub_tasks if task.status is Status.IN_PROGRESS]
    return f"{job.operation.value}: {', '.join(under_way) or job.status.value}"


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=terminal(errors=True),
        disable=quiet or not sys.stderr.isatty(),
        transient=True,
    )
