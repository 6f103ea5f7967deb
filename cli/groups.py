"""`group create`, `list`, `show`, `add`, `remove`, `delete` and `size`."""

from typing import Annotated, Any

import typer

from cli.columns import GROUP, GROUP_SIZE, GROUPS
from cli.output import AsJson, show_json, show_list, show_one, utc
from cli.session import Session, run
from shared.model.errors import Invalid
from shared.model.group import Group, GroupName
from shared.model.ids import PolicyName, VaultName, item_id, name
from shared.model.item import Item
from shared.steps.groups import GroupSize, Sizing, join_group, make_group, members_of, size_group
from shared.steps.views import item_view

GIGABYTE, TERABYTE = 10**9, 10**12

groups = typer.Typer(
    no_args_is_help=True, help="Protection groups: items that are planned for together."
)

GroupArgument = Annotated[str, typer.Argument(metavar="NAME", help="The group's name.")]
ItemArguments = Annotated[list[str], typer.Argument(metavar="ITEM...", help="Items' ids.")]


@groups.command("create")
def create(
    context: typer.Context,
    group: GroupArgument,
    policy: Annotated[str, typer.Option("--policy", help="The policy of all its items.")],
    vault: Annotated[str, typer.Option("--vault", help="The vault of all its items.")],
    as_json: AsJson = False,
) -> None:
    """Make a group. Making the same one again changes nothing."""

    async def ask(session: Session) -> None:
        wanted = Group(
            name=GroupName(name(group, "group")),
            policy=PolicyName(policy),
            vault=VaultName(vault),
            created_at=session.ports.clock.now(),
        )
        show_one(_view(await make_group(session.ports, wanted)), GROUPS, as_json=as_json)

    run(context, ask)


@groups.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the groups."""

    async def ask(session: Session) -> None:
        views = [_view(group) for group in await session.ports.groups.groups()]
        show_list(views, GROUPS, as_json=as_json, empty="There is no group yet.")

    run(context, ask)


@groups.command("show")
def show(context: typer.Context, group: GroupArgument, as_json: AsJson = False) -> None:
    """Show a group and its items."""
    run(context, lambda session: _show(session, GroupName(group), as_json=as_json))


@groups.command("add")
def add(
    context: typer.Context, group: GroupArgument, items: ItemArguments, as_json: AsJson = False
) -> None:
    """Add protected items; they must be under the group's policy, in its vault."""

    async def ask(session: Session) -> None:
        known = await session.ports.groups.group(GroupName(group))
        await join_group(session.ports, known.name, [item_id(item) for item in items])
        await _show(session, known.name, as_json=as_json)

    run(context, ask)


@groups.command("remove")
def remove(
    context: typer.Context, group: GroupArgument, items: ItemArguments, as_json: AsJson = False
) -> None:
    """Take items out of a group. Their protection goes on."""

    async def ask(session: Session) -> None:
        known = await session.ports.groups.group(GroupName(group))
        await session.ports.groups.remove(known.name, [item_id(item) for item in items])
        await _show(session, known.name, as_json=as_json)

    run(context, ask)


@groups.command("delete")
def delete(context: typer.Context, group: GroupArgument, as_json: AsJson = False) -> None:
    """Forget a group. Its items stay protected."""

    async def ask(session: Session) -> None:
        known = await session.ports.groups.group(GroupName(group))
        await session.ports.groups.delete(known.name)
        if as_json:
            show_json({"name": group, "deleted": True})

    run(context, ask)


@groups.command("size")
def size(
    context: typer.Context,
    group: GroupArgument,
    disks: Annotated[
        int | None,
        typer.Option("--disks", min=1, max=100_000, help="Plan for so many disks, not its items."),
    ] = None,
    size_gb: Annotated[
        float | None,
        typer.Option("--size-gb", min=0.001, max=65_536, help="Of so many GB (10^9 bytes) each."),
    ] = None,
    churn: Annotated[
        float | None,
        typer.Option("--churn", min=0, max=100, help="Per cent of a disk that change in a day."),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3660, help="After so many days of protection.")
    ] = 365,
    as_json: AsJson = False,
) -> None:
    """Plan the storage that a group's items need, or that so many disks would."""
    if (disks is None) != (size_gb is None):
        raise Invalid("--disks and --size-gb belong together", action="Give both, or neither.")
    sizing = Sizing(
        days=days,
        churn=None if churn is None else churn / 100,
        disks=disks,
        size_bytes=round((size_gb or 0) * GIGABYTE),
    )

    async def ask(session: Session) -> None:
        known = await session.ports.groups.group(GroupName(group))
        view = _size_view(known, await size_group(session.ports, known, sizing))
        show_one(view, GROUP_SIZE, as_json=as_json)

    run(context, ask)


async def _show(session: Session, group: GroupName, *, as_json: bool) -> None:
    known = await session.ports.groups.group(group)
    items = await members_of(session.ports, known)
    show_one({**_view(known), "items": _members(items)}, GROUP, as_json=as_json)


def _members(items: list[Item]) -> list[dict[str, Any]]:
    return [item_view(item) for item in items]


def _view(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "policy": group.policy,
        "vault": group.vault,
        "created_at": utc(group.created_at),
    }


def _size_view(group: Group, sized: GroupSize) -> dict[str, Any]:
    plan = sized.plan
    return {
        "group": group.name,
        "policy": group.policy,
        "vault": group.vault,
        "disks": plan.disks,
        "days": plan.days,
        "points_per_disk": plan.points,
        "churn_pct": round(100 * sized.churn, 3),
        "churn_from": sized.churn_from,
        "full_copy_bytes": plan.full_copy_bytes,
        "full_copy_tb": round(plan.full_copy_bytes / TERABYTE, 3),
        "daily_bytes": plan.daily_bytes,
        "stored_bytes": plan.stored_bytes,
        "snapshot_bytes": plan.snapshot_bytes,
        "warnings": list(sized.warnings),
    }
