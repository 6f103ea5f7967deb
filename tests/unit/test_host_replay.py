"""Replay: ids and decisions must follow the order of the extension, event by event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.host.durable import events
from local.host.durable.events import Event, EventType, event
from local.host.durable.replay import (
    Action,
    ActivityCall,
    Decision,
    KnownFunctions,
    Replayed,
    ReplayError,
    SubOrchestration,
    Timer,
    replay,
)
from local.host.durable.state import parse_state, state_of_failure

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN = KnownFunctions(frozenset({"A", "B", "C"}), frozenset({"Child"}))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def activity(name: str) -> Action:
    return {"actionType": 0, "functionName": name, "input": '"x"'}


def retried(name: str, attempts: int) -> Action:
    options = {"firstRetryIntervalInMilliseconds": 1000, "maxNumberOfAttempts": attempts}
    action = {"actionType": 1, "functionName": name, "input": "1", "retryOptions": options}
    return every(action)  # the SDK wraps what it retries


def child(instance_id: str | None = None) -> Action:
    return {"actionType": 2, "functionName": "Child", "input": "1", "instanceId": instance_id}


def timer(seconds: float, *, cancelled: bool = False) -> Action:
    fire_at = events.format_time(at(seconds))
    return {"actionType": 5, "fireAt": fire_at, "isCanceled": cancelled}


def waiting(name: str) -> Action:
    return {"actionType": 6, "externalEventName": name}


def either(*inner: Action) -> Action:
    return {"actionType": 11, "compoundActions": list(inner)}


def every(*inner: Action) -> Action:
    return {"actionType": 12, "compoundActions": list(inner)}


class History:
    """Builds a history as the hub would store it."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def episode(self, seconds: float, *arrived: Event) -> "History":
        self.events += [event(EventType.ORCHESTRATOR_STARTED, at(seconds)), *arrived]
        return self

    def scheduled(self, *decisions: Decision) -> "History":
        self.events += [_scheduling(decision) for decision in decisions]
        return self


def _scheduling(decision: Decision) -> Event:
    kinds = {
        ActivityCall: EventType.TASK_SCHEDULED,
        SubOrchestration: EventType.SUB_ORCHESTRATION_CREATED,
        Timer: EventType.TIMER_CREATED,
    }
    name = getattr(decision, "name", None)
    return event(
        kinds[type(decision)], T0, event_id=decision.id, **({"Name": name} if name else {})
    )


def begun() -> History:
    start = events.execution_started(
        T0, name="O", version="", instance_id="i", execution_id="e", payload=None
    )
    return History().episode(0, start)


def ok(task_id: int) -> Event:
    return events.task_ended(T0, task_id, result="1")


def bad(task_id: int) -> Event:
    return events.task_failed(T0, task_id, reason="r", details="d")


def fired(timer_id: int) -> Event:
    return events.timer_fired(T0, timer_id)


def raised(name: str) -> Event:
    return events.event_raised(T0, name, "1")


def do(history: History, *actions: Action) -> Replayed:
    return replay(history.events, actions, KNOWN)


def ids(replayed: Replayed) -> list[tuple[str, int]]:
    return [(type(decision).__name__, decision.id) for decision in replayed.decisions]


def test_the_first_action_is_scheduled_and_waited_for() -> None:
    result = do(begun(), activity("A"))
    assert result.decisions == (ActivityCall(0, "A", '"x"'),)
    assert not result.finished


def test_an_action_waits_for_the_one_before() -> None:
    before = do(begun(), activity("A"), activity("B"))
    assert ids(before) == [("ActivityCall", 0)]
    history = begun().scheduled(*before.decisions).episode(1, ok(0))
    after = do(history, activity("A"), activity("B"))
    assert after.decisions == (ActivityCall(1, "B", '"x"'),)


def test_a_failed_activity_lets_the_next_action_begin() -> None:
    history = begun().scheduled(ActivityCall(0, "A", None)).episode(1, bad(0))
    assert ids(do(history, activity("A"), activity("B"))) == [("ActivityCall", 1)]


def test_task_all_schedules_at_once_and_waits_for_the_last() -> None:
    both = every(activity("A"), activity("B"))
    first = do(begun(), both, activity("C"))
    assert ids(first) == [("ActivityCall", 0), ("ActivityCall", 1)]
    history = begun().scheduled(*first.decisions).episode(1, bad(1))
    assert do(history, both, activity("C")).decisions == ()
    history.episode(2, ok(0))
    assert ids(do(history, both, activity("C"))) == [("ActivityCall", 2)]


def test_task_any_goes_on_with_the_first() -> None:
    race = either(activity("A"), timer(60))
    history = begun().scheduled(*do(begun(), race).decisions).episode(1, ok(0))
    result = do(history, race, activity("B"))
    assert ids(result) == [("ActivityCall", 2)]
    assert not result.finished


def test_the_loser_of_a_task_any_changes_nothing_later() -> None:
    race = either(activity("A"), timer(60))
    history = begun().scheduled(*do(begun(), race).decisions).episode(1, ok(0))
    history.scheduled(ActivityCall(2, "B", None)).episode(2, fired(1)).episode(3, ok(2))
    assert do(history, race, activity("B")).finished


