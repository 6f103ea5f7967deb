"""Replay: from the actions an orchestrator has asked for so far to what must be scheduled now.

The SDK answers each run with *all* actions since the beginning of the execution. Like the
extension, we perform them in order against the history: each scheduling call takes the next id,
awaits its completion event, and what the history does not hold yet is a new decision. Ids follow
from this order alone: retry timers and rescheduled attempts take ids as events arrive.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from local.host.durable.events import Event, EventType, parse_time
from local.host.durable.tasks import Task, finished, start, when_all, when_any


class ActionType(IntEnum):
    """The numbers are the SDK's."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    WHEN_ANY = 11
    WHEN_ALL = 12


Action = Mapping[str, Any]


class ReplayError(Exception):
    """The orchestration cannot go on; the message becomes its failure."""


@dataclass(frozen=True)
class ActivityCall:
    """Run an activity. ``payload`` is JSON text."""

    id: int
    name: str
    payload: str | None


@dataclass(frozen=True)
class SubOrchestration:
    """Start a child. ``instance_id`` is None when the hub shall choose it."""

    id: int
    name: str
    payload: str | None
    instance_id: str | None
    version: str


@dataclass(frozen=True)
class Timer:
    """Fire at ``fire_at`` (aware UTC)."""

    id: int
    fire_at: datetime


Decision = ActivityCall | SubOrchestration | Timer

_SCHEDULED = {
    EventType.TASK_SCHEDULED: ActivityCall,
    EventType.SUB_ORCHESTRATION_CREATED: SubOrchestration,
    EventType.TIMER_CREATED: Timer,
}
_ENDED = {
    EventType.TASK_COMPLETED: ("TaskScheduledId", True),
    EventType.TASK_FAILED: ("TaskScheduledId", False),
    EventType.SUB_ORCHESTRATION_COMPLETED: ("TaskScheduledId", True),
    EventType.SUB_ORCHESTRATION_FAILED: ("TaskScheduledId", False),
    EventType.TIMER_FIRED: ("TimerId", True),
}


@dataclass(frozen=True)
class KnownFunctions:
    """The names an orchestrator may call, compared without case."""

    activities: frozenset[str]
    orchestrators: frozenset[str]

    def check_activity(self, name: str) -> None:
        self._check(name, self.activities, "an activity", "activity")

    def check_orchestrator(self, name: str) -> None:
        self._check(name, self.orchestrators, "an orchestrator", "orchestrator")

    @staticmethod
    def _check(name: str, known: frozenset[str], article: str, kind: str) -> None:
        if name.casefold() not in {candidate.casefold() for candidate in known}:
            names = ", ".join(f"'{candidate}'" for candidate in sorted(known)) or "none"
            raise ReplayError(
                f"The function '{name}' doesn't exist, is disabled, or is not {article} function. "
                f"Known {kind} functions: {names}."
            )


@dataclass(frozen=True)
class Replayed:
    """What a replay came to."""

    decisions: tuple[Decision, ...]
    """Not in the history yet, in id order."""
    cancelled_timers: frozenset[int]
    finished: bool
    """Whether every action has been waited for."""
    continue_with: str | None
    """The input (JSON text) to continue as new with, or None."""


def replay(history: Iterable[Event], actions: Sequence[Action], known: KnownFunctions) -> Replayed:
    """Perform ``actions`` against ``history``. Raises ReplayError."""
    run = _Replay(actions, known)
    for item in history:
        run.apply(item)
    return run.result()


