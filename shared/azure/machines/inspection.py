"""`Inspection` over Resource Manager: a machine and everything around it that its backups meet."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, TypeVar

from shared.azure.arm import Arm, pages_of
from shared.azure.arm_errors import arm_translated
from shared.azure.machines.network import (
    interface_of,
    linked,
    primary_configuration,
    routes_of,
    security_group_of,
)
from shared.azure.machines.seen import (
    interface_ids,
    lock_of,
    managed_machine,
    points_in,
    seen_disks,
    seen_extensions,
    source_of,
)
from shared.azure.machines.wire import state_of
from shared.model.arm_ids import ArmId, ArmScope, disk_id, is_backup_group, machine_id
from shared.model.errors import Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.inspection import (
    Inspected,
    Interface,
    Lock,
    PointsGroup,
    SecurityGroup,
    Unseen,
)

Json = Mapping[str, Any]
T = TypeVar("T")

_NETWORK_VERSION = "2024-05-01"
_LOCKS_VERSION = "2020-05-01"


class ArmInspection:
    """Needs no more than the role Reader on what it looks at; what it may not see it says."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def inspect(self, vm: DiskUrl) -> Inspected:
        id_ = machine_id(vm)
        machines = self._arm.compute(id_.subscription).virtual_machines
        with arm_translated(str(id_)):
            body: Json = (await machines.get(*id_.names, expand="instanceView")).as_dict()
        return await _Look(self._arm, id_, body).whole()


class _Look:
    """One look at one machine. A part that cannot be seen leaves the others as they are."""

    def __init__(self, arm: Arm, vm: ArmId, body: Json) -> None:
        self._arm = arm
        self._vm = vm
        self._body = body
        self._unseen: list[Unseen] = []

    async def whole(self) -> Inspected:
        machine = managed_machine(self._body)
        disks, interfaces, collections = await asyncio.gather(
            self._disks(each.disk for each in machine.disks),
            self._part("network", self._interfaces(), ()),
            self._part("restore points", self._collections(), []),
        )
        groups, locks = await self._groups(collections)
        return Inspected(
            machine=machine,
            provisioning=state_of(self._body),
            disks=tuple(seen_disks(self._body, disks)),
            extensions=tuple(seen_extensions(self._body)),
            interfaces=interfaces,
            points_groups=groups,
            points_taken=tuple(at for each in collections for at in points_in(each)),
            locks=locks,
            unseen=tuple(self._unseen),
        )

    async def _part(self, part: str, looking: Awaitable[T], otherwise: T) -> T:
        try:
            return await looking
        except (Invalid, SourceGone, Transient) as error:
            self._unseen.append(Unseen(part=part, reason=str(error)))
            return otherwise

    async def _disks(self, disks: Iterable[DiskUrl]) -> Mapping[str, Json]:
        every = list(disks)
        found = await asyncio.gather(
            *(self._part(f"disk {each.rpartition('/')[2]}", self._disk(each), {}) for each in every)
        )
        return {disk: body for disk, body in zip(every, found, strict=True) if body}

    async def _disk(self, disk: DiskUrl) -> Json:
        id_ = disk_id(disk)
        with arm_translated(disk):
            body: Json = (await self._arm.compute(id_.subscription).disks.get(*id_.names)).as_dict()
        return body

    async def _interfaces(self) -> tuple[Interface, ...]:
        """The one alone that the machine's traffic leaves by."""
        found = interface_ids(self._body)[:1]
        return tuple([await self._interface(each) for each in found])

    async def _interface(self, id_: str) -> Interface:
        nic = await self._network(id_)
        subnet = await self._network(linked(primary_configuration(nic), "subnet"))
        within = subnet.get("properties") or {}
        own, shared, table = await asyncio.gather(
            self._security_group(linked(nic["properties"], "networkSecurityGroup"), "interface"),
            self._security_group(linked(within, "networkSecurityGroup"), "subnet"),
            self._network(linked(within, "routeTable")),
        )
        return interface_of(nic, subnet, (*own, *shared), routes_of(table) if table else ())

    async def _security_group(self, id_: str, at: str) -> tuple[SecurityGroup, ...]:
        body = await self._network(id_)
        return (security_group_of(body, at),) if body else ()

    async def _network(self, id_: str) -> Json:
        """Nothing where nothing is referred to."""
        return await self._arm.get(id_, _NETWORK_VERSION) if id_ else {}

    async def _collections(self) -> list[Json]:
        """The machine's restore point collections with their points, whoever made them."""
        client = self._arm.compute(self._vm.subscription).restore_point_collections
        pages = pages_of(client.list_all(), f"subscription {self._vm.subscription}")
        ours = [body async for page in pages for body in page if source_of(body) == str(self._vm)]
        return list(await asyncio.gather(*map(self._with_points, ours)))

    async def _with_points(self, collection: Json) -> Json:
        client = self._arm.compute(self._vm.subscription).restore_point_collections
        group, name = _group_of(collection), str(collection["name"])
        with arm_translated(str(collection["id"])):
            found = await client.get(group, name, expand="restorePoints")
        body: Json = found.as_dict()
        return body

    async def _groups(
        self, collections: Iterable[Json]
    ) -> tuple[tuple[PointsGroup, ...], tuple[Lock, ...]]:
        """The groups that hold points, with their locks; and the locks where ours are made."""
        counts: dict[str, int] = {}
        for each in collections:
            counts[_group_of(each)] = counts.get(_group_of(each), 0) + len(points_in(each))
        home = self._arm.cloud.snapshot_group.lower() or self._vm.group
        names = list(dict.fromkeys([*counts, home]))
        locks = dict(zip(names, await asyncio.gather(*map(self._locks, names)), strict=True))
        groups = [
            PointsGroup(name=name, points=count, locks=locks[name], is_azures=is_backup_group(name))
            for name, count in counts.items()
        ]
        return tuple(groups), locks[home]

    async def _locks(self, group: str) -> tuple[Lock, ...]:
        return await self._part(f"locks of {group}", self._locks_of(group), ())

    async def _locks_of(self, group: str) -> tuple[Lock, ...]:
        """Those on the group or above it; locks of single resources in it are not in the way."""
        scope = str(ArmScope(self._vm.subscription, group))
        path = f"{scope}/providers/Microsoft.Authorization/locks"
        listed = (await self._arm.get(path, _LOCKS_VERSION)).get("value") or ()
        return tuple(lock for lock in map(lock_of, listed) if scope.startswith(lock.scope))


def _group_of(collection: Json) -> str:
    """Its resource group, in lower case: listings change the case."""
    return str(collection["id"]).lower().split("/")[4]
