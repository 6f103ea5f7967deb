"""`jobs` and `cancel`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, TypeVar

import typer

from cli.columns import JOBS
from cli.output import AsJson, show_list
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, ask_to_end, conclude
from cli.session import Session, run
from shared.decide.cancel import check_cancellable
from shared.model.errors import Invalid, NotFound
from shared.model.ids import ItemId, JobId, item_id, item_of, job_id
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.views import View, job_view

LOOK_BACK = timedelta(days=7)
"""How far a listing of all items goes back where nothing else is said."""
AHEAD = timedelta(hours=1)
"""A host's clock may be before ours: what it has just started is listed all the same."""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=366)
"""Most that one listing of all items covers: a query a day."""
READ_AT_ONCE = 25
READ_AT_MOST = 5000
"""Jobs that one listing looks at to find those that match."""

T = TypeVar("T", Operation, Status)

OneItem = Annotated[
    str | None, typer.Argument(metavar="[ITEM]", help="Those of one item; of all if left.")
]
Moment = "A date, or a time such as 2026-11-21T02:00Z."


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which jobs are asked for; `until` is included, and nothing means everything."""

    item: ItemId | None
    operation: Operation | None
    status: Status | None
    since: datetime
    until: datetime
    limit: int

    def holds(self, job: Job) -> bool:
        return self.operation in (None, job.operation) and self.status in (None, job.status)


def jobs(
    context: typer.Context,
    item: OneItem = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="Only of that operation, e.g. Backup.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only in that status, e.g. Failed.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help=f"Started no earlier. {Moment}")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help=f"Started no later. {Moment}")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="How many, at most.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first: of one item, or of all in the last 7 days."""

    async def ask(session: Session) -> None:
        ports, now = session.ports, session.ports.clock.now()
        newest = _moment("--until", until, last=True) or now + AHEAD
        earliest = BEGINNING if item else newest - LOOK_BACK
        wanted = Wanted(
            item=item_id(item) if item else None,
            operation=_one_of("--operation", Operation, operation),
            status=_one_of("--status", Status, status),
            since=_moment("--since", since, last=False) or earliest,
            until=newest,
            limit=limit,
        )
        found = await list_jobs(ports, wanted)
        if not found and wanted.item and await ports.ledger.get(wanted.item, Item) is None:
            raise NotFound(f"there is no item '{item}'", action="`vaultline items` shows them.")
        views = [await job_progress(ports, job) for job in found]
        show_list(views, JOBS, as_json=as_json, empty="There is no such job.")

    run(context, ask)


def cancel(
    context: typer.Context,
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A backup's, restore's or check's job id.")
    ],
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """End a backup, restore or check before its time. What it wrote is put right by the next."""

    async def ask(session: Session) -> int:
        row = await session.ports.ledger.get(item_of(job_id(job)), Job, job)
        if row is None:
            raise NotFound(f"there is no job '{job}'", action="`vaultline jobs` shows them.")
        check_cancellable(row.record)
        request = await ask_to_end(session, row.record)
        asked = Asked(wait, timeout, as_json)
        return await conclude(session, request, asked, hoped=Status.CANCELLED)

    return run(context, ask)


async def list_jobs(ports: Ports, wanted: Wanted) -> list[Job]:
    """The jobs asked for, newest first, from the index. Raises `Invalid` where that would take
    too many reads."""
    if wanted.since > wanted.until:
        raise Invalid("--since is later than --until")
    if wanted.item is None and wanted.until - wanted.since > SPAN:
        raise Invalid(
            f"a listing of all items covers at most {SPAN.days} days",
            action="Name an item, or give --since and --until that are closer together.",
        )
    found: list[Job] = []
    async for some in _batches(ports, wanted):
        rows = await asyncio.gather(*(ports.ledger.get(item_of(id_), Job, id_) for id_ in some))
        found += [row.record for row in rows if row and wanted.holds(row.record)]
        if len(found) >= wanted.limit:
            break
    return found[: wanted.limit]


async def _batches(ports: Ports, wanted: Wanted) -> AsyncIterator[list[JobId]]:
    """The ids in the index, each once, in lists that are read at once."""
    seen: set[JobId] = set()
    batch: list[JobId] = []
    async for id_ in ports.catalog.jobs(wanted.since, wanted.until, wanted.item):
        if id_ in seen:
            continue
        if len(seen) == READ_AT_MOST:
            raise Invalid(
                f"none of the {READ_AT_MOST} newest jobs is the last one wanted",
                action="Give --since and --until that are closer together, or name an item.",
            )
        seen.add(id_)
        batch.append(id_)
        if len(batch) == min(READ_AT_ONCE, wanted.limit):
            yield batch
            batch = []
    yield batch


async def job_progress(ports: Ports, job: Job) -> View:
    """The job's view; while it runs, with its transfer's progress."""
    if job.status.ended:
        return job_view(job)
    transfer = await ports.ledger.get(job.item_id, Transfer, job.id)
    return job_view(job, transfer.record if transfer else None)


def _one_of(option: str, kind: type[T], text: str | None) -> T | None:
    """The value that the text names, however it is capitalised. Raises `Invalid`."""
    if text is None:
        return None
    for value in kind:
        if value.casefold() == text.casefold():
            return value
    known = ", ".join(kind)
    raise Invalid(f"{option} '{text[:40]}' is none of {known}", action="Take one of them.")


def _moment(option: str, text: str | None, *, last: bool) -> datetime | None:
    """A time, in UTC where it names no zone; of a date its beginning, or with `last` its end.
    Raises `Invalid`."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _instant(option, text)
    return datetime.combine(day, time.max if last else time.min, UTC)


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{option} '{text[:40]}' is no time", action=f"{Moment} UTC where no zone is named."
        ) from None
