"""A restore's orchestration where its activities are put off: it waits by timers, and asks again
for what was put off alone."""

from collections.abc import Callable, Generator
from typing import Any

from functions.restores import parts_flow, put_off, restore_flow
from shared.model.deferral import Deferred
from tests.sim.world import SimpleContext

REQUEST = {"item_id": "web", "job_id": "web.restore-1"}
DONE: dict[str, Any] = {"value": None, "error": None}
FAILURE = {"code": "X", "message": "no", "recommended_action": "none"}


def later(seconds: float) -> dict[str, Any]:
    return {**DONE, "wait_seconds": seconds}


def played(flow: Generator[Any, Any, Any], answer: Callable[[Any], Any]) -> tuple[list[Any], Any]:
    """What the flow asked for, and its result."""
    asked: list[Any] = []
    value = None
    while True:
        try:
            wanted = flow.send(value)
        except StopIteration as end:
            return asked, end.value
        asked.append(wanted)
        value = answer(wanted)


def test_an_activity_that_is_put_off_is_asked_again_after_a_timer() -> None:
    answers = {"restore_prepare": [later(20), DONE], "restore_finish": [later(5), later(6), DONE]}

    def answer(wanted: Any) -> Any:
        kind, name, _ = wanted
        return None if kind == "timer" else answers.get(name, [DONE]).pop(0)

    asked, result = played(restore_flow(SimpleContext(REQUEST)), answer)
    steps = [name or given.total_seconds() for _, name, given in asked]
    assert steps == [
        *("restore_prepare", 20, "restore_prepare"),
        "restore_plan",
        *("restore_finish", 5, "restore_finish", 6, "restore_finish"),
    ]
    assert result["status"] == "Completed"


def test_letting_go_may_be_put_off_as_well() -> None:
    failing = [later(7), DONE]

    def answer(wanted: Any) -> Any:
        kind, name, _ = wanted
        if name == "restore_fail":
            return failing.pop(0)
        return None if kind == "timer" else {"value": None, "error": FAILURE}

    asked, result = played(restore_flow(SimpleContext(REQUEST)), answer)
    assert [name for _, name, _ in asked] == ["restore_prepare", "restore_fail", "", "restore_fail"]
    assert result["error"] == FAILURE


def test_of_many_parts_those_that_were_put_off_are_asked_again() -> None:
    waits = {0: 0, 1: 9, 2: 4}

    def answer(wanted: Any) -> Any:
        if wanted[0] == "timer":
            return None
        parts = [given["part"] for _, _, given in wanted[2]]
        return [later(waits.pop(part)) for part in parts] if waits else [DONE] * len(parts)

    flow = parts_flow(SimpleContext({**REQUEST, "first": 0, "last": 3}))
    asked, result = played(flow, answer)
    first, timer, second = asked
    assert [given["part"] for _, _, given in first[2]] == [0, 1, 2]
    assert timer[2].total_seconds() == 9
    assert [given["part"] for _, _, given in second[2]] == [1, 2]
    assert result is None


def test_a_part_that_failed_ends_the_wait() -> None:
    def answer(wanted: Any) -> Any:
        return [later(9), {"value": None, "error": FAILURE}]

    flow = parts_flow(SimpleContext({**REQUEST, "first": 0, "last": 2}))
    asked, result = played(flow, answer)
    assert (len(asked), result) == (1, FAILURE)


def test_what_is_put_off_for_no_time_is_no_result() -> None:
    assert put_off(Deferred("busy", retry_after=0))["wait_seconds"] > 0
