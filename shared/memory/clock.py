"""A clock that stands until it is moved."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """`now` is what the test says it is; it moves by itself only where somebody sleeps, and never
    backwards."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Moves on at once, after those who are ready to run; who sleeps at the same time sleeps
        beside it."""
        until = self._now + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        self.set(until)

    def advance(self, seconds: float) -> datetime:
        """Moves on by `seconds`, and says where to."""
        return self.set(self._now + timedelta(seconds=seconds))

    def set(self, now: datetime) -> datetime:
        """Moves on to `now`; an earlier time leaves the clock where it is."""
        self._now = max(self._now, now.astimezone(UTC))
        return self._now
