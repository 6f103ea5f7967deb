"""History events, in the JSON that the Durable extension hands to the Python SDK.

``EventId`` is the id of the task that an event schedules, and -1 on every other event.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

Event = dict[str, Any]


class EventType(IntEnum):
    """The numbers are the extension's."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


def format_time(moment: datetime) -> str:
    """An aware time as the extension writes it: UTC, microseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """An aware UTC time; a text without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def event(kind: EventType, at: datetime, *, event_id: int = -1, **fields: Any) -> Event:
    """An event of ``kind`` that happened ``at``; ``fields`` are the kind's own."""
    return {
        "EventType": int(kind),
        "EventId": event_id,
        "IsPlayed": False,
        "Timestamp": format_time(at),
        **fields,
    }


def execution_started(
    at: datetime, *, name: str, version: str, instance_id: str, execution_id: str, payload: Any
) -> Event:
    """The first event of an execution; ``payload`` is the input as JSON text, or None."""
    return event(
        EventType.EXECUTION_STARTED,
        at,
        Name=name,
        Version=version,
        Input=payload,
        OrchestrationInstance={"InstanceId": instance_id, "ExecutionId": execution_id},
    )


def task_ended(at: datetime, task_id: int, *, result: str) -> Event:
    """An activity returned ``result`` (JSON text)."""
    return event(EventType.TASK_COMPLETED, at, TaskScheduledId=task_id, Result=result)


def task_failed(at: datetime, task_id: int, *, reason: str, details: str) -> Event:
    """An activity raised."""
    return event(EventType.TASK_FAILED, at, TaskScheduledId=task_id, Reason=reason, Details=details)


def sub_ended(at: datetime, task_id: int, *, result: str | None) -> Event:
    """A sub-orchestration returned ``result`` (JSON text or None)."""
    return event(EventType.SUB_ORCHESTRATION_COMPLETED, at, TaskScheduledId=task_id, Result=result)


def sub_failed(at: datetime, task_id: int, *, reason: str) -> Event:
    """A sub-orchestration failed, was terminated, or could not be created."""
    return event(
        EventType.SUB_ORCHESTRATION_FAILED, at, TaskScheduledId=task_id, Reason=reason, Details=None
    )


def timer_fired(fire_at: datetime, timer_id: int) -> Event:
    """A timer reached its time."""
    return event(EventType.TIMER_FIRED, fire_at, TimerId=timer_id, FireAt=format_time(fire_at))


def event_raised(at: datetime, name: str, payload: str) -> Event:
    """Somebody raised the external event ``name`` with ``payload`` (JSON text)."""
    return event(EventType.EVENT_RAISED, at, Name=name, Input=payload)
