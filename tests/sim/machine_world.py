"""A world for long lives: several workers at once, and things that happen between two calls."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from shared.model.disk import Snapshot
from shared.model.errors import VaultlineError
from shared.model.ids import DiskUrl, JobId
from shared.model.ranges import Change, ChangedRange
from tests.sim.world import World

RETRY_SECONDS = 5
Action = Callable[[], Awaitable[None]]


@dataclass(eq=False)
class Interruption:
    """What happens ahead of a call."""

    call: str
    skip: int
    action: Action

    def is_due(self, call: str) -> bool:
        """Whether it is to happen now; counts the call."""
        if not fnmatchcase(call, self.call):
            return False
        self.skip -= 1
        return self.skip < 0


class BusyWorld(World):
    """A world whose steps can be interrupted: what is planned for a call of the ports happens
    ahead of it, while the step that makes the call waits. With `diff_forgets_clears`, the diff of
    a disk's snapshots leaves out what was cleared (fault 2)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.interruptions: list[Interruption] = []
        self._interrupting = False
        self._orchestrating: set[JobId] = set()
        self.ports.faults.before = self._before
        self.diff_forgets_clears = False
        self._forget_clears()

    def _forget_clears(self) -> None:
        disks = self.ports.disks
        diff = disks._diff

        def forgetting(image: Snapshot | DiskUrl, since: Snapshot) -> list[ChangedRange]:
            every = diff(image, since)
            if not self.diff_forgets_clears or not isinstance(image, Snapshot):
                return every
            return [change for change in every if change.change is Change.WRITTEN]

        disks._diff = forgetting  # type: ignore[method-assign]

    def interrupt(self, call: str, skip: int, action: Action) -> None:
        """Does `action` ahead of the call by that name (a glob) after so many more; one that has
        not come to be when the work has ended is forgotten."""
        self.interruptions.append(Interruption(call, skip, action))

    async def _before(self, call: str) -> None:
        if self._interrupting or not self.interruptions:
            return
        due = [each for each in self.interruptions if each.is_due(call)]
        self.interruptions = [each for each in self.interruptions if each not in due]
        self._interrupting = True
        try:
            for each in due:
                await each.action()
        finally:
            self._interrupting = False

    async def serve_beside(self, count: int) -> None:
        """A second worker serves so many messages and orchestrations, each to its end."""
        for _ in range(count):
            await self.serve_one()

    def lose_the_task_hub(self) -> None:
        """Orchestrations that wait are forgotten; the reconciler starts them again."""
        for job in self.running.keys() - self._orchestrating:
            del self.running[job]

    async def attempt(self, work: Awaitable[Any]) -> None:
        """What a person tries, who is told where it cannot be."""
        with suppress(VaultlineError):
            await self.look(work)

    def calm(self) -> None:
        """No fault strikes any more, and nothing interrupts."""
        self.ports.faults.planned.clear()
        self.ports.bus.stop_faults()
        self.interruptions.clear()

    async def look(self, work: Any) -> Any:
        busy, self._interrupting = self._interrupting, True
        try:
            return await super().look(work)
        finally:
            self._interrupting = busy

    async def _orchestrate(self, job: JobId) -> None:
        """Durable runs an orchestration once at a time, and waits before it tries again."""
        if job in self._orchestrating:
            return
        self._orchestrating.add(job)
        try:
            await super()._orchestrate(job)
        finally:
            self._orchestrating.discard(job)
        if job in self.running:
            self.ports.clock.advance(RETRY_SECONDS)
