"""The world of machines: one fast fake Resource Manager for all tests, a group for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from local.arm.controls import clear_faults
from shared.azure import arm
from shared.azure.managed import snapshots, together, uploads
from tests.contract.machines.world import Site, fast_arm, machine_site
from tests.stack.azurite_fixtures import RunningStorage


@pytest.fixture(scope="session")
def fast_origin(shared_storage: RunningStorage) -> Iterator[str]:
    with fast_arm(shared_storage) as running:
        yield running


@pytest.fixture
async def site(
    storage: RunningStorage, fast_origin: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    for module in (arm, snapshots, uploads):  # the fake's time runs faster, too
        monkeypatch.setattr(module, "CALM_SECONDS", 0.05)
    monkeypatch.setattr(together, "GATHER_SECONDS", 0.01)
    async with machine_site(storage, fast_origin) as made:
        yield made
    clear_faults(fast_origin)
