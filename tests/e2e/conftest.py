"""One stack for all end-to-end tests: each has disks and items of its own."""

from collections.abc import Iterator

import pytest

from local.storage.controls import clear_faults
from tests.e2e.rig import Rig, open_rig


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("stack")) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """The stack, whole again whatever the test before did to it."""
    shared_rig.start()
    yield shared_rig
    shared_rig.start()
    clear_faults(shared_rig.environment.storage_url)
    for queue in shared_rig.bus.counts():
        shared_rig.bus.call("disarm", queue=queue)
