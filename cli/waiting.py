"""Work of Azure's that takes its time, waited for by whoever asked at the command line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.status import Status

from cli.output import terminal
from cli.session import Session
from shared.model.deferral import Deferred

T = TypeVar("T")

LONGEST_SECONDS = 1800.0
"""A vault is made in seconds and deleted in minutes."""


async def patiently(session: Session, work: Callable[[], Awaitable[T]]) -> T:
    """The result of work that is asked for again until it is done; meanwhile the terminal tells
    what it waits for. Raises `Deferred` where that takes too long."""
    start = session.ports.clock.now()
    with Status("", console=terminal(errors=True)) as shown:
        while True:
            try:
                return await work()
            except Deferred as error:
                waited = (session.ports.clock.now() - start).total_seconds()
                if waited > LONGEST_SECONDS:
                    raise
                shown.update(str(error))
                await asyncio.sleep(min(error.retry_after or 0.0, session.poll_seconds * 10))
