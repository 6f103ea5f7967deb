"""Worlds are cyclic and hold whole disks: each test's is taken away before the next begins."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _leave_no_world() -> Iterator[None]:
    yield
    gc.collect()
