"""How the durable HTTP API shows instances and histories."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from local.host.durable.events import Event, EventType
from local.host.durable.instances import Instance

_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.CONTINUE_AS_NEW: "ContinueAsNew",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}
_SHOWN = {"Name": "Name", "Reason": "Reason", "FireAt": "FireAt", "Details": "Details"}


def show_instance(
    instance: Instance, *, history: Sequence[Event] | None = None, show_input: bool = True
) -> dict[str, Any]:
    """The status of an instance; ``history`` is shown when given."""
    return {
        "name": instance.name,
        "instanceId": instance.id,
        "runtimeStatus": str(instance.status),
        "input": _value(instance.input_json) if show_input else None,
        "customStatus": _value(instance.custom_status_json),
        "output": _value(instance.output_json),
        "createdTime": _seconds(instance.created_at),
        "lastUpdatedTime": _seconds(instance.updated_at),
        "historyEvents": None if history is None else list(history),
    }


def show_history(history: Sequence[Event], *, with_output: bool) -> list[dict[str, Any]]:
    """The history for people: a task's end carries its name and when it was scheduled."""
    scheduled: dict[int, Event] = {
        item["EventId"]: item for item in history if item["EventId"] >= 0
    }
    ended = {_ended_task(item) for item in history}
    return [
        _show_event(item, scheduled, with_output=with_output)
        for item in history
        if EventType(item["EventType"]) in _NAMES and item["EventId"] not in ended
    ]


def _ended_task(item: Event) -> int | None:
    ended: int | None = item.get("TaskScheduledId", item.get("TimerId"))
    return ended


def _show_event(
    item: Event, scheduled: Mapping[int, Event], *, with_output: bool
) -> dict[str, Any]:
    kind = EventType(item["EventType"])
    shown = {"EventType": _NAMES[kind], "Timestamp": item["Timestamp"]}
    shown |= {name: item[key] for key, name in _SHOWN.items() if item.get(key) is not None}
    if kind is EventType.EXECUTION_STARTED:
        shown["FunctionName"] = shown.pop("Name")
    if (task := _ended_task(item)) is not None and task in scheduled:
        shown["ScheduledTime"] = scheduled[task]["Timestamp"]
        if name := scheduled[task].get("Name"):
            shown["FunctionName"] = name
    if status := item.get("OrchestrationStatus"):
        shown["OrchestrationStatus"] = status
    if with_output and item.get("Result") is not None:
        shown["Result"] = _value(item["Result"])
    return shown


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
