"""Vaults: made, changed, looked at, and taken away by people, in the catalog."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.decide.capacity import Usage, warnings_for
from shared.decide.sizing import DiskLoad, seen_daily_bytes, stored_now
from shared.model.errors import AlreadyExists, Invalid, NotFound
from shared.model.extents import check_extent_bytes
from shared.model.ids import VaultName
from shared.model.item import Item
from shared.model.point import Point
from shared.model.vault import Redundancy, Vault, VaultKind
from shared.ports import Ports
from shared.steps.items import every_item
from shared.steps.side_by_side import side_by_side

NAMED_ITEMS = 5


@dataclass(frozen=True, kw_only=True)
class VaultUse:
    """What a vault holds; `warnings` name the limits of its account that are near. Bytes are an
    upper bound; other vaults in the same account are not counted."""

    items: int
    stored_bytes: int
    daily_bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WantedVault:
    """A vault as somebody asks for it; None leaves what is known, or the default."""

    name: VaultName
    url: str
    kind: VaultKind = VaultKind.STORAGE
    region: str | None = None
    redundancy: Redundancy | None = None
    extent_bytes: int | None = None


async def make_vault(ports: Ports, wanted: WantedVault) -> Vault:
    """The vault with its container, or the Recovery Services vault, made unless it exists;
    repeatable. Raises `Deferred` until a Recovery Services vault is there.

    Region and redundancy may change until it holds an item; the size of its extents at any time,
    for replicas yet to be made. Raises `AlreadyExists` where it lies
    elsewhere, `Invalid` where a change comes too late.
    """
    try:
        known = await ports.catalog.vault(wanted.name)
    except NotFound:
        known = None
    vault = _as_wanted(known or _new_vault(wanted, ports.clock.now()), wanted)
    if known is not None and known.url != wanted.url:
        raise AlreadyExists(f"vault '{known.name}' lies in {known.url} already")
    if known is not None and replace(known, extent_bytes=vault.extent_bytes) != vault:
        await _check_unused(ports, known, "is fixed in its region and redundancy")
    if vault.kind is VaultKind.RECOVERY_SERVICES:
        await _check_place(ports, vault)
        await ports.recovery.make(vault)
    else:
        await _make_container(ports, vault)
    if known != vault:
        await ports.catalog.put_vault(vault)
    return vault


def _new_vault(wanted: WantedVault, now: datetime) -> Vault:
    """Azure's own keep what they hold in another region, too, unless somebody says otherwise."""
    mirrored = wanted.kind is VaultKind.RECOVERY_SERVICES
    return Vault(
        name=wanted.name,
        kind=wanted.kind,
        url=wanted.url,
        created_at=now,
        redundancy=Redundancy.GRS if mirrored else Redundancy.LRS,
    )


async def _check_place(ports: Ports, vault: Vault) -> None:
    """Raises `AlreadyExists` where it is another vault of ours: that one's items would be somebody
    else's to this one."""
    if not vault.region:
        raise Invalid(
            f"the region of vault {vault.name} is not said: it protects what lies there alone",
            action="Say it with --region.",
        )
    for other in await ports.catalog.vaults():
        if other.url == vault.url and other.name != vault.name:
            raise AlreadyExists(
                f"{vault.url} is vault '{other.name}' already",
                action=f"Use that one, or forget it first: `vaultline vault delete {other.name} "
                "--keep`.",
            )


def _as_wanted(vault: Vault, wanted: WantedVault) -> Vault:
    return replace(
        vault,
        region=vault.region if wanted.region is None else wanted.region,
        redundancy=wanted.redundancy or vault.redundancy,
        extent_bytes=check_extent_bytes(wanted.extent_bytes or vault.extent_bytes),
    )


async def _make_container(ports: Ports, vault: Vault) -> None:
    """Where whoever makes the vault may not make containers, the app does, with the first blob."""
    try:
        await ports.containers.make(vault.url)
    except Invalid as error:
        if error.code != "AccessDenied":
            raise


async def delete_vault(ports: Ports, name: VaultName, *, keep: bool = False) -> None:
    """Takes the vault off the catalog; a container stays, a Recovery Services vault goes unless
    it is to be kept. Raises `NotFound`; `Deferred` until it is gone; `Invalid` while items live in
    it, the deleted ones whose data is still kept, and other people's, included."""
    vault = await ports.catalog.vault(name)
    await _check_unused(ports, vault, "cannot be deleted")
    if vault.kind is VaultKind.RECOVERY_SERVICES and not keep:
        await ports.recovery.delete(vault)
    await ports.catalog.delete_vault(name)


async def _check_unused(ports: Ports, vault: Vault, why: str) -> None:
    ids = [item.id for item in await items_in(ports, vault.name)]
    if ids:
        named = ", ".join(ids[:NAMED_ITEMS]) + (", …" if len(ids) > NAMED_ITEMS else "")
        raise Invalid(
            f"vault '{vault.name}' {why}: it holds {len(ids)} item(s): {named}",
            code="VaultInUse",
            action="Make another vault; or stop its items with --delete-data, and wait until "
            "they are gone.",
        )


async def items_in(ports: Ports, vault: VaultName) -> list[Item]:
    """The items that live in the vault."""
    return [item for item in await every_item(ports) if item.vault == vault]


async def vault_use(ports: Ports, vault: VaultName) -> VaultUse:
    """What the vault holds now, by its items' points."""
    loads = await side_by_side(await items_in(ports, vault), lambda item: load_of(ports, item))
    usage = Usage(
        stored_bytes=sum(each.stored_bytes for each in loads),
        daily_bytes=round(sum(each.load.daily_bytes for each in loads)),
        largest_disk_bytes=max((each.load.size_bytes for each in loads), default=0),
    )
    return VaultUse(
        items=len(loads),
        stored_bytes=usage.stored_bytes,
        daily_bytes=usage.daily_bytes,
        warnings=tuple(warnings_for(usage)),
    )


@dataclass(frozen=True, kw_only=True)
class ItemLoad:
    """An item's disk as its points tell; `seen` where they tell what changes in it."""

    load: DiskLoad
    stored_bytes: int
    seen: bool


async def load_of(ports: Ports, item: Item) -> ItemLoad:
    """The item's disk, from its points; its size from where it was registered if it has none."""
    points = [row.record async for row in ports.ledger.rows(item.id, Point)]
    daily = seen_daily_bytes(points, ports.clock.now())
    newest = max(points, key=lambda point: point.created_at, default=None)
    size = newest.size_bytes if newest else await _registered_size(ports, item)
    return ItemLoad(
        load=DiskLoad(size_bytes=size, daily_bytes=daily or 0.0),
        stored_bytes=stored_now(points),
        seen=daily is not None,
    )


async def _registered_size(ports: Ports, item: Item) -> int:
    """As it was when the disk was registered; 0 for one from before disks were."""
    known = await ports.inventory.disk(item.source)
    return known.size_bytes if known else 0
