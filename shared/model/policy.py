"""Policies: when to back up, and how long to keep what came of it. Versioned values.

The public document (DESIGN §6) is validated in `shared/contracts/policy.py`; these are its
meaning.
"""

from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum

from shared.model.ids import PolicyName


class Weekday(StrEnum):
    """Days in the order of `datetime.weekday()`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Week(StrEnum):
    """Which occurrence of a weekday in its month."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    LAST = "last"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Local times of day on which a backup starts, on some weekdays.

    Hourly, daily and weekly schedules of the document all come down to this. `at` is sorted and
    without repeats; times past midnight belong to the next day and are listed as such.
    """

    at: tuple[time, ...]
    on: frozenset[Weekday] = frozenset(Weekday)


class Rule(StrEnum):
    """The retention rules, shortest first."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


@dataclass(frozen=True, kw_only=True)
class RetentionRule:
    """Keep points of the matching days for `keep` days, weeks, months or years.

    A day matches when every condition given does: its weekday in `on`; that occurrence of the
    weekday in its month (`week`); its day of the month (`day`, 0 meaning the last); its month.
    """

    rule: Rule
    keep: int
    on: frozenset[Weekday] = frozenset()
    week: Week | None = None
    day: int | None = None
    months: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Checks:
    """When a replica is compared with its source, byte by byte, without anybody asking."""

    initial: bool = True
    """Once after every full copy."""
    every_days: int | None = None
    """At the first backup after so many days; None: never again."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A schedule, a retention and a snapshot tier under one name. `version` counts changes."""

    name: PolicyName
    time_zone: str = "UTC"
    schedule: Schedule
    instant_restore_days: int = 2
    consistency: str = "application"
    """The most that is wanted of a machine's points (`shared.model.machine.Consistency`)."""
    retention: tuple[RetentionRule, ...]
    checks: Checks = field(default_factory=Checks)
    version: int = 1
    document: dict[str, object] = field(default_factory=dict)
    retired: bool = False
    """Taken off the offer: no item is put under it any more."""
