"""What is in a Recovery Services vault, ours or not."""

from dataclasses import dataclass

from shared.model.deferral import Deferred
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl
from shared.model.vault import Vault, VaultKind
from shared.ports import Ports
from shared.steps.vaults import items_in

LOOK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class VaultInside:
    """Machines that the vault protects; of those, by their ids, what is softly deleted, and what
    no item of ours is about."""

    machines: int
    softly_deleted: tuple[str, ...]
    others: tuple[str, ...]


async def begin_discovery(ports: Ports, vault: Vault) -> str:
    """Has the vault look for machines anew. Raises `Invalid` where it is no such vault."""
    if vault.kind is not VaultKind.RECOVERY_SERVICES:
        raise Invalid(
            f"vault {vault.name} is a storage vault: it does not look for machines",
            action="`vaultline discover` finds disks and machines for it.",
        )
    return await ports.recovery.discover(vault)


async def discovered_machines(ports: Ports, vault: Vault, discovery: str) -> list[DiskUrl]:
    """The machines that the vault could protect, by id, once the discovery has ended. Raises
    `Deferred` until then."""
    if not await ports.recovery.discovered(vault, discovery):
        raise Deferred(f"vault {vault.name} looks for machines", retry_after=LOOK_SECONDS)
    return sorted([url async for page in ports.recovery.protectable(vault) for url in page])


async def vault_inside(ports: Ports, vault: Vault) -> VaultInside | None:
    """None where it is no such vault."""
    if vault.kind is not VaultKind.RECOVERY_SERVICES:
        return None
    every = [item async for page in ports.recovery.items(vault) for item in page]
    ours = {item.source for item in await items_in(ports, vault.name)}
    return VaultInside(
        machines=sum(not item.deleted for item in every),
        softly_deleted=tuple(item.machine for item in every if item.deleted),
        others=tuple(item.machine for item in every if item.machine not in ours),
    )
