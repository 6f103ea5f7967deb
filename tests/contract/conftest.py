"""The world that each contract test runs in: once in memory, once on Azurite."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.worlds import World, azure_world, memory_world
from tests.stack.azurite_fixtures import shared_storage, storage

__all__ = ["shared_storage", "storage", "world"]


@pytest.fixture(params=["memory", pytest.param("azure", marks=pytest.mark.stack)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield memory_world()
        return
    async with azure_world(request.getfixturevalue("storage")) as real:
        yield real
