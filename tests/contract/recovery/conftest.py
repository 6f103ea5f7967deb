"""The world that each contract test runs in: once in memory, once over the laptop's ARM."""

from collections.abc import AsyncIterator

import pytest

from shared.azure import arm
from tests.contract.recovery.world import FakeAzure, RecoveryWorld, azure_world, memory_world


@pytest.fixture(params=["memory", pytest.param("azure", marks=pytest.mark.stack)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[RecoveryWorld]:
    """A vault with a policy, and one machine that it knows."""
    if request.param == "memory":
        made = memory_world()
        await made.open()
        yield made
        return
    async with azure_world() as (made, _):
        await made.open()
        yield made


@pytest.fixture
async def both(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RecoveryWorld, FakeAzure]]:
    """The world over the fake, with the fake's own strings; nothing is repeated by itself."""
    monkeypatch.setattr(arm, "REPEATS", 0)
    async with azure_world() as made:
        await made[0].open()
        yield made


@pytest.fixture
def azure(both: tuple[RecoveryWorld, FakeAzure]) -> RecoveryWorld:
    return both[0]


@pytest.fixture
def people(both: tuple[RecoveryWorld, FakeAzure]) -> FakeAzure:
    return both[1]
