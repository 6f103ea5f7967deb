"""Timer triggers: run on schedule, once for what was missed, never over themselves."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from local.host.context import RetryContext
from local.host.invocation import Call, InvocationError, Invoker
from local.host.loading import IndexedFunction
from local.host.schedule import (
    NextAfter,
    ScheduleStatus,
    is_monitored,
    is_past_due,
    parse_schedule,
)
from local.host.settings import AppSettings, SettingsError, parse_timespan

Now = Callable[[], datetime]

_LONGEST_NAP_SECONDS = 60.0


class TimerStore:
    """Schedule statuses in SQLite, by function."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS timers (function TEXT PRIMARY KEY, schedule TEXT NOT NULL,"
            " last TEXT, next TEXT NOT NULL, updated TEXT NOT NULL)"
        )

    def close(self) -> None:
        self._db.close()

    def read(self, function: str) -> ScheduleStatus | None:
        row = self._db.execute(
            "SELECT schedule, last, next, updated FROM timers WHERE function = ?", (function,)
        ).fetchone()
        if row is None:
            return None
        schedule, last, following, updated = row
        return ScheduleStatus(
            schedule=schedule,
            last=datetime.fromisoformat(last) if last else None,
            next=datetime.fromisoformat(following),
            updated=datetime.fromisoformat(updated),
        )

    def write(self, function: str, status: ScheduleStatus) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?)",
            (
                function,
                status.schedule,
                status.last and status.last.isoformat(),
                status.next.isoformat(),
                status.updated.isoformat(),
            ),
        )


@dataclass(frozen=True)
class RetryPolicy:
    """``@retry`` of a timer function; ``most`` is -1 for no end."""

    most: int
    delay: timedelta
    longest: timedelta | None

    def pause_seconds(self, attempt: int) -> float:
        """How long to wait after failed attempt number ``attempt`` (0 is the first)."""
        if self.longest is None:
            return self.delay.total_seconds()
        doubled = self.delay.total_seconds() * 2.0 ** min(attempt, 60)
        return min(doubled, self.longest.total_seconds())


class TimerListener:
    """Runs one timer function."""

    def __init__(
        self,
        function: IndexedFunction,
        settings: AppSettings,
        store: TimerStore,
        invoker: Invoker,
        now: Now,
    ) -> None:
        """Raises SettingsError when the schedule or the retry policy cannot be used."""
        if settings.get("WEBSITE_TIME_ZONE", "UTC").upper() != "UTC":
            raise SettingsError("the local host runs timers in UTC only (WEBSITE_TIME_ZONE is set)")
        options = function.trigger.options
        self.function = function
        self._schedule = settings.expand(str(options["schedule"]))
        self._next_after: NextAfter = parse_schedule(self._schedule)
        self._run_on_startup = bool(options.get("runOnStartup"))
        self._retry = _retry_policy(function.retry)
        self._monitored = is_monitored(options.get("useMonitor"), self._next_after, now())
        self._store = store
        self._invoker = invoker
        self._now = now
        self._one_run = asyncio.Lock()

    async def run(self) -> None:
        """Run the function whenever it is due, until cancelled between two runs."""
        status = self._store.read(self.function.name) if self._monitored else None
        past_due = is_past_due(status, self._schedule, self._now())
        if past_due or self._run_on_startup:
            await asyncio.shield(self.fire(past_due=past_due))
        elif self._monitored and (status is None or status.schedule != self._schedule):
            self._remember(None)
        while True:
            due = self._next_after(self._now())
            await self._sleep_until(due)
            await asyncio.shield(self.fire(past_due=False))

    async def fire(self, *, past_due: bool) -> None:
        """One run with its retries; waits for the run before it, and never raises."""
        async with self._one_run:
            started = self._now()
            await self._attempts(Datum(self._request(past_due=past_due), "json"))
            self._remember(started)

    async def drain(self) -> None:
        """Wait for the run in progress, if there is one."""
        async with self._one_run:
            pass

    async def _attempts(self, trigger: Datum) -> None:
        most = self._retry.most if self._retry else 0
        attempt, error = 0, None
        while True:
            retry = RetryContext(attempt, most, error)
            try:
                await self._invoker.invoke(self.function, Call(trigger=trigger, retry=retry))
                return
            except InvocationError as failed:
                if self._retry is None or attempt == most:
                    return
                error = failed.__cause__
            await asyncio.sleep(self._retry.pause_seconds(attempt))
            attempt += 1

    async def _sleep_until(self, due: datetime) -> None:
        # In short naps: the machine may sleep, and the wall clock may be set.
        while (remaining := (due - self._now()).total_seconds()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(remaining, _LONGEST_NAP_SECONDS))

    def _remember(self, ran_at: datetime | None) -> None:
        if self._monitored:
            now = self._now()
            status = ScheduleStatus(self._schedule, ran_at, self._next_after(now), now)
            self._store.write(self.function.name, status)

    def _request(self, *, past_due: bool) -> str:
        status = self._store.read(self.function.name) if self._monitored else None
        return json.dumps(
            {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": status and _show_status(status),
                "IsPastDue": past_due,
            }
        )


def _show_status(status: ScheduleStatus) -> dict[str, str]:
    never = datetime.min.replace(tzinfo=UTC)
    return {
        "Last": (status.last or never).isoformat(),
        "Next": status.next.isoformat(),
        "LastUpdated": status.updated.isoformat(),
    }


def _retry_policy(options: Mapping[str, Any] | None) -> RetryPolicy | None:
    """Read what ``@retry`` left; its values are strings."""
    if not options:
        return None
    most = int(options["max_retry_count"])
    match str(options["strategy"]):
        case "fixed_delay":
            return RetryPolicy(most, parse_timespan(str(options["delay_interval"])), None)
        case "exponential_backoff":
            shortest = parse_timespan(str(options["minimum_interval"]))
            return RetryPolicy(most, shortest, parse_timespan(str(options["maximum_interval"])))
        case other:
            raise SettingsError(f"'{other}' is not a retry strategy")
