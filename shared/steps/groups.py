"""Protection groups: what people put together, and what it will take to store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.decide.capacity import Usage, warnings_for
from shared.decide.sizing import ASSUMED_CHURN, DiskLoad, StoragePlan, plan_storage
from shared.model.errors import AlreadyExists, Invalid, NotFound
from shared.model.group import Group, GroupName
from shared.model.ids import ItemId
from shared.model.item import Item
from shared.ports import Ports
from shared.steps.items import read_items
from shared.steps.policies import policy_on_offer
from shared.steps.side_by_side import side_by_side
from shared.steps.vaults import ItemLoad, load_of


async def make_group(ports: Ports, wanted: Group) -> Group:
    """The group, made unless it exists; repeatable. Raises `NotFound` for its policy or vault,
    `AlreadyExists` where it has members under another policy or in another vault."""
    await policy_on_offer(ports, wanted.policy)
    await ports.catalog.vault(wanted.vault)
    try:
        known = await ports.groups.group(wanted.name)
    except NotFound:
        await ports.groups.put(wanted)
        return wanted
    if (known.policy, known.vault) == (wanted.policy, wanted.vault):
        return known
    if await members_of(ports, known):
        raise AlreadyExists(
            f"group '{known.name}' has members under policy {known.policy} in vault {known.vault}",
            action="Choose another name, or remove its members first.",
        )
    changed = replace(wanted, created_at=known.created_at)
    await ports.groups.put(changed)
    return changed


async def members_of(ports: Ports, group: Group) -> list[Item]:
    """The group's items; one that is gone has left the group with that."""
    return await read_items(ports, [id_ async for id_ in ports.groups.members(group.name)])


async def join_group(
    ports: Ports, name: GroupName, ids: Sequence[ItemId], *, coming: bool = False
) -> None:
    """Adds items, all or none; repeatable; with `coming`, ones that do not exist yet, too. Raises
    `NotFound`; `Invalid` where one is under another policy or in another vault than the group."""
    group = await ports.groups.group(name)
    items = {item.id: item for item in await read_items(ports, ids)}
    for id_ in ids:
        if id_ in items:
            _check_fits(group, items[id_])
        elif not coming:
            raise NotFound(f"there is no item '{id_}'")
    await ports.groups.add(name, ids)


def _check_fits(group: Group, item: Item) -> None:
    if (item.policy, item.vault) != (group.policy, group.vault):
        raise Invalid(
            f"item {item.id} is under policy {item.policy} in vault {item.vault}; group "
            f"'{group.name}' is under policy {group.policy} in vault {group.vault}",
            action="Add it to a group of its own policy and vault: an item has one of each.",
        )


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """What to plan for instead of what is there: `churn` is the share of a disk that changes in a
    day, `disks` so many of `size_bytes`."""

    days: int
    churn: float | None = None
    disks: int | None = None
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class GroupSize:
    """The plan, and by which churn: `given`, `seen` in the members' points, or `assumed`."""

    plan: StoragePlan
    churn: float
    churn_from: str
    warnings: tuple[str, ...]


async def size_group(ports: Ports, group: Group, sizing: Sizing) -> GroupSize:
    """Plans storage for the group's members, or for as many disks as are asked for."""
    policy = await policy_on_offer(ports, group.policy)
    members = await side_by_side(await members_of(ports, group), lambda item: load_of(ports, item))
    churn, churn_from = _churn(members, sizing)
    if sizing.disks is None:
        own = churn_from == "seen"
        loads = [
            each.load if own and each.seen else _load_of(each.load.size_bytes, churn)
            for each in members
        ]
    else:
        loads = [_load_of(sizing.size_bytes, churn)] * sizing.disks
    plan = plan_storage(loads, policy, ports.clock.now(), sizing.days)
    usage = Usage(
        stored_bytes=plan.stored_bytes,
        daily_bytes=plan.daily_bytes,
        largest_disk_bytes=max((load.size_bytes for load in loads), default=0),
    )
    return GroupSize(
        plan=plan, churn=churn, churn_from=churn_from, warnings=tuple(warnings_for(usage))
    )


def _load_of(size_bytes: int, churn: float) -> DiskLoad:
    return DiskLoad(size_bytes=size_bytes, daily_bytes=size_bytes * churn)


def _churn(members: Sequence[ItemLoad], sizing: Sizing) -> tuple[float, str]:
    if sizing.churn is not None:
        return sizing.churn, "given"
    seen = [each.load for each in members if each.seen and each.load.size_bytes]
    if not seen:
        return ASSUMED_CHURN, "assumed"
    size = sum(load.size_bytes for load in seen)
    return min(1.0, sum(load.daily_bytes for load in seen) / size), "seen"
