"""How Hypothesis explores: without deadlines, as machines differ; in CI always the same way, so
that a run there says something about the change and nothing else.

`@pytest.mark.fault(8, 16)` names the faults of docs/faults.md that a test injects.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("laptop", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "fault(*numbers): injects these faults of docs/faults.md (tests.unit.fault_matrix)",
    )
