"""`vault create`, `show`, `list` and `delete`."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from cli.columns import PROTECTABLE, VAULT, VAULTS
from cli.output import AsJson, say, show_json, show_list, show_one
from cli.session import Session, run
from cli.waiting import patiently
from shared.codec import to_dict
from shared.contracts.fields import container_url
from shared.model.arm_ids import recovery_vault_id
from shared.model.errors import Invalid
from shared.model.ids import VaultName
from shared.model.vault import Redundancy, Vault, VaultKind, region_name, vault_name
from shared.steps.mirroring.vaults import begin_discovery, discovered_machines, vault_inside
from shared.steps.vaults import WantedVault, delete_vault, make_vault, vault_use

DEFAULT_ACCOUNT = "vlvault"
"""The laptop stack's account for vaults."""

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")

_SIZE = TypeAdapter(ByteSize)

vaults = typer.Typer(no_args_is_help=True, help="Vaults: where recovery points live.")

VaultArgument = Annotated[str, typer.Argument(metavar="NAME", help="The vault's name.")]


@vaults.command("create")
def create(
    context: typer.Context,
    vault: VaultArgument,
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
    region: Annotated[
        str | None, typer.Option("--region", help="Where the account lies, e.g. westeurope.")
    ] = None,
    redundancy: Annotated[
        str | None, typer.Option("--redundancy", help="The account's: LRS, GRS or ZRS.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="`storage`, or Azure's own: `recovery-services`.")
    ] = VaultKind.STORAGE.value,
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Of a recovery-services vault: its resource id."),
    ] = None,
    extent_size: Annotated[
        str | None,
        typer.Option(
            "--extent-size",
            help="How much of a disk one page blob holds, e.g. 64GiB (the default).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a vault and its container in a storage account. Making the same one again changes
    nothing; region and redundancy may be changed until it holds an item, the size of its extents
    at any time, for items that come under it from then on. A Recovery Services vault that exists
    is adopted."""
    sort = _kind(kind, id_, extent_size)
    place = Place(id=id_, url=url, account=account, container=container)
    _check_one_place(place)

    async def ask(session: Session) -> None:
        wanted = WantedVault(
            name=vault_name(vault),
            url=_where(session, vault, place),
            kind=sort,
            region=region_name(region) if region else None,
            redundancy=_redundancy(redundancy) if redundancy else None,
            extent_bytes=_bytes(extent_size) if extent_size else None,
        )
        made = await patiently(session, lambda: make_vault(session.ports, wanted))
        show_one(_view(made), VAULTS, as_json=as_json)

    run(context, ask)


@vaults.command("show")
def show(context: typer.Context, vault: VaultArgument, as_json: AsJson = False) -> None:
    """Show a vault, what it holds, and the limits of its account that are near."""

    async def ask(session: Session) -> None:
        known = await session.ports.catalog.vault(VaultName(vault))
        use = await vault_use(session.ports, known.name)
        inside = await vault_inside(session.ports, known)
        view = {**_view(known), **to_dict(use), **(to_dict(inside) if inside else {})}
        show_one(view, VAULT, as_json=as_json)

    run(context, ask)


@vaults.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the vaults."""

    async def ask(session: Session) -> None:
        views = [_view(vault) for vault in await session.ports.catalog.vaults()]
        show_list(views, VAULTS, as_json=as_json, empty="There is no vault yet.")

    run(context, ask)


@vaults.command("discover")
def discover(context: typer.Context, vault: VaultArgument, as_json: AsJson = False) -> None:
    """Have a Recovery Services vault look for machines, and list those that it could protect."""

    async def ask(session: Session) -> None:
        known = await session.ports.catalog.vault(VaultName(vault))
        search = await begin_discovery(session.ports, known)
        found = await patiently(session, lambda: discovered_machines(session.ports, known, search))
        views = [{"url": url} for url in found]
        show_list(views, PROTECTABLE, as_json=as_json, empty="It finds none that it could protect.")

    run(context, ask)


@vaults.command("delete")
def delete(
    context: typer.Context,
    vault: VaultArgument,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the Recovery Services vault itself in Azure.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a vault that holds no item. Its container is left as it is; a Recovery Services vault
    is deleted."""

    async def ask(session: Session) -> None:
        name = VaultName(vault)
        await patiently(session, lambda: delete_vault(session.ports, name, keep=keep))
        if as_json:
            show_json({"name": vault, "deleted": True})
        else:
            say(f"Vault {vault} is deleted.")

    run(context, ask)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a vault is to lie, in one of three ways."""

    id: str | None
    url: str | None
    account: str
    container: str | None


def _where(session: Session, vault: str, place: Place) -> str:
    """The Recovery Services vault's id, or the container's URL. Raises `Invalid`."""
    if place.id:
        return str(recovery_vault_id(place.id))
    if place.url:
        return _given(place.url)
    return _place(session, place.account, place.container or vault.lower())


def _kind(text: str, id_: str | None, extent_size: str | None) -> VaultKind:
    """The kind, which the other options fit. Raises `Invalid`."""
    try:
        kind = VaultKind(text)
    except ValueError:
        raise Invalid(f"--kind must be one of {', '.join(VaultKind)}") from None
    if (kind is VaultKind.RECOVERY_SERVICES) is not (id_ is not None):
        raise Invalid(
            "--kind recovery-services and --id go together",
            action="Name the Recovery Services vault by its id; a storage vault has none.",
        )
    if id_ is not None and extent_size is not None:
        raise Invalid("--extent-size is for storage vaults")
    return kind


def _check_one_place(place: "Place") -> None:
    """Raises `Invalid` where two ways to say where a vault lies may differ."""
    if place.id is not None and (place.url or place.container):
        raise Invalid(
            "--url and --container are for storage vaults",
            action="A Recovery Services vault is named by --id alone.",
        )


def _redundancy(text: str) -> Redundancy:
    try:
        return Redundancy(text.upper())
    except ValueError:
        raise Invalid(f"--redundancy must be one of {', '.join(Redundancy)}") from None


def _bytes(text: str) -> int:
    try:
        return int(_SIZE.validate_python(text))
    except ValidationError:
        raise Invalid(f"--extent-size: '{text[:40]}' is not a size such as 64GiB") from None


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


def _view(vault: Vault) -> dict[str, Any]:
    return to_dict(vault)
