"""`stop`, `undelete`, `backup` and `check`."""

from typing import Annotated

import typer

from cli.output import AsJson
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, conclude, post
from cli.session import Session, run
from shared.decide.check import CHECK, check_checkable
from shared.decide.protection import check_deleted, check_not_deleted
from shared.model.errors import Invalid, NotFound
from shared.model.ids import item_id
from shared.model.item import Item, ProtectionState
from shared.model.job import Operation
from shared.steps.requests import BACKUP, STOP, UNDELETE

ItemArgument = Annotated[str, typer.Argument(metavar="ITEM", help="A protected item's id.")]


def stop(
    context: typer.Context,
    item: ItemArgument,
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Delete its points, too: after 14 days, see undelete."),
    ] = False,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """End an item's backups. Its points stay, unless their deletion is asked for."""
    fields = {"type": "stop-protection", "item_id": item, "delete_data": delete_data}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        if not delete_data:
            check_not_deleted(known)
        request = await post(session, known.id, Operation.STOP_PROTECTION, STOP, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


def undelete(
    context: typer.Context,
    item: ItemArgument,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Bring a deleted item back, whole, while its data is still kept."""
    fields = {"type": "undelete", "item_id": item}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        check_deleted(known)
        request = await post(session, known.id, Operation.UNDELETE, UNDELETE, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


def backup(
    context: typer.Context,
    item: ItemArgument,
    retain_until: Annotated[
        str | None,
        typer.Option("--retain-until", metavar="DATE", help="Keep it through this date."),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Back an item up now, outside its schedule."""
    fields = {"type": "backup-now", "item_id": item, "retain_until": retain_until}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        check_not_deleted(known)
        if known.state is ProtectionState.PROTECTION_STOPPED:
            raise Invalid(
                f"protection of item {item} is stopped", action="Protect it again, then back it up."
            )
        request = await post(session, known.id, Operation.BACKUP, BACKUP, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


def check(
    context: typer.Context,
    item: ItemArgument,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Compare an item's replica with its source, byte by byte, and put right what differs."""
    fields = {"type": "consistency-check", "item_id": item}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        check_checkable(known)
        request = await post(session, known.id, Operation.CONSISTENCY_CHECK, CHECK, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


async def existing(session: Session, item: str) -> Item:
    """The item. Raises `NotFound`: a command for it would be refused where nobody looks."""
    row = await session.ports.ledger.get(item_id(item), Item)
    if row is None:
        raise NotFound(f"there is no item '{item}'", action="`vaultline items` shows what exists.")
    return row.record
