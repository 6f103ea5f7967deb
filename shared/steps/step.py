"""What makes a function a step: a span, a duration, the item and job it is about."""

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, TypeVar

from shared import telemetry
from shared.ports import Ports

P = ParamSpec("P")
T = TypeVar("T")

Step = Callable[Concatenate[Ports, P], Coroutine[Any, Any, T]]


def step(name: str) -> Callable[[Step[P, T]], Step[P, T]]:
    """Traces and times a step. Its first argument after the ports names item and job."""

    def decorate(run: Step[P, T]) -> Step[P, T]:
        async def traced(ports: Ports, /, *args: P.args, **kwargs: P.kwargs) -> T:
            began = perf_counter()
            with telemetry.span(name, **_subject(args)) as span:
                try:
                    result = await run(ports, *args, **kwargs)
                    span.set_attribute("vaultline.result", str(result)[:200])
                    return result
                finally:
                    telemetry.step_seconds.record(perf_counter() - began, {"step": name})

        update_wrapper(traced, run)
        return traced

    return decorate


def _subject(args: tuple[Any, ...]) -> dict[str, Any]:
    first = args[0] if args else None
    return {
        "item": getattr(first, "item_id", None),
        "job": getattr(first, "job_id", None),
        "part": getattr(first, "part", None),
    }
