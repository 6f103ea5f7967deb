"""Protection groups, in memory."""

from collections.abc import AsyncIterator, Sequence

from shared.memory.faults import Faults
from shared.model.errors import NotFound
from shared.model.group import Group, GroupName
from shared.model.ids import ItemId
from shared.model.rowkeys import check_key


class MemoryGroups:
    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._groups: dict[GroupName, Group] = {}
        self._members: dict[GroupName, set[ItemId]] = {}

    async def group(self, name: GroupName) -> Group:
        async with self._faults.around("groups.group"):
            if name not in self._groups:
                raise NotFound(f"there is no group '{name}'")
            return self._groups[name]

    async def groups(self) -> list[Group]:
        async with self._faults.around("groups.groups"):
            return [group for _, group in sorted(self._groups.items())]

    async def put(self, group: Group) -> None:
        async with self._faults.around("groups.put"):
            check_key(group.name)
            self._groups[group.name] = group

    async def delete(self, name: GroupName) -> None:
        async with self._faults.around("groups.delete"):
            self._members.pop(name, None)
            self._groups.pop(name, None)

    async def members(self, name: GroupName) -> AsyncIterator[ItemId]:
        async with self._faults.around("groups.members"):
            found = sorted(self._members.get(name, ()))
        for item in found:
            yield item

    async def add(self, name: GroupName, items: Sequence[ItemId]) -> None:
        async with self._faults.around("groups.add"):
            self._members.setdefault(name, set()).update(items)

    async def remove(self, name: GroupName, items: Sequence[ItemId]) -> None:
        async with self._faults.around("groups.remove"):
            self._members.get(name, set()).difference_update(items)
