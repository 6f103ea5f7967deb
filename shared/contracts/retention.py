"""The retention rules of a policy document."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from shared.contracts.fields import Document, Whole, refusal
from shared.contracts.schedules import Daily, Hourly, WeekdaysField, Weekly
from shared.model.policy import RetentionRule, Rule, Week

LAST_DAY = 28
"""Later days of the month, save the last, do not exist in every month."""
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)


def _day(value: Any) -> Any:
    if value != "last" and not (type(value) is int and 1 <= value <= LAST_DAY):
        raise refusal(f'must be a day of the month from 1 to {LAST_DAY}, or "last"')
    return value


def _week(value: Any) -> Any:
    weeks = [str(week) for week in Week]
    if value not in weeks:
        raise refusal(f"must be one of {', '.join(weeks)}")
    return Week(value)


def _months(value: Any) -> Any:
    given = value if isinstance(value, list | tuple) else [value]
    if not given or not all(month in MONTHS for month in given):
        raise refusal(f"must be one or several of {', '.join(MONTHS)}")
    return tuple(month for month in MONTHS if month in given)


DayField = Annotated[
    int | Literal["last"],
    BeforeValidator(_day),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": LAST_DAY}, {"const": "last"}]}
    ),
]
WeekField = Annotated[
    Week, BeforeValidator(_week), WithJsonSchema({"enum": [str(week) for week in Week]})
]
_MONTH_SCHEMA = {"enum": list(MONTHS)}
MonthsField = Annotated[
    tuple[str, ...],
    BeforeValidator(_months),
    WithJsonSchema(
        {"anyOf": [_MONTH_SCHEMA, {"type": "array", "items": _MONTH_SCHEMA, "minItems": 1}]}
    ),
]


class DailyRule(Document):
    """Points of every day."""

    keep: Annotated[int, Whole(7, 9999, "days")]

    def meaning(self) -> RetentionRule:
        return RetentionRule(rule=Rule.DAILY, keep=self.keep)


class WeeklyRule(Document):
    """Points of some weekdays."""

    keep: Annotated[int, Whole(1, 5163, "weeks")]
    on: WeekdaysField

    def meaning(self) -> RetentionRule:
        return RetentionRule(rule=Rule.WEEKLY, keep=self.keep, on=frozenset(self.on))


class _DayOfMonth(Document):
    """One day of a month: an occurrence of a weekday (`week`, `on`), or a `day` by number."""

    week: WeekField | None = None
    on: WeekdaysField | None = None
    day: DayField | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_weekday = self.week is not None and self.on is not None and self.day is None
        by_number = self.week is None and self.on is None and self.day is not None
        if not (by_weekday or by_number):
            raise refusal("must say either week and on (week: last, on: sunday), or day alone")
        return self

    def _conditions(self) -> dict[str, Any]:
        day = 0 if self.day == "last" else self.day
        return {"on": frozenset(self.on or ()), "week": self.week, "day": day}


class MonthlyRule(_DayOfMonth):
    """Points of one day a month."""

    keep: Annotated[int, Whole(1, 1188, "months")]

    def meaning(self) -> RetentionRule:
        return RetentionRule(rule=Rule.MONTHLY, keep=self.keep, **self._conditions())


class YearlyRule(_DayOfMonth):
    """Points of one day in some months."""

    keep: Annotated[int, Whole(1, 99, "years")]
    months: MonthsField

    def meaning(self) -> RetentionRule:
        months = frozenset(MONTHS.index(month) + 1 for month in self.months)
        return RetentionRule(rule=Rule.YEARLY, keep=self.keep, months=months, **self._conditions())


class RetentionDocument(Document):
    """A point is tagged by every rule it satisfies and kept until the latest of their dates."""

    daily: DailyRule | None = None
    weekly: WeeklyRule | None = None
    monthly: MonthlyRule | None = None
    yearly: YearlyRule | None = None

    def meaning(self) -> tuple[RetentionRule, ...]:
        rules = (self.daily, self.weekly, self.monthly, self.yearly)
        return tuple(rule.meaning() for rule in rules if rule)

    def shortest_days(self) -> int:
        """How long every backup is kept, whatever else it is tagged with."""
        return self.daily.keep if self.daily else self.weekly.keep * 7 if self.weekly else 0

    def check_against(self, schedule: Daily | Weekly | Hourly) -> None:
        """Raises the field's error where a backup would be kept by no rule, or a rule would
        never find a backup."""
        if not isinstance(schedule, Weekly):
            if not self.daily:
                raise refusal("retention.daily is missing: it keeps the backups of every day")
            return
        self._check_weekdays(schedule)

    def _check_weekdays(self, schedule: Weekly) -> None:
        weekly = frozenset(self.weekly.on) if self.weekly else frozenset()
        unkept = [day for day in schedule.on if day not in weekly]
        if unkept and not self.daily:
            raise refusal(
                f"retention.weekly must list {', '.join(unkept)} too, as schedule.on does"
            )
        for name, rule in (
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ):
            if rule is None:
                continue
            if rule.on is None:
                raise refusal(f"retention.{name} must say week and on where the schedule is weekly")
            idle = [day for day in rule.on if day not in schedule.on]
            if idle:
                raise refusal(f"retention.{name}.on lists {', '.join(idle)}, without a backup then")
