"""Tables: opened once a process, rows as JSON with a few columns for people.

A value is kept as JSON in `body`, continued in `body1`, `body2`… where it is longer than one
property may be. Columns beside it are for whoever looks into Storage Explorer; nothing reads them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count, takewhile
from typing import Any

from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.azure.errors import each_page, translated

BODY_CHARACTERS = 30_000
"""A property holds 64 KiB of UTF-16: 32 Ki characters, half as many where all are beyond it."""


class Tables:
    """The tables of the state account, made on first use."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._made: dict[str, asyncio.Task[TableClient]] = {}

    async def table(self, name: str) -> TableClient:
        """The table. Who asks first makes it; a failure is not remembered."""
        making = self._made.get(name)
        if making is None or (making.done() and (making.cancelled() or making.exception())):
            making = self._made[name] = asyncio.create_task(self._make(name))
        return await asyncio.shield(making)

    async def _make(self, name: str) -> TableClient:
        with translated(f"table '{name}'"):
            return await self._service.create_table_if_not_exists(name)

    async def query(
        self, name: str, where: str, parameters: Mapping[str, Any]
    ) -> AsyncIterator[TableEntity]:
        """Every entity that matches, by partition and row key; pages may be empty."""
        table = await self.table(name)
        pages = table.query_entities(where, parameters=dict(parameters)).by_page()
        async for page in each_page(pages, f"table '{name}'"):
            for entity in page:
                yield entity


def body_columns(body: str) -> dict[str, str]:
    """The JSON as properties that are each small enough."""
    starts = range(0, len(body), BODY_CHARACTERS)
    return {
        _column(number): body[start : start + BODY_CHARACTERS]
        for number, start in enumerate(starts)
    }


def body_of(entity: Mapping[str, Any]) -> str:
    """The JSON that `body_columns` was given."""
    columns = takewhile(entity.__contains__, map(_column, count()))
    return "".join(str(entity[column]) for column in columns)


def etag_of(entity: TableEntity) -> str:
    return str(entity.metadata["etag"])


def prefix_end(prefix: str) -> str:
    """The first key after all that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _column(number: int) -> str:
    return f"body{number or ''}"
