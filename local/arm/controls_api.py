"""The fake's own endpoints: what it supports, what it counted, the faults it is to play."""

from collections.abc import Sequence

from local.arm.answers import Answer
from local.arm.core import Core
from local.arm.routing import Call, Route, Router


def control_routes(core: Core, supported: Router) -> Sequence[Route]:
    """`/__operations`, `/__counters`, `/__faults` and `/__clock`."""
    rows = [
        {"operation": route.operation, "method": route.method, "path": route.template}
        for route in supported.routes
    ]

    async def operations(_: Call) -> Answer:
        return Answer(200, sorted(rows, key=lambda row: (row["operation"], row["path"])))

    async def clock(_: Call) -> Answer:
        return Answer(200, {"now": core.clock.now().isoformat(), "factor": core.clock.factor})

    return [
        Route("GET", "/__operations", "operations", operations),
        Route("GET", "/__clock", "clock", clock),
        *_counter_routes(core),
        *_fault_routes(core),
    ]


def _counter_routes(core: Core) -> Sequence[Route]:
    async def read(_: Call) -> Answer:
        return Answer(200, core.counters.as_json())

    async def clear(_: Call) -> Answer:
        counted = core.counters.as_json()
        core.counters.clear()
        return Answer(200, counted)

    return [
        Route("GET", "/__counters", "counters", read),
        Route("DELETE", "/__counters", "counters", clear),
    ]


def _fault_routes(core: Core) -> Sequence[Route]:
    async def read(_: Call) -> Answer:
        return Answer(200, core.faults.counts())

    async def add(call: Call) -> Answer:
        core.faults.add(call.body["value"])
        return Answer(200, core.faults.counts())

    async def clear(_: Call) -> Answer:
        counts = core.faults.counts()
        core.faults.clear()
        return Answer(200, counts)

    return [
        Route("GET", "/__faults", "faults", read),
        Route("POST", "/__faults", "faults", add),
        Route("DELETE", "/__faults", "faults", clear),
    ]
