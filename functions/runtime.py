"""The worker process's one set of ports, made when the first function needs it."""

from functools import cache

from shared.config import read_settings
from shared.exporting import export_telemetry
from shared.ports import Ports
from shared.wiring import process_wiring


@cache
def _begin_telemetry() -> None:
    export_telemetry(read_settings().telemetry)


async def ports() -> Ports:
    """The same ports for every function of this process: their connections are kept open.
    Raises `Invalid` naming the setting that is missing."""
    _begin_telemetry()
    return process_wiring().ports()
