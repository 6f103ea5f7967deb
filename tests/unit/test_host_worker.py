"""Random orchestrations through the real SDK, the worker and the hub, with restarts between.

Replay has to agree with the SDK on every id, whatever the order in which events arrive; a
disagreement shows as a wrong output, a failure, or an orchestration that hangs.
"""

import asyncio
import contextlib
import json
import logging
import random
import types
from collections import Counter
from collections.abc import Generator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest

from local.host.durable.hub import TaskHub
from local.host.durable.instances import NewInstance, Status
from local.host.durable.worker import DurableWorker
from local.host.host import utc_now
from local.host.invocation import FunctionLoop, Invoker
from local.host.loading import IndexedFunction, index_app
from local.host.settings import DurableOptions

Step = list[Any]
Steps = Generator[Any, Any, Any]

OPTIONS = DurableOptions(max_concurrent_activities=4, max_concurrent_orchestrators=4)
RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=1, max_number_of_attempts=3)

attempts: Counter[str] = Counter()


def build_app() -> tuple[IndexedFunction, ...]:
    app = df.DFApp()

    @app.activity_trigger(input_name="number")  # type: ignore[untyped-decorator]
    async def double(number: int) -> int:
        await asyncio.sleep(random.random() / 200)
        return number * 2

    @app.activity_trigger(input_name="spec")  # type: ignore[untyped-decorator]
    def flaky(spec: list) -> str:  # type: ignore[type-arg]
        key, failures = spec
        attempts[key] += 1
        if attempts[key] <= failures:
            raise ValueError(key)
        return str(key)

    @app.orchestration_trigger(context_name="context")  # type: ignore[untyped-decorator]
    def program(context: df.DurableOrchestrationContext) -> Steps:
        steps: list[Step] = context.get_input() or []
        results = []
        for step in steps:
            results.append((yield from _perform(context, step)))  # noqa: PERF401
        return results

    module = types.ModuleType("function_app")
    module.app = app  # type: ignore[attr-defined]
    return index_app(module, Path("app"))


def _perform(context: Any, step: Step) -> Steps:
    if step[0] == "caught":
        try:
            yield _task(context, ["retry", step[1], 99])
        except Exception:
            return "gave up"
    if step[0] == "race":
        timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        winner = yield context.task_any([timer, _task(context, step[1])])
        timer.cancel()
        return winner.result
    return (yield _task(context, step))


def _task(context: Any, step: Step) -> Any:
    match step:
        case ["double", number]:
            return context.call_activity("double", number)
        case ["retry", key, failures]:
            return context.call_activity_with_retry("flaky", RETRY, [key, failures])
        case ["nap"]:
            return context.create_timer(context.current_utc_datetime + timedelta(milliseconds=5))
        case ["child", steps]:
            return context.call_sub_orchestrator("program", steps)
        case ["all", steps]:
            return context.task_all([_task(context, inner) for inner in steps])
        case _:
            raise ValueError(step)


def expected(step: Step) -> Any:
    match step:
        case ["double", number]:
            return number * 2
        case ["retry", key, _]:
            return key
        case ["caught", _]:
            return "gave up"
        case ["nap"]:
            return None
        case ["race", inner]:
            return expected(inner)
        case [_, steps]:
            return [expected(inner) for inner in steps]
    raise ValueError(step)


def random_program(dice: random.Random, depth: int = 2) -> list[Step]:
    return [_random_step(dice, depth) for _ in range(dice.randint(1, 4))]


def _random_step(dice: random.Random, depth: int) -> Step:
    kinds = ["double", "retry", "nap", "race", "caught"] + ["all", "child"] * bool(depth)
    kind = dice.choice(kinds)
    match kind:
        case "double":
            return [kind, dice.randint(0, 99)]
        case "retry":
            return [kind, f"k{dice.getrandbits(48)}", dice.randint(0, 2)]
        case "caught":
            return [kind, f"k{dice.getrandbits(48)}"]
        case "nap":
            return [kind]
        case "race":
            return [kind, ["double", dice.randint(0, 99)]]
        case "child":
            return [kind, random_program(dice, depth - 1)]
    parallel = [_random_step(dice, depth - 1) for _ in range(dice.randint(1, 4))]
    return [kind, [s for s in parallel if s[0] not in ("race", "caught")] or [["double", 1]]]


@pytest.fixture
def invoker() -> Any:
    logging.getLogger("local.host").setLevel(logging.CRITICAL)
    loop = FunctionLoop()
    yield Invoker(loop, lambda binding: pytest.fail(str(binding)))
    loop.close()
    logging.getLogger("local.host").setLevel(logging.NOTSET)


async def run_for(
    path: Path, invoker: Invoker, functions: tuple[IndexedFunction, ...], seconds: float
) -> bool:
    """Work on the hub until the instance has ended, or for so long; whether it has ended.

    What runs at the end is abandoned half-way, as by a kill.
    """
    hub = TaskHub(path, utc_now)
    worker = DurableWorker(hub, invoker, functions, OPTIONS, utc_now)
    running = asyncio.create_task(worker.run())
    ended = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not ended:
                await asyncio.sleep(0.002)
                ended = _status(hub).is_terminal
    running.cancel()
    await worker.abandon()
    hub.close()
    return ended


def _status(hub: TaskHub) -> Status:
    instance = hub.find("i")
    assert instance
    return instance.status


@pytest.mark.parametrize("step_us", [300, 500, 700, 900, 1100, 1300, 1600])
async def test_a_timer_that_comes_due_between_two_looks_is_not_slept_through(
    step_us: int, tmp_path: Path, invoker: Invoker
) -> None:
    """Whenever the worker looks, more time has passed: a timer is due that a moment ago was not."""
    began, looks = utc_now(), count()

    def now() -> datetime:
        return began + timedelta(microseconds=step_us * next(looks))

    hub = TaskHub(tmp_path / "hub.db", now)
    hub.create(NewInstance("i", "program", json.dumps(json.dumps([["nap"]] * 20))))
    worker = DurableWorker(hub, invoker, build_app(), OPTIONS, now)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while not _status(hub).is_terminal:
            await asyncio.sleep(0.002)
    running.cancel()
    await worker.abandon()
    hub.close()


@pytest.mark.parametrize("seed", range(12))
async def test_random_orchestrations_come_to_their_result(
    seed: int, tmp_path: Path, invoker: Invoker
) -> None:
    dice = random.Random(seed)
    steps = random_program(dice)
    functions = build_app()
    path = tmp_path / "hub.db"
    hub = TaskHub(path, utc_now)
    hub.create(NewInstance("i", "program", json.dumps(json.dumps(steps))))
    hub.close()
    for _ in range(3):
        if await run_for(path, invoker, functions, dice.random() / 20):
            break
    assert await run_for(path, invoker, functions, 60), steps
    hub = TaskHub(path, utc_now)
    instance = hub.find("i")
    hub.close()
    assert instance
    assert instance.status is Status.COMPLETED, (instance.output_json, steps)
    assert json.loads(instance.output_json or "") == [expected(step) for step in steps]
