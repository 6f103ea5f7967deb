"""Failures that tests script into jobs: which job, with what, how often."""

from collections.abc import Sequence
from dataclasses import dataclass

from local.arm.answers import JsonObject
from local.arm.recovery.failures import BY_TITLE, Failure
from local.arm.recovery.job import Job


@dataclass
class _Script:
    failure: Failure
    machine: str | None
    times: int
    fired: int = 0


class Scripts:
    """What is scripted, in order. A failure knows by itself which step of which job it ends."""

    def __init__(self) -> None:
        self._scripts: list[_Script] = []

    def add(self, document: JsonObject) -> None:
        """`{"failure": title, "machine": VM name?, "times": 1?}`. Raises ValueError."""
        failure = BY_TITLE.get(document.get("failure", ""))
        if failure is None:
            raise ValueError(f"failure must be one of {', '.join(sorted(BY_TITLE))}")
        machine = document.get("machine")
        self._scripts.append(_Script(failure, machine, int(document.get("times", 1))))

    def take(self, job: Job, possible: Sequence[Failure]) -> Failure | None:
        """The failure that a step of the job is to end with, used up once more."""
        for script in self._scripts:
            is_meant = script.machine in (None, job.machine.name)
            if is_meant and script.failure in possible and script.fired < script.times:
                script.fired += 1
                return script.failure
        return None

    def counts(self) -> list[dict[str, str | int]]:
        return [{"failure": each.failure.title, "fired": each.fired} for each in self._scripts]

    def clear(self) -> None:
        self._scripts.clear()
