"""The worker process's one set of ports, made when the first function needs it."""

import asyncio

from shared.config import read_settings
from shared.ports import Ports
from shared.wiring import wire

_ports: asyncio.Task[Ports] | None = None


async def ports() -> Ports:
    """The same ports for every function of this process: their connections are kept open.
    Raises `Invalid` naming the setting that is missing; the next call tries again."""
    global _ports
    if _ports is None:
        _ports = asyncio.create_task(wire(read_settings()))
    try:
        return await asyncio.shield(_ports)
    except Exception:
        _ports = None
        raise
