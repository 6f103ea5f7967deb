"""`restore`."""

from typing import Annotated, Any

import typer

from cli.machine_disks import OnlyDisks, WithoutDisks
from cli.output import AsJson
from cli.protection import ItemArgument, existing
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, conclude, post
from cli.restore_targets import PREFIX, Wish
from cli.session import Session, run
from shared.decide.protection import check_not_deleted
from shared.model.errors import Invalid
from shared.model.job import Operation
from shared.steps.commands import RESTORE


def restore(
    context: typer.Context,
    item: ItemArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="`original`; or what is new: a blob's URL, a disk's or a machine's id; "
            "of a machine also `disks` or `vm`.",
        ),
    ],
    point: Annotated[str | None, typer.Option("--point", help="A point's id.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="The newest point not after this time."),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Yes, overwrite what is protected.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="With `--to vm`: the new machine's name.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network", metavar="ID", help="Of a new machine: its subnet, or a free interface."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="ID", help="The resource group of what is new."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", help=f"With `--to disks`: before their names; '{PREFIX}'."),
    ] = None,
    disks: OnlyDisks = None,
    without: WithoutDisks = None,
    staging: Annotated[
        str | None,
        typer.Option(
            "--staging-account",
            metavar="ID",
            help="From a Recovery Services vault: the storage account that it passes through.",
        ),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Bring a recovery point back: to the disk or machine itself, or to new ones. Newest point if
    none is named."""
    choice = _choice(point, at)
    wish = Wish(
        to=to,
        confirm=confirm,
        name=name,
        group=group,
        network=network,
        prefix=prefix,
        only=disks,
        without=without,
    )

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        check_not_deleted(known)
        target = wish.target(known)
        if staging is not None:
            target = {**target, "staging_account": staging}
        fields = {"type": "restore", "item_id": item, "point": choice, "target": target}
        request = await post(session, known.id, Operation.RESTORE, RESTORE, fields)
        place = target.get("url") or target.get("group") or known.source
        more = {"target": place, "point": choice}
        return await conclude(session, request, Asked(wait, timeout, as_json), more)

    return run(context, ask)


def _choice(point: str | None, at: str | None) -> Any:
    """The point as the command names it. Raises `Invalid`."""
    if point and at:
        raise Invalid("--point and --at exclude each other", action="Give one of them.")
    return {"at": at} if at else point or "latest"
