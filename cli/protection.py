"""`protect`, `stop` and `backup`."""

from typing import Annotated

import typer

from cli.output import AsJson
from cli.requests import DAY_SECONDS, Asked, Timeout, Wait, conclude, post
from cli.session import Session, run
from shared.contracts.policy import DEFAULT_DOCUMENT
from shared.model.errors import Invalid, NotFound, Transient
from shared.model.ids import DiskUrl, PolicyName, VaultName, default_item_id, item_id
from shared.model.item import Item, ProtectionState
from shared.model.job import Operation
from shared.steps.commands import BACKUP, PROTECT, STOP
from shared.steps.policies import policy_of

DEFAULT_POLICY = str(DEFAULT_DOCUMENT["name"])

ItemArgument = Annotated[str, typer.Argument(metavar="ITEM", help="A protected item's id.")]


def protect(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="The URL of the page blob to protect.")],
    vault: Annotated[str, typer.Option("--vault", help="Where its points are to live.")],
    policy: Annotated[str, typer.Option("--policy", help="When, and for how long.")] = (
        DEFAULT_POLICY
    ),
    id_: Annotated[
        str | None, typer.Option("--id", help="The item's id; made from the blob's name if left.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Put a disk under a policy: from then on it is backed up by schedule."""
    fields = {
        "type": "protect",
        "source": source,
        "policy": policy,
        "vault": vault,
        "item_id": id_,
    }

    async def ask(session: Session) -> int:
        item = item_id(id_) if id_ else default_item_id(DiskUrl(source))
        await _settle_names(session, policy, vault)
        await _check_disk(session, DiskUrl(source))
        request = await post(session, item, Operation.CONFIGURE_PROTECTION, PROTECT, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


def stop(
    context: typer.Context,
    item: ItemArgument,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete its recovery points, too.")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """End an item's backups. Its points stay, unless their deletion is asked for."""
    fields = {"type": "stop-protection", "item_id": item, "delete_data": delete_data}

    async def ask(session: Session) -> int:
        known = await existing(session, item)
        request = await post(session, known.id, Operation.STOP_PROTECTION, STOP, fields)
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
        if known.state is ProtectionState.PROTECTION_STOPPED:
            raise Invalid(
                f"protection of item {item} is stopped", action="Protect it again, then back it up."
            )
        request = await post(session, known.id, Operation.BACKUP, BACKUP, fields)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


async def existing(session: Session, item: str) -> Item:
    """The item. Raises `NotFound`: a command for it would be refused where nobody looks."""
    row = await session.ports.ledger.get(item_id(item), Item)
    if row is None:
        raise NotFound(f"there is no item '{item}'", action="`vaultline items` shows what exists.")
    return row.record


async def _settle_names(session: Session, policy: str, vault: str) -> None:
    """Both must exist. Raises `NotFound`."""
    await session.ports.catalog.vault(VaultName(vault))
    await policy_of(session.ports, PolicyName(policy))


async def _check_disk(session: Session, source: DiskUrl) -> None:
    """Raises `SourceGone` or `Invalid`; a disk out of our reach is the app's to judge."""
    try:
        await session.ports.disks.state(source)
    except Transient:
        return
