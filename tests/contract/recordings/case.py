"""What the replays of recordings share: which they are, and that they need not be here."""

from dataclasses import dataclass

import pytest

from tests.stack.recovery_recording import RECORDINGS

needs_recordings = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]


@dataclass(frozen=True)
class Case:
    """A recording: how many of its exchanges our adapters make, and how many they never do."""

    name: str
    ours: int
    never: int
