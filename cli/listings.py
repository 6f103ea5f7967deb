"""`items`, `jobs`, `points` and `expire --dry-run`."""

from typing import Annotated, Any

import typer

from cli.columns import DECISIONS, ITEMS, JOBS, POINTS
from cli.failures import DONE
from cli.output import AsJson, show_list
from cli.protection import ItemArgument, existing
from cli.session import Session, run
from shared.decide.retention import RetentionDecision
from shared.model.errors import Invalid, NotFound
from shared.model.ids import ItemId, item_id, item_of
from shared.model.item import Item
from shared.model.job import Job
from shared.model.point import Point
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.retention import preview_expiry
from shared.steps.views import View, item_view, job_view, point_view

OneItem = Annotated[
    str | None, typer.Argument(metavar="[ITEM]", help="Those of one item; of all if left.")
]


def items(context: typer.Context, as_json: AsJson = False) -> None:
    """List the protected items."""

    async def ask(session: Session) -> None:
        views = [item_view(item) for item in await _items(session.ports)]
        show_list(views, ITEMS, as_json=as_json, empty="Nothing is protected yet.")

    run(context, ask)


def jobs(
    context: typer.Context,
    item: OneItem = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=366, help="Without ITEM: how many days back.")
    ] = 7,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""

    async def ask(session: Session) -> None:
        ports = session.ports
        found = await _jobs_of(ports, item_id(item)) if item else await _recent(ports, days)
        views = [await _job_view(ports, job) for job in found]
        show_list(views, JOBS, as_json=as_json, empty="There is no job yet.")

    run(context, ask)


def points(context: typer.Context, item: ItemArgument, as_json: AsJson = False) -> None:
    """List an item's recovery points, oldest first."""

    async def ask(session: Session) -> None:
        rows = session.ports.ledger.rows(item_id(item), Point)
        found = sorted([row.record async for row in rows], key=lambda point: point.created_at)
        if not found:
            await existing(session, item)
        views = [point_view(point) for point in found]
        show_list(views, POINTS, as_json=as_json, empty="There is no recovery point yet.")

    run(context, ask)


def expire(
    context: typer.Context,
    item: OneItem = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and why.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say what retention would remove now, and why."""
    if not dry_run:
        raise Invalid(
            "points expire by themselves, by schedule; only a dry run can be asked for",
            action="Add --dry-run.",
        )

    async def ask(session: Session) -> int:
        ports = session.ports
        chosen = [await existing(session, item)] if item else await _items(ports)
        plans = [(each.id, await preview_expiry(ports, each.id)) for each in chosen]
        views = [_decision_view(id_, each) for id_, plan in plans for each in plan.decisions]
        show_list(views, DECISIONS, as_json=as_json, empty="There is no recovery point yet.")
        return DONE

    return run(context, ask)


async def find_view(ports: Ports, id_: str) -> tuple[str, View]:
    """What has the id: `item`, `job` or `point`, and its public view. Raises `NotFound`."""
    owner = item_of(id_)
    if id_ == owner:
        item = await ports.ledger.get(owner, Item)
        if item:
            return "item", item_view(item.record)
    elif job := await ports.ledger.get(owner, Job, id_):
        return "job", await _job_view(ports, job.record)
    elif point := await ports.ledger.get(owner, Point, id_):
        return "point", point_view(point.record)
    raise NotFound(
        f"there is no item, job or point '{id_}'",
        action="`vaultline items`, `jobs` and `points` show what exists.",
    )


async def _items(ports: Ports) -> list[Item]:
    rows = [await ports.ledger.get(id_, Item) async for id_ in ports.catalog.items()]
    return sorted((row.record for row in rows if row), key=lambda item: item.id)


async def _jobs_of(ports: Ports, item: ItemId) -> list[Job]:
    """One item's jobs, newest first. Raises `NotFound` where nothing has that id."""
    found = [row.record async for row in ports.ledger.rows(item, Job)]
    if not found and await ports.ledger.get(item, Item) is None:
        raise NotFound(f"there is no item '{item}'", action="`vaultline items` shows what exists.")
    return sorted(found, key=lambda job: (job.started_at, job.id), reverse=True)


async def _recent(ports: Ports, days: int) -> list[Job]:
    listed = ports.catalog.jobs(ports.clock.now(), days)
    rows = [await ports.ledger.get(item_of(id_), Job, id_) async for id_ in listed]
    return [row.record for row in rows if row]


async def _job_view(ports: Ports, job: Job) -> View:
    """The job; while it runs, with its transfer's progress."""
    if job.status.ended:
        return job_view(job)
    transfer = await ports.ledger.get(job.item_id, Transfer, job.id)
    return job_view(job, transfer.record if transfer else None)


def _decision_view(item: ItemId, decision: RetentionDecision) -> dict[str, Any]:
    point = point_view(decision.point)
    return {
        "item_id": item,
        "point_id": decision.point.id,
        "created_at": point["created_at"],
        "decision": decision.mark.value,
        "why": decision.why,
        "release_snapshot": decision.release,
        "snapshot": decision.release_why,
    }
