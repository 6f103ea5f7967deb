"""A second loopback port for tests and tools: one JSON object a line, one answer a line.

Requests carry ``op`` and its arguments:

``counts``
    message counts by queue.
``arm``
    ``queue``, ``fault`` and the fields of :class:`~local.servicebus.faults.Armed`.
``disarm``, ``expire-locks``, ``detach``
    ``queue``.
``fired``
    how often each fault happened, by queue.

Answers are ``{"ok": true, "result": …}`` or ``{"ok": false, "error": "…"}``.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from local.servicebus.errors import ServiceBusError
from local.servicebus.faults import Armed, Fault
from local.servicebus.listener import ServiceBusServer

_HOST = "127.0.0.1"


async def open_control(server: ServiceBusServer, port: int) -> asyncio.Server:
    """Serve the control protocol; ``port`` 0 takes a free one. The caller closes it."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(_answer(server, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line beyond all limits
        finally:
            writer.close()

    return await asyncio.start_server(converse, _HOST, port)


def _answer(server: ServiceBusServer, line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        operation = _OPERATIONS[request.pop("op")]
        return {"ok": True, "result": operation(server, **request)}
    except (ServiceBusError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _counts(server: ServiceBusServer) -> dict[str, dict[str, int]]:
    return {name: asdict(counts) for name, counts in server.counts().items()}


def _arm(server: ServiceBusServer, queue: str, fault: str, **settings: Any) -> None:
    server.faults(queue).arm(Armed(Fault(fault), **settings))


def _disarm(server: ServiceBusServer, queue: str) -> None:
    server.faults(queue).disarm()


def _fired(server: ServiceBusServer) -> dict[str, dict[str, int]]:
    return {
        name: {fault.value: count for fault, count in server.faults(name).fired.items()}
        for name in server.counts()
    }


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "counts": _counts,
    "arm": _arm,
    "disarm": _disarm,
    "fired": _fired,
    "expire-locks": ServiceBusServer.expire_locks,
    "detach": ServiceBusServer.detach_links,
}


class ControlError(RuntimeError):
    """The server refused a control request."""


class Control:
    """The control protocol from another process. Every call connects anew."""

    def __init__(self, port: int, timeout_seconds: float = 5.0) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds

    def call(self, op: str, **arguments: Any) -> Any:
        """The result of one request; ControlError when refused, OSError when unreachable."""
        request = json.dumps({"op": op, **arguments}).encode() + b"\n"
        address = (_HOST, self._port)
        with socket.create_connection(address, self._timeout_seconds) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer["result"]

    def counts(self) -> dict[str, dict[str, int]]:
        """``{queue: {active, scheduled, deferred, dead_letter, locked}}``."""
        result: dict[str, dict[str, int]] = self.call("counts")
        return result

    def arm(self, queue: str, fault: Fault, **settings: Any) -> None:
        self.call("arm", queue=queue, fault=fault.value, **settings)

    def fired(self, queue: str, fault: Fault) -> int:
        """How often a fault has happened to a queue."""
        count: int = self.call("fired")[queue].get(fault.value, 0)
        return count
