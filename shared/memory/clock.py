"""A clock that stands until it is moved."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """`now` is what the test says it is; it never runs by itself, and never backwards."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Moves on by `seconds`, and says where to."""
        return self.set(self._now + timedelta(seconds=seconds))

    def set(self, now: datetime) -> datetime:
        """Moves on to `now`; an earlier time leaves the clock where it is."""
        self._now = max(self._now, now.astimezone(UTC))
        return self._now
