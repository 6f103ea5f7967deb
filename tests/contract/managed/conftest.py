"""The contract suite's world, of managed disks: one fake Resource Manager for all tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from local.arm.controls import clear_faults
from shared.azure import arm
from shared.azure.managed import snapshots, together, uploads
from tests.contract.managed.world import ArmPeople, managed_world, running_arm
from tests.contract.worlds import World
from tests.stack.azurite_fixtures import RunningStorage


@pytest.fixture(scope="session")
def origin(shared_storage: RunningStorage) -> Iterator[str]:
    with running_arm(shared_storage) as running:
        yield running


@pytest.fixture
async def both(
    storage: RunningStorage, origin: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, ArmPeople]]:
    for module in (arm, snapshots, uploads):  # the fake's time runs faster, too
        monkeypatch.setattr(module, "CALM_SECONDS", 0.1)
    monkeypatch.setattr(together, "GATHER_SECONDS", 0.01)
    async with managed_world(storage, origin) as made:
        yield made
    clear_faults(origin)


@pytest.fixture
def world(both: tuple[World, ArmPeople]) -> World:
    return both[0]


@pytest.fixture
def people(both: tuple[World, ArmPeople]) -> ArmPeople:
    return both[1]
