"""Whose a source is: at most one item's (invariant 18)."""

from shared.model.errors import AlreadyExists
from shared.model.inventory import KnownDisk
from shared.model.item import Item
from shared.ports import Ports
from shared.steps.transact import still


async def claim_source(ports: Ports, item: Item, size_bytes: int) -> None:
    """Raises `AlreadyExists` where another item protects the source, by whatever policy."""
    wanted = KnownDisk(
        url=item.source, size_bytes=size_bytes, registered_at=item.protected_at, item=item.id
    )
    owner = await ports.inventory.claim(wanted)
    if owner == item.id:
        return
    known = await still(ports, owner)
    under = f", under policy {known.policy}" if known else ", whose protection has begun"
    raise AlreadyExists(
        f"{item.source} belongs to item {owner} already{under}; it cannot be under policy "
        f"{item.policy} as item {item.id}, too",
        code="SourceProtected",
        action=f"Use item {owner}, or delete it first: `vaultline stop {owner} --delete-data`.",
    )


async def let_go(ports: Ports, item: Item) -> None:
    """Takes a claim back that came to nothing: the item's row is another disk's, or is none."""
    known = await still(ports, item.id)
    if known is None or known.source != item.source:
        await ports.inventory.release(item.source, item.id)
