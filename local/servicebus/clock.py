"""The one place of the local Service Bus that reads the time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Milliseconds since the epoch, UTC."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000
