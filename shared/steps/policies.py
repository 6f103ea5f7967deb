"""Policies as the steps see them: applied, changed, retired; and the default one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.contracts.policy import default_policy
from shared.decide.decision import Decision
from shared.decide.schedule import next_slot
from shared.model.errors import Invalid, NotFound
from shared.model.ids import ItemId, PolicyName
from shared.model.item import Item, ProtectionState
from shared.model.ledger import update
from shared.model.policy import Policy
from shared.ports import DueSlot, Ports
from shared.steps.mirroring.policies import change_in_vaults
from shared.steps.transact import transact

READS_AT_ONCE = 16
NAMED_USERS = 5
"""How many users of a policy its refusal names."""

Change = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A policy in force, what applying it changed, and how many items follow its schedule anew."""

    policy: Policy
    change: Change
    items: int = 0


async def policy_of(ports: Ports, name: PolicyName) -> Policy:
    """The policy of that name, retired or not; `default` exists from the start. Raises
    `NotFound`."""
    try:
        return await ports.catalog.policy(name)
    except NotFound:
        default = default_policy()
        if name == default.name:
            return default
        raise


async def policy_on_offer(ports: Ports, name: PolicyName) -> Policy:
    """The policy, for an item that is to be put under it. Raises `NotFound`."""
    policy = await policy_of(ports, name)
    if policy.retired:
        raise NotFound(f"there is no policy '{name}'")
    return policy


async def all_policies(ports: Ports) -> list[Policy]:
    """Every policy that an item may be put under, by name."""
    applied = {policy.name: policy for policy in await ports.catalog.policies()}
    default = default_policy()
    known = sorted(({default.name: default} | applied).items())
    return [policy for _, policy in known if not policy.retired]


async def apply_policy(ports: Ports, policy: Policy, *, accept_losses: bool = False) -> Applied:
    """Puts a policy into force, as the next version of what has its name.

    Repeatable: items whose next slot was not entered before a death are entered then. Raises
    `Invalid` where a Recovery Services vault that has the policy cannot do all of it, and that is
    not accepted.
    """
    try:
        known = await policy_of(ports, policy.name)
    except NotFound:
        await ports.catalog.put_policy(policy)
        return Applied(policy=policy, change="created")
    same = replace(policy, version=known.version) == known
    current = known if same else replace(policy, version=known.version + 1)
    await change_in_vaults(ports, current, accept_losses=accept_losses or same)
    await ports.catalog.put_policy(current)
    moved = (known.schedule, known.time_zone) != (policy.schedule, policy.time_zone)
    items = [item async for item in items_under(ports, policy.name)]
    await _enter_slots(ports, items, current, moved=moved)
    change: Change = "unchanged" if same else "created" if known.retired else "changed"
    return Applied(policy=current, change=change, items=len(items))


async def retire_policy(ports: Ports, name: PolicyName) -> None:
    """Takes the policy off the offer (invariant 25). Raises `NotFound`, or `Invalid` for one in
    use by items or groups."""
    policy = await policy_on_offer(ports, name)
    if name == default_policy().name:
        raise Invalid(
            f"the policy '{name}' always exists", action="Apply another document under its name."
        )
    users = [str(item.id) async for item in items_under(ports, name)]
    groups = await ports.groups.groups()
    users += [f"group {group.name}" for group in groups if group.policy == name]
    if users:
        named = ", ".join(users[:NAMED_USERS]) + (", …" if len(users) > NAMED_USERS else "")
        raise Invalid(
            f"policy '{name}' is in use by {len(users)}: {named}",
            action="It says how long their points are kept; it can go when they have.",
        )
    await ports.catalog.put_policy(replace(policy, retired=True))


async def items_under(ports: Ports, name: PolicyName) -> AsyncIterator[Item]:
    """The items under the policy, those whose protection is stopped too: it keeps their points."""
    ids = [item async for item in ports.catalog.items()]
    for start in range(0, len(ids), READS_AT_ONCE):
        some = ids[start : start + READS_AT_ONCE]
        rows = await asyncio.gather(*(ports.ledger.get(id_, Item) for id_ in some))
        for row in rows:
            if row is not None and row.record.policy == name:
                yield row.record


async def _enter_slots(ports: Ports, items: list[Item], policy: Policy, *, moved: bool) -> None:
    """Enters each item's next slot, so that one earlier than the slot entered before is not
    missed. The entry before needs no removal: the tick finds that its slot is not wanted."""
    slot = next_slot(policy.schedule, policy.time_zone, ports.clock.now())
    for item in items:
        if item.state is ProtectionState.PROTECTION_STOPPED:
            continue
        if moved:
            await _count_from(ports, item.id, slot)
        await ports.due.put_slot(DueSlot(item=item.id, slot=slot))


async def _count_from(ports: Ports, item_id: ItemId, slot: datetime) -> None:
    """Slots of the new schedule from before it came into force are not missed ones."""

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item_id, Item)
        if row is None:
            return Decision(None)
        return Decision(None, (update(row, replace(row.record, first_slot=slot)),))

    await transact(ports, item_id, decide)
