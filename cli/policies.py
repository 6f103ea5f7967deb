"""`policy apply`, `list`, `show`, `delete` and `preview`."""

from typing import Annotated, Any

import typer

from cli.columns import POLICIES, POLICY
from cli.documents import FileArgument, document
from cli.losses import AcceptLosses
from cli.output import AsJson, show_list, show_one
from cli.previews import preview_policy
from cli.session import Session, run
from shared.contracts.policy import parse_policy
from shared.model.ids import PolicyName
from shared.model.policy import Policy
from shared.steps.policies import all_policies, apply_policy, policy_on_offer, retire_policy

policies = typer.Typer(no_args_is_help=True, help="Policies: when to back up, how long to keep.")


@policies.command("apply")
def apply(
    context: typer.Context,
    file: FileArgument,
    accept_losses: AcceptLosses = False,
    as_json: AsJson = False,
) -> None:
    """Put a policy document into force. Applying it again changes nothing."""
    policy = parse_policy(document(file))

    async def ask(session: Session) -> None:
        applied = await apply_policy(session.ports, policy, accept_losses=accept_losses)
        view = {**_view(applied.policy), "change": applied.change, "items": applied.items}
        show_one(view, POLICY, as_json=as_json)

    run(context, ask)


@policies.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the policies."""

    async def ask(session: Session) -> None:
        views = [_view(policy) for policy in await all_policies(session.ports)]
        show_list(views, POLICIES, as_json=as_json, empty="There is no policy yet.")

    run(context, ask)


@policies.command("show")
def show(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(metavar="NAME", help="The policy's name.")],
    as_json: AsJson = False,
) -> None:
    """Show a policy."""

    async def ask(session: Session) -> None:
        found = await policy_on_offer(session.ports, PolicyName(policy))
        show_one(_view(found), POLICY, as_json=as_json)

    run(context, ask)


@policies.command("delete")
def delete(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(metavar="NAME", help="The policy's name.")],
    as_json: AsJson = False,
) -> None:
    """Take a policy off the offer; refused while an item is under it."""

    async def ask(session: Session) -> None:
        await retire_policy(session.ports, PolicyName(policy))
        show_one({"name": policy, "change": "deleted"}, POLICY, as_json=as_json)

    run(context, ask)


policies.command("preview")(preview_policy)


def _view(policy: Policy) -> dict[str, Any]:
    return {**policy.document, "version": policy.version}
