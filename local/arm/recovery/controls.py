"""Failures scripted into the jobs of a running fake, from another process."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.errors import StackError


@dataclass(frozen=True)
class JobFailure:
    """The next `times` jobs that can end so, end with the failure of this title.

    `machine` is a virtual machine's name; None means any. The titles are those of `failures.py`.
    """

    failure: str
    machine: str | None = None
    times: int = 1


@dataclass(frozen=True)
class JobFailureCount:
    """How often a scripted failure has ended a job."""

    failure: str
    fired: int


def script_failures(endpoint: str, failures: Sequence[JobFailure]) -> None:
    """Adds failures behind those already there. Raises StackError for a title that is none."""
    _call("POST", endpoint, [vars(failure) for failure in failures])


def read_failures(endpoint: str) -> tuple[JobFailureCount, ...]:
    """The scripted failures in their order."""
    return tuple(JobFailureCount(**row) for row in _call("GET", endpoint))


def clear_failures(endpoint: str) -> tuple[JobFailureCount, ...]:
    """Removes them all and answers their last counts."""
    return tuple(JobFailureCount(**row) for row in _call("DELETE", endpoint))


def _call(method: str, endpoint: str, body: object = None) -> Any:
    url = f"{endpoint}/__recovery/failures"
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=content)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise StackError(f"{method} {url} answered {error.code}: {said[:500]}") from error
