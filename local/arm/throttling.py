"""Resource Manager's token buckets: so much at once, so much a second, for each caller."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

READ_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Rate:
    """A bucket's size and what flows in, in requests and requests a second."""

    burst: float
    per_second: float


@dataclass(frozen=True)
class Limits:
    """Azure's rates for one caller in one subscription (source: azure-limits, control plane)."""

    reads: Rate = Rate(250, 25)
    writes: Rate = Rate(200, 10)

    def of(self, method: str) -> Rate:
        return self.reads if method in READ_METHODS else self.writes


@dataclass(frozen=True)
class Bucket:
    """The tokens left at a moment."""

    tokens: float
    at: datetime


@dataclass(frozen=True)
class Taken:
    """A request's outcome: let through with so many left, or made to wait."""

    bucket: Bucket
    remaining: int
    wait_seconds: float


def take(bucket: Bucket, rate: Rate, now: datetime) -> Taken:
    """One token out of the bucket as it is at `now`; none is taken where none is left."""
    flowed = (now - bucket.at).total_seconds() * rate.per_second
    tokens = min(rate.burst, bucket.tokens + flowed)
    if tokens < 1:
        return Taken(Bucket(tokens, now), 0, (1 - tokens) / rate.per_second)
    return Taken(Bucket(tokens - 1, now), int(tokens - 1), 0)


class Throttle:
    """The buckets of every caller, filled at first sight."""

    def __init__(self, limits: Limits | None) -> None:
        """Without limits nothing is ever refused."""
        self._limits = limits
        self._buckets: dict[tuple[str, str, bool], Bucket] = {}

    def take(self, principal: str, subscription: str, method: str, now: datetime) -> Taken | None:
        """The outcome for one request; None where there are no limits."""
        if self._limits is None:
            return None
        key = (principal, subscription.casefold(), method in READ_METHODS)
        rate = self._limits.of(method)
        taken = take(self._buckets.get(key) or Bucket(rate.burst, now), rate, now)
        self._buckets[key] = taken.bucket
        return taken


def limits_from(document: Mapping[str, tuple[float, float]]) -> Limits:
    """Azure's limits with the given ones replaced: `{"reads": (burst, per second)}`."""
    return replace(Limits(), **{name: Rate(*value) for name, value in document.items()})
