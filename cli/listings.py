"""`items` and `points`."""

import typer

from cli.columns import ITEMS, POINTS
from cli.jobs import job_progress
from cli.output import AsJson, show_list
from cli.protection import ItemArgument, existing
from cli.session import Session, run
from shared.model.errors import NotFound
from shared.model.ids import item_id, item_of
from shared.model.item import Item
from shared.model.job import Job
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.views import View, item_view, point_view


def items(context: typer.Context, as_json: AsJson = False) -> None:
    """List the protected items."""

    async def ask(session: Session) -> None:
        views = [item_view(item) for item in await _items(session.ports)]
        show_list(views, ITEMS, as_json=as_json, empty="Nothing is protected yet.")

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


async def find_view(ports: Ports, id_: str) -> tuple[str, View]:
    """What has the id: `item`, `job` or `point`, and its public view. Raises `NotFound`."""
    owner = item_of(id_)
    if id_ == owner:
        item = await ports.ledger.get(owner, Item)
        if item:
            return "item", item_view(item.record)
    elif job := await ports.ledger.get(owner, Job, id_):
        return "job", await job_progress(ports, job.record)
    elif point := await ports.ledger.get(owner, Point, id_):
        return "point", point_view(point.record)
    raise NotFound(
        f"there is no item, job or point '{id_}'",
        action="`vaultline items`, `jobs` and `points` show what exists.",
    )


async def _items(ports: Ports) -> list[Item]:
    rows = [await ports.ledger.get(id_, Item) async for id_ in ports.catalog.items()]
    return sorted((row.record for row in rows if row), key=lambda item: item.id)
