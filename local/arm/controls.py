"""The running fake from another process: its counters, its faults, its machines' guests."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.arm.faults import Fault
from local.errors import StackError


@dataclass(frozen=True)
class OperationCount:
    """Requests since the start. `status` 0 counts connections that a fault cut."""

    operation: str
    method: str
    status: int
    requests: int


@dataclass(frozen=True)
class FaultCount:
    """How often a fault's matcher matched, and how often it fired."""

    seen: int
    fired: int


def read_counters(endpoint: str) -> tuple[OperationCount, ...]:
    """Every counter of the fake at `endpoint`."""
    return tuple(OperationCount(**row) for row in _call("GET", f"{endpoint}/__counters"))


def clear_counters(endpoint: str) -> tuple[OperationCount, ...]:
    """Sets all counters to zero and answers their last values."""
    return tuple(OperationCount(**row) for row in _call("DELETE", f"{endpoint}/__counters"))


def add_faults(endpoint: str, faults: Sequence[Fault]) -> None:
    """Adds faults behind those already there; the first that fires decides."""
    _call("POST", f"{endpoint}/__faults", [_wire(fault) for fault in faults])


def read_faults(endpoint: str) -> tuple[FaultCount, ...]:
    """The counts of the active faults, in their order."""
    return tuple(FaultCount(**row) for row in _call("GET", f"{endpoint}/__faults"))


def clear_faults(endpoint: str) -> tuple[FaultCount, ...]:
    """Removes all faults and answers their last counts."""
    return tuple(FaultCount(**row) for row in _call("DELETE", f"{endpoint}/__faults"))


def read_clock(endpoint: str) -> datetime:
    """The service's own time, which runs ahead of ours; aware, UTC."""
    return datetime.fromisoformat(_call("GET", f"{endpoint}/__clock")["now"])


@dataclass(frozen=True)
class DiskAccess:
    """The inside of a disk: a URL that reads and writes its pages, its size without the footer."""

    url: str
    size_bytes: int


def open_disk(endpoint: str, disk_id: str) -> DiskAccess:
    """The way a running machine has to its disk; raises StackError for one that is not there."""
    found = _call("POST", f"{endpoint}/__disks", {"disk": disk_id})
    return DiskAccess(found["url"], found["sizeBytes"])


@dataclass(frozen=True)
class Guest:
    """What changes inside a machine; None leaves a thing as it is.

    `extensions` is what installed extensions say of themselves, by name:
    `{"state": "failed", "message": …}`.
    """

    agent_ready: bool | None = None
    agent_version: str | None = None
    network: bool | None = None
    extensions: Mapping[str, Mapping[str, str]] | None = None


_GUEST_WIRE = {"agent_ready": "agentReady", "agent_version": "agentVersion"}


def change_guest(endpoint: str, vm_id: str, guest: Guest) -> None:
    """Changes what the machine's agent and extensions say from now on."""
    changed = {
        _GUEST_WIRE.get(name, name): value
        for name, value in vars(guest).items()
        if value is not None
    }
    _call("PUT", f"{endpoint}/__guests", {"vm": vm_id, **changed})


def _wire(fault: Fault) -> dict[str, object]:
    return {name: value for name, value in vars(fault).items() if value is not None}


def _call(method: str, url: str, body: object = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=content)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise StackError(f"{method} {url} answered {error.code}: {said[:500]}") from error