class _Replay:
    """One replay in progress; mutable, and gone when it ends."""

    def __init__(self, actions: Sequence[Action], known: KnownFunctions) -> None:
        self._actions = actions
        self._known = known
        self._now = datetime.min.replace(tzinfo=UTC)
        self._next_id = 0
        self._open: dict[int, Task] = {}
        self._unscheduled: dict[int, Decision] = {}
        self._cancelled: set[int] = set()
        self._waiting: dict[str, list[Task]] = defaultdict(list)
        self._buffered: dict[str, int] = defaultdict(int)
        self._continue_with: str | None = None
        self._main = Task()

    def apply(self, item: Event) -> None:
        kind = EventType(item["EventType"])
        if kind is EventType.ORCHESTRATOR_STARTED:
            self._now = parse_time(item["Timestamp"])
        elif kind is EventType.EXECUTION_STARTED:
            self._main = start(self._perform_all())
        elif kind in _SCHEDULED:
            self._confirm(item["EventId"], _SCHEDULED[kind], item.get("Name"))
        elif kind in _ENDED:
            key, succeeded = _ENDED[kind]
            if task := self._open.pop(item[key], None):
                task.finish(succeeded=succeeded)
        elif kind is EventType.EVENT_RAISED:
            self._deliver(item["Name"].casefold())

    def result(self) -> Replayed:
        return Replayed(
            decisions=tuple(self._unscheduled.values()),
            cancelled_timers=frozenset(self._cancelled),
            finished=self._main.done,
            continue_with=self._continue_with,
        )

    def _confirm(self, task_id: int, expected: type[Decision], name: str | None) -> None:
        """Match a scheduling event with our decision of that id, or the code has changed."""
        decision = self._unscheduled.pop(task_id, None)
        same_name = name is None or getattr(decision, "name", name) == name
        if not isinstance(decision, expected) or not same_name:
            asked = type(decision).__name__ if decision else "nothing"
            raise ReplayError(
                f"Non-Deterministic workflow detected: the history holds {expected.__name__} "
                f"{name or ''} with sequence number {task_id}, but the orchestrator asked for "
                f"{asked} {getattr(decision, 'name', '')} there."
            )

    def _deliver(self, name: str) -> None:
        if waiting := self._waiting[name]:
            # The last to wait is the first served, as in the extension and the SDK.
            waiting.pop().finish()
        else:
            self._buffered[name] += 1

    async def _perform_all(self) -> bool:
        for action in self._actions:
            await self._perform(action)
        return True

    def _perform(self, action: Action) -> Task:
        kind = ActionType(action["actionType"])
        match kind:
            case ActionType.CALL_ACTIVITY:
                return self._activity(action)
            case ActionType.CALL_ACTIVITY_WITH_RETRY:
                return start(self._attempts(action, self._activity))
            case ActionType.CALL_SUB_ORCHESTRATOR:
                return self._sub_orchestration(action)
            case ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY:
                return start(self._attempts(action, self._sub_orchestration))
            case ActionType.CONTINUE_AS_NEW:
                self._continue_with = action.get("input") or "null"
                return finished()
            case ActionType.CREATE_TIMER:
                return self._user_timer(action)
            case ActionType.WAIT_FOR_EXTERNAL_EVENT:
                return self._external_event(action["externalEventName"].casefold())
            case ActionType.WHEN_ANY:
                return when_any([self._perform(inner) for inner in action["compoundActions"]])
            case ActionType.WHEN_ALL:
                return when_all([self._perform(inner) for inner in action["compoundActions"]])
            case _:
                raise ReplayError(f"The local host does not support {kind.name} in orchestrators.")

    def _activity(self, action: Action) -> Task:
        name = action["functionName"]
        self._known.check_activity(name)
        return self._schedule(ActivityCall(self._take_id(), name, action.get("input")))

    def _sub_orchestration(self, action: Action) -> Task:
        name = action["functionName"]
        self._known.check_orchestrator(name)
        return self._schedule(
            SubOrchestration(
                id=self._take_id(),
                name=name,
                payload=action.get("input"),
                instance_id=action.get("instanceId") or None,
                version=action.get("version") or "",
            )
        )

    def _user_timer(self, action: Action) -> Task:
        task_id = self._take_id()
        task = self._schedule(Timer(task_id, parse_time(action["fireAt"])))
        if action.get("isCanceled"):
            self._cancelled.add(task_id)
            del self._open[task_id]
            task.finish(succeeded=False)
        return task

    async def _attempts(self, action: Action, schedule: Any) -> bool:
        """Every failed attempt is followed by a timer, the last one included."""
        options = action["retryOptions"]
        pause = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        for _ in range(max(1, options["maxNumberOfAttempts"])):
            if await schedule(action):
                return True
            await self._schedule(Timer(self._take_id(), self._now + pause))
        return False

    def _external_event(self, name: str) -> Task:
        if self._buffered[name]:
            self._buffered[name] -= 1
            return finished()
        task = Task()
        self._waiting[name].append(task)
        return task

    def _schedule(self, decision: Decision) -> Task:
        task = Task()
        self._open[decision.id] = task
        self._unscheduled[decision.id] = decision
        return task

    def _take_id(self) -> int:
        task_id, self._next_id = self._next_id, self._next_id + 1
        return task_id
