"""`hold` and `release`: points that stay whatever their policy says."""

from typing import Annotated

import typer

from cli.columns import POINT
from cli.output import AsJson, show_one
from cli.session import Session, run
from shared.model.errors import Invalid
from shared.model.ids import PointId
from shared.steps.holds import hold_point, release_point
from shared.steps.views import point_view

REASON_CHARACTERS = 200

PointArgument = Annotated[str, typer.Argument(metavar="POINT", help="A recovery point's id.")]


def hold(
    context: typer.Context,
    point: PointArgument,
    reason: Annotated[
        str, typer.Option("--reason", help=f"For people; up to {REASON_CHARACTERS} characters.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Keep a point, both tiers, until it is released."""
    if len(reason) > REASON_CHARACTERS or not reason.isprintable():
        raise Invalid(f"--reason must be one line of at most {REASON_CHARACTERS} characters")

    async def ask(session: Session) -> None:
        held = await hold_point(session.ports, PointId(point), reason)
        show_one(point_view(held), POINT, as_json=as_json)

    run(context, ask)


def release(context: typer.Context, point: PointArgument, as_json: AsJson = False) -> None:
    """Leave a point to its policy again; one that is not held stays as it is."""

    async def ask(session: Session) -> None:
        released = await release_point(session.ports, PointId(point))
        show_one(point_view(released), POINT, as_json=as_json)

    run(context, ask)
