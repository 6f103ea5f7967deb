"""What a Recovery Services vault cannot do of a policy: shown, and accepted."""

from typing import Annotated

import typer

from cli.output import say, show_json
from cli.session import Session, run
from shared.model.errors import Invalid
from shared.model.ids import VaultName
from shared.model.policy import Policy
from shared.model.vault import VaultKind
from shared.steps.mirroring.policies import translated

AcceptLosses = Annotated[
    bool,
    typer.Option(
        "--accept-losses", help="Leave out what a Recovery Services vault cannot do of the policy."
    ),
]


def show_losses(context: typer.Context, policy: Policy, vault: str, *, as_json: bool) -> None:
    """Prints a sentence for each way in which the vault would not do what the policy says."""

    async def ask(session: Session) -> None:
        known = await session.ports.catalog.vault(VaultName(vault))
        if known.kind is not VaultKind.RECOVERY_SERVICES:
            raise Invalid(
                f"vault {vault} is a storage vault: it does all that a policy says",
                action="Leave --vault out, or name a Recovery Services vault.",
            )
        losses = (await translated(session.ports, known, policy)).translation.losses
        if as_json:
            show_json({"policy": policy.name, "vault": vault, "losses": list(losses)})
        else:
            say("\n".join(losses) or f"Vault {vault} can do all of policy {policy.name}.")

    run(context, ask)
