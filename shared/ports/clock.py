"""What the steps need of time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The only reader of time, and the only one who waits for it."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Lets others run until so much time has passed."""
        ...
