"""How Hypothesis explores: without deadlines, as machines differ; in CI always the same way, so
that a run there says something about the change and nothing else."""

import os

from hypothesis import settings

settings.register_profile("laptop", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")
