"""A restore's own orchestration, conducted in this process, without Durable Functions.

The orchestrator's code is the app's; only what it yields is answered here: activities by the steps
behind them, fan-outs with as many activities at once as the host allows.
"""

import asyncio
from collections.abc import Generator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

from bench.listening import Served
from functions.restores import parts_flow, plain, restore_flow, restore_step
from shared.model.messages import COPY
from shared.model.pace import PARTS_AT_ONCE
from shared.ports import Ports
from shared.steps import restore as steps
from shared.steps.accepted import Accepted

ACTIVITIES = {
    "restore_prepare": steps.prepare_target,
    "restore_plan": steps.plan_restore,
    "restore_copy": steps.copy_restore_part,
    "restore_finish": steps.finish_restore,
}
Flow = Generator[Any, Any, Any]


async def conduct(ports: Ports, accepted: Accepted) -> list[Served]:
    """Runs the restore to its end; what its activities took. Raises where one fails."""
    orchestra = _Orchestra(ports)
    request = {"item_id": accepted.item_id, "job_id": accepted.job_id}
    await orchestra.play(restore_flow(cast("Any", _Context(request))))
    return orchestra.served


@dataclass(frozen=True)
class _Context:
    """What an orchestrator asks of Durable, as plain tuples."""

    request: dict[str, Any]

    def get_input(self) -> dict[str, Any]:
        return self.request

    def call_activity(self, name: str, given: Any) -> tuple[str, str, Any]:
        return "activity", name, given

    def call_sub_orchestrator(self, name: str, given: Any) -> tuple[str, str, Any]:
        return "flow", name, given

    def task_all(self, tasks: list[Any]) -> tuple[str, str, Any]:
        return "all", "", tasks


@dataclass
class _Orchestra:
    ports: Ports
    served: list[Served] = field(default_factory=list)
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARTS_AT_ONCE))

    async def play(self, flow: Flow) -> Any:
        value = None
        while True:
            try:
                asked = flow.send(value)
            except StopIteration as end:
                return end.value
            value = await self._answer(asked)

    async def _answer(self, asked: tuple[str, str, Any]) -> Any:
        kind, name, given = asked
        if kind == "all":
            return await asyncio.gather(*map(self._answer, given))
        if kind == "flow":
            return await self.play(parts_flow(cast("Any", _Context(given))))
        return await self._activity(name, given)

    async def _activity(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        async with self.places:
            began = perf_counter()
            value = plain(await ACTIVITIES[name](self.ports, restore_step(given)))
            queue = COPY if name == "restore_copy" else name
            self.served.append(Served(queue, began, perf_counter(), None))
        return {"value": value, "error": None}
