"""The service's time: it may run faster than the wall clock, and it never runs backwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """`now` is `origin` plus the wall time since then times `factor`.

    `origin` is kept with the state, so that the service's time goes on after a restart.
    """

    origin: datetime
    factor: float = 1.0
    wall: Callable[[], datetime] = wall_clock

    def now(self) -> datetime:
        """The service's time, aware and in UTC."""
        return self.origin + (self.wall() - self.origin) * self.factor

    def to_wall_seconds(self, service_seconds: float) -> int:
        """What to write into Retry-After: whole seconds of the caller's, at least one."""
        return max(1, math.ceil(service_seconds / self.factor))


def stamp(moment: datetime) -> str:
    """A time as Compute writes it: seven digits, trailing zeros dropped, `+00:00`."""
    digits = f"{moment.microsecond:06d}0".rstrip("0")
    seconds = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{seconds}.{digits}+00:00" if digits else f"{seconds}+00:00"


def ticks(moment: datetime) -> int:
    """.NET's count of 100 ns since year 1, as async URLs carry it."""
    since = moment - datetime(1, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 10
