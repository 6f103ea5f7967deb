"""A worker as a process of its own, which a bench may kill: `python -m bench.worker KIND`.

A `worker` is what a functions host starts for a language: it serves what comes in by its input, a
line a message, and says by its output how that ended. An `instance` is host and worker in one: it
takes messages off the queues itself, and holds their locks. Settings come from the environment;
either goes on until its input ends.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from bench.listening import listening
from shared.config import read_settings
from shared.model.errors import VaultlineError
from shared.ports import Ports
from shared.steps.dispatch import Delivery, dispatch
from shared.wiring import Wiring

READY = "ready to serve"


def to_line(number: int, delivery: Delivery) -> bytes:
    """A message as a worker takes it."""
    told = asdict(delivery) | {"body": delivery.body.decode()}
    return json.dumps({"number": number, "delivery": told}).encode() + b"\n"


def _from_line(line: bytes) -> tuple[int, Delivery]:
    told = json.loads(line)
    delivery = told["delivery"]
    return told["number"], Delivery(**{**delivery, "body": delivery["body"].encode()})


async def _serve(kind: str) -> None:
    settings = read_settings()
    async with Wiring(settings) as wiring:
        ports = wiring.ports()
        if kind == "worker":
            await _serve_input(ports)
        else:
            async with listening(partial(dispatch, ports), settings.service_bus):
                _say({"said": READY})
                await _input_ended()


async def _serve_input(ports: Ports) -> None:
    lines = await _input()
    _say({"said": READY})
    async with asyncio.TaskGroup() as group:
        async for line in lines:
            group.create_task(_answered(ports, *_from_line(line)))


async def _answered(ports: Ports, number: int, delivery: Delivery) -> None:
    try:
        result = await dispatch(ports, delivery)
    except VaultlineError as error:
        _say({"number": number, "error": f"{error.code}: {error}"})
    else:
        _say({"number": number, "error": "", "result": str(result)})


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _input_ended() -> None:
    await (await _input()).read()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
