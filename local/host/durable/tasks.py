"""Tasks that finish synchronously: the few lines of a scheduler that replay needs.

Replay must assign ids in exactly the order in which the Durable Task Framework would, whose
continuations run inside the completion of the task they wait for. An event loop would run them
later; these tasks run them at once.
"""

from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any


class Task:
    """Something that finishes once, well or badly; awaiting it tells which."""

    def __init__(self) -> None:
        self.done = False
        self._succeeded = False
        self._continuations: list[Callable[[], None]] = []

    def finish(self, *, succeeded: bool = True) -> None:
        """Finish, and run at once whatever waited. Finishing again changes nothing."""
        if self.done:
            return
        self.done, self._succeeded = True, succeeded
        for continuation in self._continuations:
            continuation()

    def then(self, continuation: Callable[[], None]) -> None:
        """Run ``continuation`` when finished, or now if that is so already."""
        if self.done:
            continuation()
        else:
            self._continuations.append(continuation)

    def __await__(self) -> Generator["Task", None, bool]:
        if not self.done:
            yield self
        return self._succeeded


def finished() -> Task:
    """A task that has nothing to wait for."""
    task = Task()
    task.finish()
    return task


def start(work: Coroutine[Any, Any, bool]) -> Task:
    """Run ``work`` as far as it goes; the task finishes as it returns."""
    outer = Task()

    def advance() -> None:
        try:
            awaited: Task = work.send(None)
        except StopIteration as stop:
            outer.finish(succeeded=stop.value)
        else:
            awaited.then(advance)

    advance()
    return outer


def when_all(tasks: Sequence[Task]) -> Task:
    """Finishes when every task has, failed ones included."""

    async def wait() -> bool:
        return all([await task for task in tasks])

    return start(wait())


def when_any(tasks: Sequence[Task]) -> Task:
    """Finishes with the first task; at once when there is none."""
    if not tasks:
        return finished()
    outer = Task()
    for task in tasks:
        task.then(outer.finish)
    return outer
