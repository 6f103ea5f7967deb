"""Our policies in vaults: translated, with what they cannot say."""

from dataclasses import dataclass

from shared.decide.mirroring import check_losses, policy_in_vault
from shared.decide.vault_policy import Translation, translate
from shared.model.errors import VaultGone
from shared.model.policy import Policy
from shared.model.vault import Vault, VaultKind
from shared.ports import Ports


@dataclass(frozen=True, kw_only=True)
class InVault:
    """A policy as a vault is to have it. `there`: it has one of that name already."""

    name: str
    translation: Translation
    there: bool


async def translated(ports: Ports, vault: Vault, policy: Policy) -> InVault:
    """The policy in the vault's words. One that is enhanced there stays so."""
    name = policy_in_vault(policy.name)
    known = await ports.recovery.policy(vault, name)
    enhanced = known is not None and known.get("policyType") == "V2"
    today = ports.clock.now().date()
    return InVault(
        name=name,
        translation=translate(policy, today, enhanced=enhanced),
        there=known is not None,
    )


async def bring_policy(ports: Ports, vault: Vault, policy: Policy, *, accept_losses: bool) -> str:
    """The policy's name in the vault, which has it from now on. Raises `Invalid` where it cannot
    do all of it, and that is not accepted."""
    wanted = await translated(ports, vault, policy)
    check_losses(policy.name, vault.name, wanted.translation.losses, accepted=accept_losses)
    if not wanted.there:
        await ports.recovery.put_policy(vault, wanted.name, wanted.translation.body)
    return wanted.name


async def change_in_vaults(ports: Ports, policy: Policy, *, accept_losses: bool) -> None:
    """The policy as it is now, in every vault that has it; before it is ours, so that what a vault
    refuses is changed nowhere. Raises `Invalid`."""
    kept = [each for each in await ports.catalog.vaults() if _mirrors(each)]
    wanted = [(vault, await _known_there(ports, vault, policy)) for vault in kept]
    there = [(vault, each) for vault, each in wanted if each]
    for vault, each in there:
        check_losses(policy.name, vault.name, each.translation.losses, accepted=accept_losses)
    for vault, each in there:
        await ports.recovery.put_policy(vault, each.name, each.translation.body)


async def _known_there(ports: Ports, vault: Vault, policy: Policy) -> InVault | None:
    """None where the vault does not have the policy, or is gone: others must not wait for it."""
    try:
        wanted = await translated(ports, vault, policy)
    except VaultGone:
        return None
    return wanted if wanted.there else None


def _mirrors(vault: Vault) -> bool:
    return vault.kind is VaultKind.RECOVERY_SERVICES
