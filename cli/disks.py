"""`discover` and `disks`: what there is to protect."""

from typing import Annotated

import typer

from cli.columns import DISKS
from cli.output import AsJson, show_list
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, conclude, post
from cli.session import Session, run
from shared.model.ids import ItemId
from shared.model.inventory import DISCOVERY
from shared.model.job import Operation
from shared.steps.items import read_items
from shared.steps.requests import DISCOVER
from shared.steps.views import disk_view


def discover(
    context: typer.Context,
    scope: Annotated[
        str,
        typer.Argument(
            metavar="SCOPE",
            help="An account's endpoint, a container, or how blobs' URLs begin; or a "
            "subscription's or resource group's id, with /virtualMachines behind it for machines.",
        ),
    ],
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Only disks with this tag."),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Find page blobs, managed disks or machines, and register them, to be protected."""
    given = {"url": scope, "tag": tag} if tag else {"url": scope}
    fields = {"type": "discover", "scope": given}

    async def ask(session: Session) -> int:
        request = await post(session, DISCOVERY, Operation.DISCOVER, DISCOVER, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


def disks(
    context: typer.Context,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="URL", help="Only those whose URL begins so.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the registered disks, protected or not."""

    async def ask(session: Session) -> None:
        every = [disk async for disk in session.ports.inventory.disks()]
        chosen = sorted(
            (disk for disk in every if disk.url.startswith(prefix)), key=lambda disk: disk.url
        )
        owners: set[ItemId] = {disk.item for disk in chosen if disk.item}
        items = {item.id: item for item in await read_items(session.ports, sorted(owners))}
        views = [disk_view(disk, items.get(disk.item or ItemId(""))) for disk in chosen]
        show_list(
            views, DISKS, as_json=as_json, empty="No disk is registered; see `vaultline discover`."
        )

    run(context, ask)
