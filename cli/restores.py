"""`restore`."""

from typing import Annotated, Any

import typer

from cli.output import AsJson
from cli.protection import ItemArgument, existing
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, conclude, post
from cli.session import Session, run
from shared.decide.protection import check_not_deleted
from shared.model.errors import Invalid
from shared.model.job import Operation
from shared.steps.commands import RESTORE

ORIGINAL = "original"


def restore(
    context: typer.Context,
    item: ItemArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="TARGET", help="`original`, or a new one: a blob's URL, a disk's id."
        ),
    ],
    point: Annotated[str | None, typer.Option("--point", help="A point's id.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="The newest point not after this time."),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Yes, overwrite the protected disk.")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Bring a recovery point back: to the disk itself, or to a new blob. Newest point if none is
    named."""
    choice = _choice(point, at)
    target = _target(to, confirm=confirm)
    fields = {"type": "restore", "item_id": item, "point": choice, "target": target}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        check_not_deleted(known)
        request = await post(session, known.id, Operation.RESTORE, RESTORE, fields)
        more = {"target": known.source if to == ORIGINAL else to, "point": choice}
        return await conclude(session, request, Asked(wait, timeout, as_json), more)

    return run(context, ask)


def _choice(point: str | None, at: str | None) -> Any:
    """The point as the command names it. Raises `Invalid`."""
    if point and at:
        raise Invalid("--point and --at exclude each other", action="Give one of them.")
    return {"at": at} if at else point or "latest"


def _target(to: str, *, confirm: bool) -> dict[str, Any]:
    """The target as the command names it. Raises `Invalid`."""
    if to != ORIGINAL:
        return {"kind": "alternate", "url": to}
    if not confirm:
        raise Invalid(
            "restoring to the original overwrites the protected disk",
            code="NotConfirmed",
            action="Add --confirm, or restore to a new blob's URL.",
        )
    return {"kind": "original", "confirm": True}
