"""The schedule forms of a policy document; all come down to local times on weekdays."""

import re
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from shared.contracts.fields import Document, Whole, checked, refusal
from shared.model.errors import Invalid
from shared.model.policy import Schedule, Weekday

MINUTES_A_DAY = 24 * 60
TIMES_A_DAY = 24
INTERVALS = (4, 6, 8, 12, 24)

_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def _clock(text: str) -> str:
    if not re.fullmatch(_CLOCK, text):
        raise Invalid('must be a time of day from "00:00" to "23:59"')
    return text


def _listed(value: Any) -> Any:
    """One weekday or a list of them, in the week's order, each once."""
    given = value if isinstance(value, list | tuple) else [value]
    days = [str(day) for day in Weekday]
    if not given or not all(isinstance(day, str) and day in days for day in given):
        raise refusal(f"must be one or several of {', '.join(days)}")
    return tuple(Weekday(day) for day in days if day in given)


def _interval(value: Any) -> int:
    if type(value) is not int or value not in INTERVALS:
        raise refusal(f"must be one of {', '.join(map(str, INTERVALS))} hours")
    return value


ClockField = Annotated[
    str,
    checked(_clock),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK}$", "description": "local time"}),
]
Clocks = Annotated[
    list[ClockField],
    Field(min_length=1, max_length=TIMES_A_DAY),
    AfterValidator(lambda clocks: sorted(set(clocks))),
]
_WEEKDAY_SCHEMA = {"enum": [str(day) for day in Weekday]}
WeekdaysField = Annotated[
    tuple[Weekday, ...],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                _WEEKDAY_SCHEMA,
                {"type": "array", "items": _WEEKDAY_SCHEMA, "minItems": 1},
            ]
        }
    ),
]
IntervalField = Annotated[
    int, BeforeValidator(_interval), WithJsonSchema({"enum": list(INTERVALS)})
]


class Daily(Document):
    """Every day, at one or several times."""

    frequency: Literal["daily"]
    at: Clocks

    def meaning(self) -> Schedule:
        return Schedule(at=_times(self.at))


class Weekly(Document):
    """On some weekdays, at one or several times."""

    frequency: Literal["weekly"]
    on: WeekdaysField
    at: Clocks

    def meaning(self) -> Schedule:
        return Schedule(at=_times(self.at), on=frozenset(self.on))


class Hourly(Document):
    """Every few hours of a window that begins at `from`; its last moment belongs to it."""

    frequency: Literal["hourly"]
    every_hours: IntervalField
    from_: ClockField = Field(default="08:00", alias="from")
    window_hours: Annotated[int, Whole(4, 24, "hours")] = 24

    @model_validator(mode="after")
    def _one_interval_at_least(self) -> Self:
        if self.window_hours < self.every_hours:
            raise refusal(
                f"window_hours must be a whole number from {self.every_hours} (every_hours) to 24"
            )
        return self

    def meaning(self) -> Schedule:
        start = _minutes(self.from_)
        offsets = range(0, self.window_hours * 60 + 1, self.every_hours * 60)
        minutes = sorted({(start + offset) % MINUTES_A_DAY for offset in offsets})
        return Schedule(at=tuple(time(*divmod(minute, 60)) for minute in minutes))


def _minutes(clock: str) -> int:
    at = time.fromisoformat(clock)
    return at.hour * 60 + at.minute


def _times(clocks: list[str]) -> tuple[time, ...]:
    return tuple(time.fromisoformat(clock) for clock in clocks)
