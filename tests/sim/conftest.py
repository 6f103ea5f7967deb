"""Worlds are cyclic and hold whole disks: each test's is taken away before the next begins."""

import gc
from collections.abc import Iterator

import pytest

from shared.steps.mirroring import reads


@pytest.fixture(scope="session", autouse=True)
def _what_stays() -> Iterator[None]:
    """Modules and collected tests are no garbage: nobody looks through them after each test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _leave_no_world() -> Iterator[None]:
    yield
    reads._READS.clear()  # each holds the port that it is found by, so none goes by itself
    gc.collect()
