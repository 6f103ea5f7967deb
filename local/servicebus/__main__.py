"""``python -m local.servicebus``: the local Service Bus in the foreground.

Prints one JSON line (``port``, ``control_port``, ``connection_string``) once it accepts
connections. SIGTERM and SIGINT end it with status 0; a taken port, a bad declaration or a locked
data directory with status 1 and a sentence on stderr.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from local.servicebus.control import open_control
from local.servicebus.entities import EntityError, load_entities
from local.servicebus.listener import ServiceBusServer


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(options))
    except (OSError, EntityError, json.JSONDecodeError, sqlite3.Error) as error:
        print(f"The local Service Bus stopped: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.servicebus", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="AMQP port; 0 takes a free one")
    parser.add_argument("--entities", type=Path, required=True, help="the declared queues (JSON)")
    parser.add_argument("--data-dir", type=Path, help="keep messages here; memory only without")
    parser.add_argument("--control-port", type=int, help="counts and faults; 0 takes a free one")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    entities = load_entities(options.entities)
    async with (
        ServiceBusServer(entities, port=options.port, data_dir=options.data_dir) as server,
        _control(server, options.control_port) as control_port,
    ):
        _announce(server, control_port)
        await _until(stop, server.failed)


@contextlib.asynccontextmanager
async def _control(server: ServiceBusServer, port: int | None) -> AsyncIterator[int | None]:
    """The control port for the time of the block; nothing when none is asked for."""
    if port is None:
        yield None
        return
    async with await open_control(server, port) as control:
        yield control.sockets[0].getsockname()[1]


def _announce(server: ServiceBusServer, control_port: int | None) -> None:
    ready = {
        "port": server.port,
        "control_port": control_port,
        "connection_string": server.connection_string,
    }
    print(json.dumps(ready), flush=True)


async def _until(stop: asyncio.Event, failed: asyncio.Future[None]) -> None:
    """Returns when asked to stop; raises what the server failed of."""
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait((stopping, failed), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if failed in done:
        failed.result()


if __name__ == "__main__":
    sys.exit(main())
