"""A check of a virtual machine: looks at it, and asks who protects it. It changes nothing, needs
no item, and is carried out by whoever asks, not by a message."""

from dataclasses import replace

from shared.decide.vm_check import check_machine
from shared.model.arm_ids import machine_id
from shared.model.errors import Invalid, Transient
from shared.model.ids import DiskUrl
from shared.model.inspection import Inspected, Unseen
from shared.model.item import Item
from shared.model.machine import Consistency
from shared.model.vault import VaultKind
from shared.model.vm_check import Protectors, Report
from shared.ports import Ports
from shared.steps.policies import policy_of


async def check_vm(ports: Ports, vm: str) -> Report:
    """Raises `Invalid` where it is no machine's id, `SourceGone` where there is no such machine,
    `Transient`."""
    url = machine_id(vm).url
    seen = await ports.inspection.inspect(url)
    item = await _item_of(ports, url)
    seen, vault = await _vault_of(ports, seen)
    protectors = Protectors(
        item=item.id if item else None, vault=vault, own_vault=await _is_own(ports, item, vault)
    )
    return check_machine(
        seen,
        protectors,
        ports.clock.now(),
        await _wanted(ports, item),
        item.luns if item else None,
    )


async def _item_of(ports: Ports, vm: DiskUrl) -> Item | None:
    known = await ports.inventory.disk(vm)
    if known is None or known.item is None:
        return None
    row = await ports.ledger.get(known.item, Item)
    return row.record if row else None


async def _vault_of(ports: Ports, seen: Inspected) -> tuple[Inspected, str]:
    """The Recovery Services vault that protects the machine; "" also where nobody may ask."""
    machine = seen.machine
    try:
        return seen, await ports.recovery.protection_of(machine.url, machine.region)
    except (Invalid, Transient) as error:
        unseen = Unseen(part="protection by Azure's vaults", reason=str(error))
        return replace(seen, unseen=(*seen.unseen, unseen)), ""


async def _is_own(ports: Ports, item: Item | None, vault: str) -> bool:
    if item is None or not vault:
        return False
    ours = await ports.catalog.vault(item.vault)
    return ours.kind is VaultKind.RECOVERY_SERVICES and ours.url.casefold() == vault.casefold()


async def _wanted(ports: Ports, item: Item | None) -> Consistency:
    """What the item's policy wants; the best for a machine that is under none."""
    if item is None:
        return Consistency.APPLICATION
    return Consistency((await policy_of(ports, item.policy)).consistency)
