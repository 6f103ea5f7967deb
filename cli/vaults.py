"""`vault create` and `vault list`."""

import re
from typing import Annotated, Any

import typer

from cli.columns import VAULTS
from cli.output import AsJson, show_list, show_one
from cli.session import Session, run
from shared.codec import to_dict
from shared.contracts.fields import container_url
from shared.model.errors import AlreadyExists, Invalid, NotFound
from shared.model.ids import VaultName, name
from shared.model.vault import Vault, VaultKind

DEFAULT_ACCOUNT = "vlvault"
"""The laptop stack's account for vaults."""

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")

vaults = typer.Typer(no_args_is_help=True, help="Vaults: where recovery points live.")


@vaults.command("create")
def create(
    context: typer.Context,
    vault: Annotated[str, typer.Argument(metavar="NAME", help="The vault's name.")],
    url: Annotated[
        str | None, typer.Option("--url", help="The container that is to hold the replicas.")
    ] = None,
    account: Annotated[
        str, typer.Option("--account", help="Instead of --url: one of the app's accounts.")
    ] = DEFAULT_ACCOUNT,
    container: Annotated[
        str | None,
        typer.Option("--container", help="The container in it; named after the vault if left."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a vault in a storage account. Making the same one again changes nothing."""

    async def ask(session: Session) -> None:
        id_ = VaultName(name(vault, "vault"))
        place = _given(url) if url else _place(session, account, container or vault.lower())
        made = await _put(session, id_, place)
        show_one(_view(made), VAULTS, as_json=as_json)

    run(context, ask)


@vaults.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the vaults."""

    async def ask(session: Session) -> None:
        views = [_view(vault) for vault in await session.ports.catalog.vaults()]
        show_list(views, VAULTS, as_json=as_json, empty="There is no vault yet.")

    run(context, ask)


def _given(url: str) -> str:
    try:
        return container_url(url)
    except Invalid as error:
        raise Invalid(f"--url {error}") from None


def _place(session: Session, account: str, container: str) -> str:
    """The container's URL. Raises `Invalid`."""
    if account not in session.endpoints:
        known = ", ".join(session.endpoints) or "none"
        raise Invalid(
            f"'{account}' is not one of the app's storage accounts, which are: {known}",
            action="Name one of them with --account, or add it to VAULTLINE_ACCOUNTS.",
        )
    if not _CONTAINER.fullmatch(container):
        raise Invalid(
            f"'{container[:70]}' is not a container name: 3 to 63 lower-case letters, digits and "
            "single hyphens",
            action="Choose one with --container.",
        )
    return f"{session.endpoints[account]}/{container}"


async def _put(session: Session, vault: VaultName, url: str) -> Vault:
    """The vault, made unless it exists. Raises `AlreadyExists` where it lies elsewhere."""
    catalog = session.ports.catalog
    try:
        known = await catalog.vault(vault)
    except NotFound:
        now = session.ports.clock.now()
        made = Vault(name=vault, kind=VaultKind.STORAGE, url=url, created_at=now)
        await catalog.put_vault(made)
        return made
    if known.url != url:
        raise AlreadyExists(f"vault '{vault}' lies in {known.url} already")
    return known


def _view(vault: Vault) -> dict[str, Any]:
    return to_dict(vault)
