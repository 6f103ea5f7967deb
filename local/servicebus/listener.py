"""The server: a socket on loopback in front of a namespace."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from local.servicebus.broker import Broker
from local.servicebus.clock import Clock, system_clock
from local.servicebus.connection import Connection
from local.servicebus.deliveries import Counts
from local.servicebus.entities import QueueSpec
from local.servicebus.faults import QueueFaults
from local.servicebus.journal import Journal
from local.servicebus.namespace import Namespace
from local.servicebus.performatives import AmqpError

_HOST = "127.0.0.1"
_GOODBYE = AmqpError("amqp:connection:forced", "The local Service Bus is stopping.")


class ServiceBusServer:
    """A Service Bus namespace on loopback, for the time of an ``async with``.

    ``port`` 0 takes a free one. With ``data_dir`` accepted messages survive the process;
    without, nothing does. ``failed`` completes with the error if the server has to give up.
    """

    def __init__(
        self,
        entities: Iterable[QueueSpec],
        *,
        port: int = 0,
        data_dir: Path | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._entities = tuple(entities)
        self._data_dir = data_dir
        self._clock = clock
        self._connections: set[Connection] = set()
        self.port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Restore the journal and listen; OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self._journal = Journal(self._data_dir)
        try:
            broker = Broker(self._entities, self._clock, self._journal)
            self._namespace = Namespace(broker, self._journal, self._clock, self._fail)
            self._listener = await loop.create_server(
                lambda: Connection(self._namespace, self._connections), _HOST, self.port
            )
        except BaseException:
            self._journal.close()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]
        self._namespace.schedule_turn()

    async def stop(self) -> None:
        """Hang up on everyone and close the journal."""
        self._listener.close()
        for connection in list(self._connections):
            connection.close(_GOODBYE)
        await asyncio.sleep(0)
        self._namespace.close()
        self._journal.close()
        for connection in list(self._connections):
            connection.write_out()
        await self._listener.wait_closed()

    def _fail(self, error: Exception) -> None:
        for connection in list(self._connections):
            connection.abort()
        if not self.failed.done():
            self.failed.set_exception(error)

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://{_HOST}:{self.port};SharedAccessKeyName=local;"
            "SharedAccessKey=local;UseDevelopmentEmulator=true"
        )

    def counts(self) -> dict[str, Counts]:
        """Message counts by queue name."""
        counts = self._namespace.broker.counts()
        self._namespace.schedule_turn()
        return counts

    # --- for tests ----------------------------------------------------------------------------

    def faults(self, queue: str) -> QueueFaults:
        """The faults of a queue; EntityNotFoundError when it is not declared."""
        return self._namespace.broker.queue(queue).faults

    def expire_locks(self, queue: str) -> int:
        """End the locks of a queue and its dead letters now; how many there were."""
        count = self._namespace.broker.queue(queue).expire_locks()
        self._namespace.schedule_turn()
        return count

    def detach_links(self, queue: str) -> int:
        """Detach the links of a queue now; how many there were."""
        return self._namespace.detach_links(self._namespace.broker.queue(queue))

    def tick(self) -> None:
        """Look at the clock; needed only when a test has turned it."""
        self._namespace.schedule_turn()
