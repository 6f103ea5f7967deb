"""The backup service's own limit on polling: so many reads of an action an hour."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from local.arm.recovery.refusals import throttled_by_hour

HOURLY_READS = 150
_HOUR = timedelta(hours=1)
_WAIT = timedelta(seconds=324)


@dataclass
class _Window:
    opened: datetime
    reads: int = 0
    blocked_until: datetime | None = None


class HourlyReads:
    """Counts reads by vault and action; who is over the limit waits 324 s, as all recorded did."""

    def __init__(self, limit: int | None = HOURLY_READS) -> None:
        """Without a limit nothing is refused."""
        self._limit = limit
        self._windows: dict[tuple[str, str], _Window] = {}

    def count(self, vault: str, action: str, now: datetime) -> None:
        """One more read. Raises 429 when it is one too many."""
        if self._limit is None:
            return
        window = self._window(vault, action, now)
        window.reads += 1
        if window.reads > self._limit:
            window.blocked_until = window.blocked_until or now + _WAIT
            wait = window.blocked_until - now
            raise throttled_by_hour(action, self._limit, wait.total_seconds())

    def _window(self, vault: str, action: str, now: datetime) -> _Window:
        window = self._windows.get((vault, action))
        over = window and (window.blocked_until or window.opened + _HOUR) <= now
        if window is None or over:
            window = self._windows[vault, action] = _Window(now)
        return window
