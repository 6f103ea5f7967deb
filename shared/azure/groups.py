"""Protection groups, in table `groups`.

| partition | row |
|---|---|
| `group` | the group's name |
| `members-NAME` | an item's id: adding one twice is adding it once |
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode

from shared.azure.errors import translated
from shared.azure.tables import Tables, body_columns, body_of
from shared.codec import from_json, to_json
from shared.model.errors import NotFound
from shared.model.group import Group, GroupName
from shared.model.ids import ItemId
from shared.model.ledger import chunks
from shared.model.rowkeys import check_key

TABLE = "groups"
PARTITION = "group"
_WHERE = "PartitionKey eq @partition"


class AzureGroups:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def group(self, name: GroupName) -> Group:
        table = await self._tables.table(TABLE)
        with translated(f"group '{name}'"):
            try:
                return from_json(Group, body_of(await table.get_entity(PARTITION, check_key(name))))
            except ResourceNotFoundError:
                raise NotFound(f"there is no group '{name}'") from None

    async def groups(self) -> list[Group]:
        rows = self._tables.query(TABLE, _WHERE, {"partition": PARTITION})
        return [from_json(Group, body_of(entity)) async for entity in rows]

    async def put(self, group: Group) -> None:
        table = await self._tables.table(TABLE)
        keys = {"PartitionKey": PARTITION, "RowKey": check_key(group.name)}
        with translated(f"group '{group.name}'"):
            await table.upsert_entity({**keys, **body_columns(to_json(group))}, UpdateMode.REPLACE)

    async def delete(self, name: GroupName) -> None:
        """Members first: a group made under this name later must not find them."""
        await self.remove(name, [item async for item in self.members(name)])
        table = await self._tables.table(TABLE)
        with translated(f"group '{name}'"):
            await table.delete_entity(PARTITION, name)

    async def members(self, name: GroupName) -> AsyncIterator[ItemId]:
        rows = self._tables.query(TABLE, _WHERE, {"partition": _members(name)})
        async for entity in rows:
            yield ItemId(entity["RowKey"])

    async def add(self, name: GroupName, items: Sequence[ItemId]) -> None:
        table = await self._tables.table(TABLE)
        for some in chunks(dict.fromkeys(items)):
            operations = [("upsert", _entity(name, item)) for item in some]
            with translated(f"group '{name}'"):
                await table.submit_transaction(operations, retry_on_methods=["POST"])

    async def remove(self, name: GroupName, items: Sequence[ItemId]) -> None:
        """Each by itself: a transaction would be refused for one that is gone already."""
        table = await self._tables.table(TABLE)
        for item in items:
            with translated(f"group '{name}'"):
                await table.delete_entity(_members(name), check_key(item))


def _members(name: GroupName) -> str:
    return check_key(f"members-{name}")


def _entity(name: GroupName, item: ItemId) -> dict[str, Any]:
    return {"PartitionKey": _members(name), "RowKey": check_key(item)}
