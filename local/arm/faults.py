"""Faults that tests script into the fake ARM: a refusal, a cut line, an operation gone wrong."""

import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from local.arm.answers import JsonObject

Fate = Literal["stuck", "vanished", "failed"]


@dataclass(frozen=True)
class Fault:
    """One scripted fault. Matchers are regular expressions; None matches everything.

    `path` sees the path and the query. The first `skip` matches pass, the next `times` (None: all
    that come) fire. What fires does one or more of these:

    - answers `status` with `error_code`, `message` and `retry_after` (seconds, sent as given);
    - waits `delay_ms` first;
    - cuts the connection, `before` or `after` the request took effect (`drop`);
    - decides the `operation_fate` of the long-running operation it starts: its status stays
      InProgress (`stuck`) or answers 404 (`vanished`) although the work is done, or ends `failed`
      with `error_code` and `message`;
    - answers 404 to the next `hidden_gets` GETs of the resource that the request made.
    """

    operation: str | None = None
    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int | None = None
    error_code: str | None = None
    message: str | None = None
    retry_after: int | None = None
    delay_ms: int | None = None
    drop: Literal["before", "after"] | None = None
    operation_fate: Fate | None = None
    hidden_gets: int | None = None

    def matches(self, operation: str, method: str, path: str) -> bool:
        wanted = ((self.operation, operation), (self.method, method), (self.path, path))
        return all(pattern is None or re.search(pattern, value) for pattern, value in wanted)


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def fires(self, operation: str, method: str, path: str) -> bool:
        if not self.fault.matches(operation, method, path):
            return False
        self.seen += 1
        due = self.seen > self.fault.skip
        if due and (self.fault.times is None or self.fired < self.fault.times):
            self.fired += 1
            return True
        return False


class Faults:
    """The scripted faults in their order; the first that fires decides."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._hidden: dict[str, int] = {}

    def add(self, documents: list[JsonObject]) -> None:
        """Adds faults as JSON. Raises ValueError naming what is wrong with one."""
        self._armed.extend(_Armed(parse_fault(each)) for each in documents)

    def counts(self) -> list[dict[str, int]]:
        return [{"seen": each.seen, "fired": each.fired} for each in self._armed]

    def clear(self) -> None:
        self._armed.clear()
        self._hidden.clear()

    def take(self, operation: str, method: str, path: str) -> Fault | None:
        return next((a.fault for a in self._armed if a.fires(operation, method, path)), None)

    def hide(self, path: str, gets: int) -> None:
        self._hidden[path.casefold()] = gets

    def hides(self, path: str) -> bool:
        """Whether this GET is answered as if the resource were not there; uses up one turn."""
        left = self._hidden.get(path.casefold(), 0)
        if left > 0:
            self._hidden[path.casefold()] = left - 1
        return left > 0


_NAMES = {each.name for each in fields(Fault)}


def parse_fault(document: JsonObject) -> Fault:
    """Raises ValueError for a field that no fault has or a pattern that is none."""
    unknown = sorted(set(document) - _NAMES)
    if unknown:
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(_NAMES))}")
    values: dict[str, Any] = dict(document)
    for name in ("operation", "method", "path"):
        if values.get(name) is not None:
            try:
                re.compile(values[name])
            except re.error as error:
                raise ValueError(f"{name}: {error}") from error
    return Fault(**values)
