"""Policies, vaults and the listings of items and jobs in Table storage.

| table | partition | row |
|---|---|---|
| `policies` | `policy` | its name |
| `vaults` | `vault` | its name |
| `items` | `item` | its id |
| `jobs` | the day it started, `20261121` | what is left of time, then its id: newest first |
| `jobs` | its item, `item:os-disk` | the same |
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode

from shared.azure.errors import translated
from shared.azure.tables import Tables, body_columns, body_of
from shared.codec import from_json, to_json
from shared.model.errors import NotFound
from shared.model.ids import ItemId, JobId, PolicyName, VaultName, item_of
from shared.model.policy import Policy
from shared.model.rowkeys import check_key
from shared.model.vault import Vault

_PARTITION = "PartitionKey eq @partition"
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AzureCatalog:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def policy(self, name: PolicyName) -> Policy:
        entity = await self._get("policies", "policy", name)
        return from_json(Policy, body_of(entity))

    async def policies(self) -> list[Policy]:
        rows = self._tables.query("policies", _PARTITION, {"partition": "policy"})
        return [from_json(Policy, body_of(entity)) async for entity in rows]

    async def put_policy(self, policy: Policy) -> None:
        await self._put("policies", "policy", policy.name, body_columns(to_json(policy)))

    async def vault(self, name: VaultName) -> Vault:
        return from_json(Vault, body_of(await self._get("vaults", "vault", name)))

    async def vaults(self) -> list[Vault]:
        rows = self._tables.query("vaults", _PARTITION, {"partition": "vault"})
        return [from_json(Vault, body_of(entity)) async for entity in rows]

    async def put_vault(self, vault: Vault) -> None:
        await self._put("vaults", "vault", vault.name, body_columns(to_json(vault)))

    async def delete_vault(self, name: VaultName) -> None:
        table = await self._tables.table("vaults")
        with translated(f"vault '{name}'"):
            await table.delete_entity("vault", check_key(name))

    async def note_item(self, item: ItemId) -> None:
        await self._put("items", "item", item)

    async def forget_item(self, item: ItemId) -> None:
        table = await self._tables.table("items")
        with translated(f"item '{item}'"):
            await table.delete_entity("item", item)

    async def items(self) -> AsyncIterator[ItemId]:
        async for entity in self._tables.query("items", _PARTITION, {"partition": "item"}):
            yield ItemId(entity["RowKey"])

    async def note_job(self, job: JobId, started_at: datetime) -> None:
        at = started_at.astimezone(UTC)
        for partition in (f"{at:%Y%m%d}", _of_item(item_of(job))):
            await self._put("jobs", partition, f"{_newest_first(at)}:{job}", {"job": job})

    async def jobs(
        self, since: datetime, until: datetime, item: ItemId | None = None
    ) -> AsyncIterator[JobId]:
        where = f"{_PARTITION} and RowKey ge @newest and RowKey lt @oldest"
        # ';' follows ':', which parts the time from the job: those at `since` are in.
        bounds = {"newest": _newest_first(until), "oldest": f"{_newest_first(since)};"}
        for partition in [_of_item(item)] if item else _days(since, until):
            parameters = {"partition": partition, **bounds}
            async for entity in self._tables.query("jobs", where, parameters):
                yield JobId(entity["job"])

    async def _get(self, table: str, partition: str, name: str) -> Mapping[str, Any]:
        """Raises `NotFound`."""
        client = await self._tables.table(table)
        with translated(f"{partition} '{name}'"):
            try:
                return await client.get_entity(partition, check_key(name))
            except ResourceNotFoundError:
                raise NotFound(f"there is no {partition} '{name}'") from None

    async def _put(
        self, table: str, partition: str, name: str, columns: Mapping[str, str] | None = None
    ) -> None:
        client = await self._tables.table(table)
        entity = {"PartitionKey": partition, "RowKey": check_key(name), **(columns or {})}
        with translated(f"{partition} '{name}'"):
            await client.upsert_entity(entity, UpdateMode.REPLACE)


def _of_item(item: ItemId) -> str:
    """The partition of an item's jobs: no day has such a name."""
    return f"item:{item}"


def _days(since: datetime, until: datetime) -> Iterator[str]:
    """The partitions of the days from `until` back to `since`."""
    day = until.astimezone(UTC).date()
    while day >= since.astimezone(UTC).date():
        yield f"{day:%Y%m%d}"
        day -= timedelta(days=1)


def _newest_first(at: datetime) -> str:
    """Microseconds left until the end of time: a key that sorts the other way round."""
    return f"{(_END_OF_TIME - at) // _MICROSECOND:020}"
