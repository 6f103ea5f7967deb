"""Runs what the task hub holds: orchestrators episode by episode, activities as they come."""

import asyncio
import json
import traceback
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from azure.functions.meta import Datum

from local.host.durable.events import Event, EventType, event, format_time
from local.host.durable.hub import TaskHub
from local.host.durable.instances import (
    Episode,
    EpisodeResult,
    Instance,
    PendingActivity,
    Status,
)
from local.host.durable.replay import (
    ActivityCall,
    Decision,
    KnownFunctions,
    Replayed,
    ReplayError,
    SubOrchestration,
    Timer,
    replay,
)
from local.host.durable.state import OrchestratorState, parse_state, state_of_failure
from local.host.invocation import Call, InvocationError, Invoker
from local.host.loading import IndexedFunction
from local.host.log import log
from local.host.settings import DurableOptions
from local.host.tracing import span_under

_LONGEST_NAP_SECONDS = 60.0
_PAUSE_AFTER_FAILURE_SECONDS = 1.0

_Key = TypeVar("_Key")
_Work = Coroutine[Any, Any, None]


class DurableWorker:
    """Works on one hub until told to stop."""

    def __init__(
        self,
        hub: TaskHub,
        invoker: Invoker,
        functions: tuple[IndexedFunction, ...],
        options: DurableOptions,
        now: Callable[[], datetime],
    ) -> None:
        self._hub = hub
        self._invoker = invoker
        self._options = options
        self._now = now
        self._activities = _by_name(functions, "activityTrigger")
        self._orchestrators = _by_name(functions, "orchestrationTrigger")
        self.known = KnownFunctions(
            activities=frozenset(f.name for f in self._activities.values()),
            orchestrators=frozenset(f.name for f in self._orchestrators.values()),
        )
        self._news = asyncio.Event()
        self._episodes: dict[str, asyncio.Task[None]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There may be something new in the hub."""
        self._news.set()

    async def run(self) -> None:
        """Dispatch until cancelled; what has been dispatched goes on, see `drain`."""
        while True:
            self._news.clear()
            looked_at = self._now()
            self._dispatch_episodes()
            self._dispatch_activities()
            await self._nap(looked_at)

    async def drain(self) -> None:
        """Wait for what is running now."""
        await asyncio.gather(*self._episodes.values(), *self._running.values())

    async def abandon(self) -> None:
        """Cancel what is running; the hub still holds it, so it runs again after a restart."""
        tasks = [*self._episodes.values(), *self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _nap(self, looked_at: datetime) -> None:
        """Until something is new; what has become due since the look counts as that."""
        seconds = _LONGEST_NAP_SECONDS
        if timer := self._hub.next_timer(looked_at):
            seconds = min(seconds, max(0.0, (timer - self._now()).total_seconds()) + 0.001)
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    def _dispatch_episodes(self) -> None:
        for instance_id in self._hub.ready_instances():
            if len(self._episodes) >= self._options.max_concurrent_orchestrators:
                break
            if instance_id not in self._episodes:
                self._spawn(self._episodes, instance_id, partial(self._run_episode, instance_id))

    def _dispatch_activities(self) -> None:
        for activity in self._hub.pending_activities():
            if len(self._running) >= self._options.max_concurrent_activities:
                break
            if activity.id not in self._running:
                self._spawn(self._running, activity.id, partial(self._run_activity, activity))

    def _spawn(
        self, table: dict[_Key, asyncio.Task[None]], key: _Key, work: Callable[[], _Work]
    ) -> None:
        """Run ``work`` in the background; ``table`` holds it under ``key`` meanwhile."""

        def ended(_: asyncio.Task[None]) -> None:
            del table[key]
            self.wake()

        table[key] = asyncio.create_task(self._guarded(key, work))
        table[key].add_done_callback(ended)

    async def _guarded(self, key: object, work: Callable[[], _Work]) -> None:
        try:
            await work()
        except Exception:
            log.exception("the durable worker failed on %s", key)
            await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)

    async def _run_episode(self, instance_id: str) -> None:
        if episode := self._hub.load_episode(instance_id):
            started = event(EventType.ORCHESTRATOR_STARTED, self._now())
            result = await self._execute(episode, (started, *episode.arrived))
            self._hub.commit_episode(episode, result)

    async def _execute(self, episode: Episode, news: tuple[Event, ...]) -> EpisodeResult:
        instance = episode.instance
        try:
            self.known.check_orchestrator(instance.name)
            state = await self._ask(instance, episode.history, news)
            replayed = replay((*episode.history, *news), state.actions, self.known)
        except ReplayError as error:
            failed = f"Orchestrator function '{instance.name}' failed: {error}"
            return _ended(instance, news, Status.FAILED, failed, None, self._now())
        return _conclude(instance, news, state, replayed, self._now())

    async def _ask(
        self, instance: Instance, history: tuple[Event, ...], news: tuple[Event, ...]
    ) -> OrchestratorState:
        """Run the orchestrator function over its whole history."""
        function = self._orchestrators[instance.name.casefold()]
        call = Call(
            trigger=Datum(orchestration_context(instance, history, news), "json"),
            span=span_under(instance.traceparent, instance.tracestate),
        )
        try:
            answer = await self._invoker.invoke(function, call)
        except InvocationError as error:
            return state_of_failure(error.__cause__ or error)
        return parse_state(answer.value if answer else "")

    async def _run_activity(self, activity: PendingActivity) -> None:
        function = self._activities.get(activity.name.casefold())
        if function is None:
            reason = f"The function '{activity.name}' doesn't exist or is disabled."
            self._hub.fail_activity(activity.id, reason=reason, details=reason)
            return
        call = Call(
            trigger=Datum(activity.payload or "null", "json"),
            span=span_under(activity.traceparent, activity.tracestate),
        )
        try:
            answer = await self._invoker.invoke(function, call)
        except InvocationError as error:
            self._hub.fail_activity(
                activity.id,
                reason=f"Activity function '{activity.name}' failed: {error}",
                details=_details(error),
            )
        else:
            self._hub.complete_activity(activity.id, result=answer.value if answer else "null")


def orchestration_context(
    instance: Instance, history: tuple[Event, ...], news: tuple[Event, ...]
) -> str:
    """The JSON that an orchestrator function receives."""
    played = [{**item, "IsPlayed": True} for item in history]
    return json.dumps(
        {
            "history": [*played, *news],
            "input": json.loads(instance.input_json) if instance.input_json else None,
            "instanceId": instance.id,
            "isReplaying": bool(history),
            "parentInstanceId": instance.parent.instance_id if instance.parent else None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
    )


def _conclude(
    instance: Instance,
    news: tuple[Event, ...],
    state: OrchestratorState,
    replayed: Replayed,
    now: datetime,
) -> EpisodeResult:
    """From the orchestrator's answer and its replay to what the hub shall store."""
    custom_status = (
        instance.custom_status_json
        if state.custom_status is None
        else json.dumps(state.custom_status)
    )
    if replayed.finished and state.error is not None:
        failed = f"Orchestrator function '{instance.name}' failed: {state.error}"
        return _ended(instance, news, Status.FAILED, failed, custom_status, now)
    if replayed.finished and state.is_done:
        if replayed.continue_with is None:
            return _ended(instance, news, Status.COMPLETED, state.output, custom_status, now)
        return EpisodeResult(
            events=(),
            status=Status.RUNNING,
            custom_status_json=custom_status,
            continue_with=json.dumps(replayed.continue_with),
        )
    scheduled = tuple(_scheduling_event(decision, now) for decision in replayed.decisions)
    return EpisodeResult(
        events=(*news, *scheduled, event(EventType.ORCHESTRATOR_COMPLETED, now)),
        status=Status.RUNNING,
        decisions=replayed.decisions,
        cancelled_timers=replayed.cancelled_timers,
        custom_status_json=custom_status,
    )


def _ended(
    instance: Instance,
    news: tuple[Event, ...],
    status: Status,
    output: Any,
    custom_status_json: str | None,
    now: datetime,
) -> EpisodeResult:
    result = json.dumps(output)
    completed = event(EventType.EXECUTION_COMPLETED, now, OrchestrationStatus=status, Result=result)
    return EpisodeResult(
        events=(*news, completed, event(EventType.ORCHESTRATOR_COMPLETED, now)),
        status=status,
        custom_status_json=custom_status_json or instance.custom_status_json,
        output_json=result,
    )


def _scheduling_event(decision: Decision, now: datetime) -> Event:
    match decision:
        case ActivityCall(id=task_id, name=name, payload=payload):
            return event(
                EventType.TASK_SCHEDULED,
                now,
                event_id=task_id,
                Name=name,
                Input=payload,
                Version="",
            )
        case Timer(id=task_id, fire_at=fire_at):
            return event(
                EventType.TIMER_CREATED, now, event_id=task_id, FireAt=format_time(fire_at)
            )
        case SubOrchestration(id=task_id, name=name, payload=payload):
            return event(
                EventType.SUB_ORCHESTRATION_CREATED,
                now,
                event_id=task_id,
                Name=name,
                Input=payload,
                InstanceId=decision.instance_id,
                Version=decision.version,
            )


def _details(error: InvocationError) -> str:
    cause = error.__cause__ or error
    return "".join(traceback.format_exception(cause))


def _by_name(functions: tuple[IndexedFunction, ...], kind: str) -> Mapping[str, IndexedFunction]:
    return {f.name.casefold(): f for f in functions if f.trigger.kind == kind}