def test_a_cancelled_timer_is_reported_and_does_not_wait() -> None:
    race = either(timer(60, cancelled=True), waiting("go"))
    history = begun().scheduled(Timer(0, at(60))).episode(1, raised("go"))
    result = do(history, race, activity("A"))
    assert result.cancelled_timers == {0}
    assert ids(result) == [("ActivityCall", 1)]


def test_a_timer_fires_at_its_time() -> None:
    assert do(begun(), timer(90.5)).decisions == (Timer(0, at(90.5)),)


def test_each_failed_attempt_is_followed_by_a_timer_the_last_included() -> None:
    action = retried("A", attempts=2)
    history = begun().scheduled(*do(begun(), action).decisions)
    history.episode(10, bad(0))
    assert do(history, action).decisions == (Timer(1, at(11)),)
    history.scheduled(Timer(1, at(11))).episode(11, fired(1))
    assert do(history, action).decisions == (ActivityCall(2, "A", "1"),)
    history.scheduled(ActivityCall(2, "A", "1")).episode(12, bad(2))
    assert do(history, action, activity("B")).decisions == (Timer(3, at(13)),)
    history.scheduled(Timer(3, at(13))).episode(13, fired(3))
    assert ids(do(history, action, activity("B"))) == [("ActivityCall", 4)]


def test_a_retry_that_succeeds_takes_no_further_timer() -> None:
    action = retried("A", attempts=5)
    history = begun().scheduled(ActivityCall(0, "A", "1")).episode(1, ok(0))
    assert ids(do(history, action, activity("B"))) == [("ActivityCall", 1)]


def test_retries_side_by_side_take_ids_as_their_events_arrive() -> None:
    both = every(retried("A", 3), retried("B", 3))
    history = begun().scheduled(ActivityCall(0, "A", "1"), ActivityCall(1, "B", "1"))
    history.episode(1, bad(1), bad(0))
    result = do(history, both)
    assert ids(result) == [("Timer", 2), ("Timer", 3)]
    history.scheduled(*result.decisions).episode(2, fired(3), fired(2))
    again = do(history, both).decisions
    assert again == (ActivityCall(4, "A", "1"), ActivityCall(5, "B", "1"))


def test_two_sub_orchestrations() -> None:
    both = every(child("one"), child())
    first = do(begun(), both).decisions
    assert first == (
        SubOrchestration(0, "Child", "1", "one", ""),
        SubOrchestration(1, "Child", "1", None, ""),
    )
    history = begun().scheduled(*first)
    history.episode(1, events.sub_ended(T0, 1, result=None))
    assert not do(history, both).finished
    history.episode(2, events.sub_failed(T0, 0, reason="r"))
    assert do(history, both).finished


def test_an_event_raised_early_is_kept_for_the_wait() -> None:
    history = begun().scheduled(ActivityCall(0, "A", None)).episode(1, raised("GO"), ok(0))
    assert do(history, activity("A"), waiting("go")).finished
    assert not do(history, activity("A"), waiting("go"), waiting("go")).finished


def test_events_take_no_ids() -> None:
    history = begun().episode(1, raised("go"))
    assert ids(do(history, waiting("go"), activity("A"))) == [("ActivityCall", 0)]


def test_continue_as_new_carries_its_input() -> None:
    result = do(begun(), {"actionType": 4, "input": "[1]"})
    assert (result.finished, result.continue_with) == (True, "[1]")


def test_changed_code_is_told() -> None:
    history = begun().scheduled(ActivityCall(0, "A", None))
    with pytest.raises(ReplayError, match="Non-Deterministic"):
        do(history, activity("B"))
    with pytest.raises(ReplayError, match="Non-Deterministic"):
        do(history, timer(1))
    with pytest.raises(ReplayError, match="Non-Deterministic"):
        do(history)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (activity("Nowhere"), "'Nowhere' doesn't exist"),
        ({"actionType": 2, "functionName": "A"}, "not an orchestrator"),
        ({"actionType": 7}, "CALL_ENTITY"),
        ({"actionType": 8}, "CALL_HTTP"),
    ],
)
def test_what_cannot_be_done_is_told(action: Action, reason: str) -> None:
    with pytest.raises(ReplayError, match=reason):
        do(begun(), action)


def test_function_names_are_found_whatever_their_case() -> None:
    assert do(begun(), activity("a")).decisions[0] == ActivityCall(0, "a", '"x"')


def test_states_and_the_state_behind_an_exception() -> None:
    state = parse_state('{"isDone": true, "actions": [[{"actionType": 0}]], "output": 3}')
    assert (state.is_done, state.output, state.error) == (True, 3, None)
    assert state.actions == [{"actionType": 0}]
    text = 'boom\n\n$OutOfProcData$:{"isDone": false, "actions": [[]], "error": "boom"}'
    assert state_of_failure(Exception(text)).error == "boom"
    assert state_of_failure(ValueError("plain")).error == "plain"
    bad_states: list[Any] = ["", "[]", '{"isDone": true}', "not json"]
    for wrong in bad_states:
        with pytest.raises(ReplayError):
            parse_state(wrong)
