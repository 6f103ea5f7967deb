"""Workers that are processes of their own, so that they can be killed."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from bench.listening import WorkerLost
from bench.servers import Servers
from bench.worker import READY, to_line
from shared.model.errors import Transient
from shared.steps.dispatch import Delivery

ROOT = Path(__file__).parents[1]
Kind = Literal["worker", "instance"]
"""See `bench.worker`."""


@dataclass
class _Member:
    """One process, and the messages that it serves now."""

    process: Process
    serving: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False

    async def listen(self) -> None:
        """Takes its answers, until it has died: then what it served is lost."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if told.get("said") == READY:
                self.ready.set()
            elif (served := self.serving.pop(told["number"], None)) and not served.done():
                _settle(served, told)
        self.gone = True
        self.ready.set()
        for served in self.serving.values():
            if not served.done():
                served.set_exception(WorkerLost("it was killed"))

    async def serve(self, number: int, delivery: Delivery) -> Any:
        """What became of the message. Raises `WorkerLost`."""
        await self.ready.wait()
        if self.gone:
            raise WorkerLost("it was killed before it was ready")
        assert self.process.stdin is not None
        served = asyncio.get_running_loop().create_future()
        self.serving[number] = served
        self.process.stdin.write(to_line(number, delivery))
        return await served


def _settle(served: asyncio.Future[Any], told: Mapping[str, Any]) -> None:
    if told["error"]:
        served.set_exception(Transient(told["error"]))
    else:
        served.set_result(told["result"])


@dataclass
class Crew:
    """Worker processes, always as many; `kills` of them were killed and replaced. They end when
    we do, however that happens."""

    kind: Kind
    env: Mapping[str, str]
    kills: int = 0
    _members: list[_Member] = field(default_factory=list)
    _listening: set[asyncio.Task[None]] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=count)

    async def serve(self, delivery: Delivery) -> Any:
        """By a ready member that has least to do. Raises `WorkerLost` where it dies over it."""
        ready = [each for each in self._members if each.ready.is_set()] or self._members
        least = min(ready, key=lambda each: len(each.serving))
        return await least.serve(next(self._numbers), delivery)

    async def hire(self) -> _Member:
        command = (sys.executable, "-m", "bench.worker", self.kind)
        process = await create_subprocess_exec(
            *command, cwd=ROOT, env=dict(self.env), stdin=PIPE, stdout=PIPE
        )
        member = _Member(process)
        self._members.append(member)
        task = asyncio.create_task(member.listen())
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return member

    async def kill_one(self) -> None:
        """The one that has worked longest gives way to a new one; it has at least begun."""
        await self._members[0].ready.wait()
        victim = self._members.pop(0)
        with suppress(ProcessLookupError):
            victim.process.kill()
        self.kills += 1
        await self.hire()
        await victim.process.wait()

    async def dismiss(self) -> None:
        for member in self._members:
            with suppress(ProcessLookupError):
                member.process.kill()
            await member.process.wait()


@asynccontextmanager
async def crew_of(servers: Servers, kind: Kind, members: int) -> AsyncIterator[Crew]:
    """So many processes, ready; none of them is left when the block is."""
    crew = Crew(kind, {**os.environ, **servers.settings})
    try:
        for member in [await crew.hire() for _ in range(members)]:
            async with asyncio.timeout(60):
                await member.ready.wait()
        yield crew
    finally:
        await crew.dismiss()
