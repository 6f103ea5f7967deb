"""How a machine comes into a Recovery Services vault: one vault and one policy a machine, whatever
kind of vault it is."""

from shared.decide.decision import Decision
from shared.decide.errands import enter_mirrored
from shared.decide.protection import check_not_deleted, check_region
from shared.decide.schedule import next_slot
from shared.model.arm_ids import is_machine_id, machine_id, recovery_vault_id
from shared.model.errors import Invalid, VaultlineError
from shared.model.ids import DiskUrl, ItemId, PolicyName, default_item_id, request_job
from shared.model.inventory import DISCOVERY
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.machine import Machine
from shared.model.messages import Protect
from shared.model.mirroring import Errand
from shared.model.policy import Policy
from shared.model.vault import Vault
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.claiming import claim_source, let_go
from shared.steps.mirroring.policies import bring_policy
from shared.steps.policies import policy_on_offer
from shared.steps.requests import PROTECT, new_job
from shared.steps.transact import still, transact, watch


async def protect_mirrored(ports: Ports, command: Protect, vault: Vault) -> Accepted:
    """Registers a machine and has its vault protect it, followed as a job; repeatable.

    Index first, then the claim, then item, job and first look in one transaction: as with a disk.
    """
    item_id = _item_id(command)
    job_id = request_job(item_id, PROTECT, command.request_id)
    accepted = Accepted(item_id=item_id, job_id=job_id)
    if await ports.ledger.get(item_id, Job, job_id) is not None:
        return accepted
    known = await still(ports, item_id)
    if known is not None:
        check_not_deleted(known)
    policy = await policy_on_offer(ports, PolicyName(command.policy))
    await _check_machine(ports, command, vault)
    errand = Errand(
        policy=await bring_policy(ports, vault, policy, accept_losses=command.accept_losses)
    )
    item = _wanted(ports, command, item_id, vault, policy)
    await ports.catalog.note_item(item_id)
    await ports.catalog.note_job(job_id, item.protected_at)
    await claim_source(ports, item, 0)
    await watch(ports, item_id)
    await _enter(ports, item, new_job(item_id, job_id, command, item.protected_at), errand)
    return accepted


def _item_id(command: Protect) -> ItemId:
    item_id = command.item_id or default_item_id(DiskUrl(command.source))
    if item_id == DISCOVERY:
        raise Invalid(f"'{item_id}' is not free: discoveries' jobs are listed under it")
    return item_id


async def _check_machine(ports: Ports, command: Protect, vault: Vault) -> Machine:
    """The machine, which the vault may protect. Raises `Invalid`, `SourceGone`."""
    if not is_machine_id(command.source):
        raise Invalid(
            f"vault {vault.name} is a Recovery Services vault: it protects virtual machines alone",
            code="NotAMachine",
            action="Give a virtual machine's id, or put the disk into a storage vault.",
        )
    if command.disks is not None:
        raise Invalid(
            f"vault {vault.name} is a Recovery Services vault: here it backs up all disks of a "
            "machine",
            action="Leave out the choice of disks, or use a storage vault.",
        )
    _check_subscription(command.source, vault)
    machine = await ports.machines.state(DiskUrl(command.source))
    check_region(vault, machine.region)
    await check_nowhere_else(ports, machine, vault.url)
    return machine


def _check_subscription(machine: str, vault: Vault) -> None:
    """In a vault machines go by their group and name alone: one of another subscription would be
    taken for its namesake."""
    place = recovery_vault_id(vault.url)
    if machine_id(machine).subscription != place.subscription:
        raise Invalid(
            f"vault {vault.name} is in subscription {place.subscription}, and {machine} is not",
            code="SubscriptionMismatch",
            action="Use a vault in the machine's subscription.",
        )


async def check_nowhere_else(ports: Ports, machine: Machine, besides: str = "") -> None:
    """Raises `Invalid` where another Recovery Services vault protects the machine, whoever saw to
    that."""
    by = await ports.recovery.protection_of(machine.url, machine.region)
    if by and by != besides.lower():
        raise Invalid(
            f"{machine.url} is protected by vault {by} already: one vault a machine",
            code="MachineProtectedElsewhere",
            action="End its protection there first, with its data deleted; or leave it there.",
        )


def _wanted(ports: Ports, command: Protect, item_id: ItemId, vault: Vault, policy: Policy) -> Item:
    now = ports.clock.now()
    return Item(
        id=item_id,
        source=DiskUrl(command.source),
        policy=policy.name,
        vault=vault.name,
        replica=DiskUrl(""),
        mirrors=vault.url,
        state=ProtectionState.INITIAL_BACKUP_PENDING,
        protected_at=now,
        first_slot=next_slot(policy.schedule, policy.time_zone, now),
    )


async def _enter(ports: Ports, item: Item, job: Job, errand: Errand) -> None:
    async def decide() -> Decision[None]:
        if await ports.ledger.get(item.id, Job, job.id) is not None:
            return Decision(None)
        row = await ports.ledger.get(item.id, Item)
        return enter_mirrored(row, item, job, errand)

    try:
        await transact(ports, item.id, decide)
    except VaultlineError as error:
        if not error.transient:
            await let_go(ports, item)
        raise
