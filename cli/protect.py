"""`protect`: one disk, or every disk of a list, a prefix or a tag; one job an item."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from cli.columns import BULK
from cli.failures import DONE, FAILED
from cli.losses import AcceptLosses
from cli.machine_disks import OnlyDisks, WithoutDisks, disk_choice
from cli.output import AsJson, say, show_json, show_list
from cli.requests import (
    DAY_SECONDS,
    Asked,
    Request,
    Timeout,
    Wait,
    compose,
    conclude,
    follow,
    sent_view,
)
from cli.session import Session, run
from cli.targets import Choice, Target, target_of
from shared.codec import to_dict
from shared.contracts.policy import DEFAULT_DOCUMENT
from shared.model.errors import Invalid, Transient, VaultlineError
from shared.model.group import GroupName
from shared.model.ids import DiskUrl, PolicyName, VaultName
from shared.model.job import Operation, Status
from shared.model.ledger import chunks
from shared.model.messages import Outgoing
from shared.steps.groups import join_group
from shared.steps.policies import policy_on_offer
from shared.steps.requests import PROTECT
from shared.steps.side_by_side import side_by_side
from shared.steps.views import job_view

DEFAULT_POLICY = str(DEFAULT_DOCUMENT["name"])


def protect(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(help="The page blob's URL, or the id of a managed disk or a machine."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", metavar="URL", help="Every disk whose URL, or id, begins so."),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Every one with this index tag."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE", help="A URL a line, and its item id if wished."),
    ] = None,
    vault: Annotated[
        str | None, typer.Option("--vault", help="Where its points are to live.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help=f"When, and for how long; '{DEFAULT_POLICY}' if left."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Instead of both: as a member of this group, by its own."),
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="The item's id; made from the blob's name if left.")
    ] = None,
    disks: OnlyDisks = None,
    without: WithoutDisks = None,
    accept_losses: AcceptLosses = False,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Put disks or machines under a policy: from then on they are backed up by schedule.

    Name one by its URL, or many with --prefix, --tag (both: what has both) or --from.
    """
    asked = Asked(wait, timeout, as_json)
    choice = Choice(source=source, id=id_, prefix=prefix, tag=tag, file=file)

    async def ask(session: Session) -> int:
        choice.check()
        chosen = disk_choice(disks, without)
        named = await _terms(session, vault, policy, group)
        terms = replace(named, disks=chosen, accept_losses=accept_losses)
        if source:
            return await _protect_one(session, source, id_, terms, asked)
        targets = await choice.targets(session)
        return await _protect_each(session, targets, terms, asked)

    return run(context, ask)


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """What the disks are to be put under."""

    policy: PolicyName
    vault: VaultName
    group: GroupName | None = None
    disks: dict[str, Any] | None = None
    accept_losses: bool = False


async def _terms(
    session: Session, vault: str | None, policy: str | None, group: str | None
) -> _Terms:
    """Raises `Invalid` where they are not clear, `NotFound` where one does not exist."""
    if group is not None:
        if vault or policy:
            raise Invalid("--group brings its own policy and vault", action="Leave out the others.")
        known = await session.ports.groups.group(GroupName(group))
        return _Terms(policy=known.policy, vault=known.vault, group=known.name)
    if vault is None:
        raise Invalid("Missing option '--vault'.", action="`vaultline vault list` shows them.")
    terms = _Terms(policy=PolicyName(policy or DEFAULT_POLICY), vault=VaultName(vault))
    await session.ports.catalog.vault(terms.vault)
    await policy_on_offer(session.ports, terms.policy)
    return terms


async def _protect_one(
    session: Session, source: str, id_: str | None, terms: _Terms, asked: Asked
) -> int:
    target = await target_of(session, DiskUrl(source), id_)
    request, message = await _prepare(session, target, terms)
    await session.ports.bus.send([message])
    return await conclude(session, request, asked)


async def _prepare(session: Session, target: Target, terms: _Terms) -> tuple[Request, Outgoing]:
    """The command for one disk, checked as far as can be seen from here."""
    fields = {
        "type": "protect",
        "source": target.source,
        "policy": terms.policy,
        "vault": terms.vault,
        "item_id": target.item,
        "disks": terms.disks,
        "accept_losses": terms.accept_losses or None,
    }
    prepared = compose(target.item, Operation.CONFIGURE_PROTECTION, PROTECT, fields)
    await _check_disk(session, target.source)
    if terms.group is not None:
        await join_group(session.ports, terms.group, [target.item], coming=True)
    return prepared


async def _check_disk(session: Session, source: DiskUrl) -> None:
    """Raises `SourceGone` or `Invalid`; a disk out of our reach is the app's to judge."""
    try:
        await session.ports.disks.state(source)
    except Transient:
        return


async def _protect_each(
    session: Session, targets: list[Target], terms: _Terms, asked: Asked
) -> int:
    """One job an item; what fails for one stops no other. Prints each, and a summary."""

    async def attempt(target: Target) -> tuple[Request, Outgoing] | VaultlineError:
        try:
            return await _prepare(session, target, terms)
        except VaultlineError as error:
            return error

    prepared = await side_by_side(targets, attempt)
    sendable = [each[1] for each in prepared if isinstance(each, tuple)]
    for some in chunks(sendable):
        await session.ports.bus.send(some)
    views = [
        {"source": target.source, **await _outcome(session, target, each, asked)}
        for target, each in zip(targets, prepared, strict=True)
    ]
    return _summarize(views, asked)


async def _outcome(
    session: Session,
    target: Target,
    prepared: tuple[Request, Outgoing] | VaultlineError,
    asked: Asked,
) -> dict[str, Any]:
    """The request as it stands, or its job's end where that is waited for."""
    if isinstance(prepared, VaultlineError):
        return _failed(target, prepared)
    request, _ = prepared
    if not asked.wait:
        return {**sent_view(request), "error": None}
    try:
        job = await follow(session, request, asked.timeout_seconds, lambda _job, _transfer: None)
    except VaultlineError as error:
        return {**_failed(target, error), "id": request.job_id}
    return {**job_view(job), "request_id": request.request_id}


def _failed(target: Target, error: VaultlineError) -> dict[str, Any]:
    return {
        "id": None,
        "item_id": target.item,
        "operation": Operation.CONFIGURE_PROTECTION.value,
        "status": Status.FAILED.value,
        "error": to_dict(error.detail()),
    }


def _summarize(views: list[dict[str, Any]], asked: Asked) -> int:
    failed = sum(view["status"] == Status.FAILED for view in views)
    done = sum(view["status"] == Status.COMPLETED for view in views)
    if asked.as_json:
        show_json({"asked": len(views), "completed": done, "failed": failed, "jobs": views})
    else:
        show_list(views, BULK, as_json=False, empty="")
        say(f"{len(views)} asked for, {done} completed, {failed} failed.")
    return FAILED if failed else DONE
