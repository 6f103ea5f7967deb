"""Restores: a Durable orchestration over the activities of `shared.steps.restore`.

Names carry a version: a running orchestration replays on the code it began with (fault 36).
Inputs and results are references and numbers, never data or secrets (invariant 10). Transient
failures are retried inside the activity: Durable's own retry can hang beside a fan-out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import azure.durable_functions as df

from functions.runtime import ports
from shared import telemetry
from shared.codec import from_plain, to_dict
from shared.model.deferral import Deferred
from shared.model.errors import VaultlineError
from shared.ports import Ports
from shared.steps import restore as steps
from shared.steps.restore import RestoreStep

blueprint = df.Blueprint()
ORCHESTRATOR = "restore_v1"
PARTS = "restore_parts_v1"
CHILDREN = 100
"""Most activities that one (sub-)orchestration fans out to."""
TRIES = 12
SHORTEST_WAIT_SECONDS = 1.0
Message = dict[str, Any]
Yields = Generator[Any, Any, Any]


@blueprint.orchestration_trigger(context_name="context", orchestration=ORCHESTRATOR)
def restore_v1(context: df.DurableOrchestrationContext) -> Yields:
    return (yield from restore_flow(context))


@blueprint.orchestration_trigger(context_name="context", orchestration=PARTS)
def restore_parts_v1(context: df.DurableOrchestrationContext) -> Yields:
    return (yield from parts_flow(context))


def _request(context: df.DurableOrchestrationContext) -> Message:
    request: Any = context.get_input()
    return dict(request)


def restore_flow(context: df.DurableOrchestrationContext) -> Yields:
    """Prepare, then plan and copy until a plan is empty, then finish; or fail, and let go."""
    request = _request(context)
    failure = yield from _restore(context, request)
    if failure is not None:
        yield from _ask(context, "restore_fail", {**request, "error": failure})
    return {"status": "Failed" if failure else "Completed", "error": failure}


def parts_flow(context: df.DurableOrchestrationContext) -> Yields:
    """Parts `[first, last)` of the plan, side by side; the first failure, or None."""
    request = _request(context)
    parts = list(range(request["first"], request["last"]))
    while True:
        results = yield context.task_all(
            [context.call_activity("restore_copy", {**request, "part": part}) for part in parts]
        )
        failure = next((result["error"] for result in results if result["error"]), None)
        waits = [result.get("wait_seconds") for result in results]
        if failure or not any(waits):
            return failure
        parts = [part for part, wait in zip(parts, waits, strict=True) if wait]
        yield _timer(context, max(wait for wait in waits if wait))


def _ask(context: df.DurableOrchestrationContext, activity: str, request: Message) -> Yields:
    """The activity's result. One that is put off is asked for again when it may go on: nobody
    waits in a function."""
    while True:
        result = yield context.call_activity(activity, request)
        if not result.get("wait_seconds"):
            return result
        yield _timer(context, result["wait_seconds"])


def _timer(context: df.DurableOrchestrationContext, seconds: float) -> Any:
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))


def _restore(context: df.DurableOrchestrationContext, request: Message) -> Yields:
    prepared = yield from _ask(context, "restore_prepare", request)
    if prepared["error"]:
        return prepared["error"]
    failure = yield from _converge(context, request)
    if failure:
        return failure
    finished = yield from _ask(context, "restore_finish", request)
    return finished["error"]


def _converge(context: df.DurableOrchestrationContext, request: Message) -> Yields:
    """Plan and copy, then audit, until there is nothing left to do; the failure, or None."""
    for round_ in count():
        planned = yield from _ask(context, "restore_plan", {**request, "round": round_})
        plan = planned["value"]
        if planned["error"] or not plan:
            return planned["error"]
        for first in range(0, plan["parts"], CHILDREN):
            last = min(first + CHILDREN, plan["parts"])
            some = {**request, "plan": plan, "first": first, "last": last}
            failure = yield context.call_sub_orchestrator(PARTS, some)
            if failure:
                return failure
    return None


def restore_step(request: Message) -> RestoreStep:
    """An activity's input as the steps know it."""
    known = {field.name for field in fields(RestoreStep)}
    return from_plain(RestoreStep, {key: request[key] for key in known & request.keys()})


async def _run(request: Message, step: Callable[[Ports, RestoreStep], Awaitable[Any]]) -> Message:
    """One activity: the step's result, or its permanent error, or for how long it is put off, as
    plain values."""
    subject = restore_step(request)
    with telemetry.span("restore activity", request.get("traceparent", "")):
        try:
            return {"value": plain(await _patiently(step, subject)), "error": None}
        except Deferred as error:
            telemetry.note(put_off=error.code)
            with suppress(VaultlineError):  # it is told at the next wait
                await steps.note_wait(await ports(), subject)
            return put_off(error)
        except VaultlineError as error:
            return {"value": None, "error": to_dict(error.detail())}


def put_off(error: Deferred) -> Message:
    """An activity's result that is none yet."""
    seconds = max(SHORTEST_WAIT_SECONDS, error.retry_after or 0)
    return {"value": None, "error": None, "wait_seconds": seconds}


async def _patiently(
    step: Callable[[Ports, RestoreStep], Awaitable[Any]], subject: RestoreStep
) -> Any:
    for attempt in range(TRIES):
        try:
            return await step(await ports(), subject)
        except Deferred:
            raise
        except VaultlineError as error:
            if not error.transient or attempt == TRIES - 1:
                raise
            await asyncio.sleep(min(30, 2**attempt))
    raise AssertionError("unreachable")


def plain(value: Any) -> Any:
    """A step's result as an orchestration may keep it."""
    return to_dict(value) if is_dataclass(value) else value


@blueprint.activity_trigger(input_name="request", activity="restore_prepare")
async def restore_prepare(request: dict) -> dict:
    return await _run(request, steps.prepare_target)


@blueprint.activity_trigger(input_name="request", activity="restore_plan")
async def restore_plan(request: dict) -> dict:
    return await _run(request, steps.plan_restore)


@blueprint.activity_trigger(input_name="request", activity="restore_copy")
async def restore_copy(request: dict) -> dict:
    return await _run(request, steps.copy_restore_part)


@blueprint.activity_trigger(input_name="request", activity="restore_finish")
async def restore_finish(request: dict) -> dict:
    return await _run(request, steps.finish_restore)


@blueprint.activity_trigger(input_name="request", activity="restore_fail")
async def restore_fail(request: dict) -> dict:
    error = VaultlineError(
        request["error"]["message"],
        code=request["error"]["code"],
        action=request["error"]["recommended_action"],
    )
    return await _run(request, lambda ports, subject: steps.fail_restore(ports, subject, error))
