"""Values the task hub speaks in."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from local.host.durable.events import Event
from local.host.durable.replay import Decision


class Status(StrEnum):
    """``runtimeStatus`` of an instance."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    CANCELED = "Canceled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.TERMINATED, Status.CANCELED})


class InstanceExistsError(Exception):
    """An instance of that id is pending, running or suspended."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"An Orchestration instance with the ID {instance_id} already exists.")


@dataclass(frozen=True)
class Parent:
    """Whom a sub-orchestration answers to: the task of one execution of an instance."""

    instance_id: str
    execution_id: str
    task_id: int


@dataclass(frozen=True)
class NewInstance:
    """``payload`` is the input as JSON text, or None."""

    id: str
    name: str
    payload: str | None
    version: str = ""
    parent: Parent | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True)
class Instance:
    """One orchestration instance as stored. Texts named ``*_json`` are JSON or None."""

    id: str
    execution_id: str
    name: str
    version: str
    input_json: str | None
    status: Status
    custom_status_json: str | None
    output_json: str | None
    created_at: datetime
    updated_at: datetime
    parent: Parent | None
    traceparent: str | None
    tracestate: str | None
    revision: int
    """Grows with every change of an execution; an episode computed on an older one is void."""


@dataclass(frozen=True)
class Episode:
    """What one run of an orchestrator works on."""

    instance: Instance
    history: tuple[Event, ...]
    arrived: tuple[Event, ...]
    message_ids: tuple[int, ...]


@dataclass(frozen=True)
class EpisodeResult:
    """What one run of an orchestrator came to."""

    events: tuple[Event, ...]
    status: Status
    decisions: tuple[Decision, ...] = ()
    cancelled_timers: frozenset[int] = field(default_factory=frozenset)
    custom_status_json: str | None = None
    output_json: str | None = None
    continue_with: str | None = None


@dataclass(frozen=True)
class PendingActivity:
    """An activity to run; ``payload`` is JSON text or None."""

    id: int
    instance_id: str
    name: str
    payload: str | None
    traceparent: str | None
    tracestate: str | None


@dataclass(frozen=True)
class InstanceQuery:
    """Which instances; None leaves a bound open."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: tuple[Status, ...] = ()
    id_prefix: str = ""
