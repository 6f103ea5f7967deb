"""The host: the listeners of one app, started together and drained together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from azure.functions.meta import Datum

from local.host.admin import AdminApi
from local.host.durable.api import DurableApi, Handler
from local.host.durable.hub import TaskHub
from local.host.durable.links import RPC_PATH, WEBHOOK_PATH, DurableLinks
from local.host.durable.worker import DurableWorker
from local.host.http_trigger import HttpTriggers, endpoint_of, given_key
from local.host.invocation import FunctionLoop, Invoker
from local.host.keys import load_keys
from local.host.loading import IndexedFunction
from local.host.log import log
from local.host.servicebus import queue_pump
from local.host.settings import AppSettings, HostJson, SettingsError
from local.host.timers import TimerListener, TimerStore
from local.host.validation import Binding

ADDRESS = "127.0.0.1"
_LARGEST_BODY_BYTES = 100 * 1024 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True)
class HostOptions:
    """Where the host keeps its state, where it listens, how long it waits for functions to end."""

    data_dir: Path
    port: int
    drain_seconds: float = 30.0


class FunctionsHost:
    """One app with all its listeners; to be made and run on the host's loop."""

    def __init__(
        self,
        functions: tuple[IndexedFunction, ...],
        settings: AppSettings,
        host_json: HostJson,
        options: HostOptions,
    ) -> None:
        self._options = options
        self._hub_name = host_json.durable.hub_name
        self._state = "Starting"
        self._origin = self._rpc_origin = ""
        self._errors: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._pump_tasks: list[asyncio.Task[None]] = []
        self._all_functions = functions
        self._functions = tuple(f for f in functions if not settings.is_disabled(f.name))
        self._failure: BaseException | None = None

        data_dir = options.data_dir
        self._loop = FunctionLoop()
        self._invoker = Invoker(self._loop, self._companion)
        self._keys = load_keys(data_dir / "keys.json", (f.name for f in functions))
        self._hub = TaskHub(data_dir / f"taskhub-{self._hub_name}.db", utc_now)
        self._timer_store = TimerStore(data_dir / "timers.db")
        self._worker = DurableWorker(
            self._hub, self._invoker, self._functions, host_json.durable, utc_now
        )
        self._timers = self._build(
            "timerTrigger",
            lambda f: TimerListener(f, settings, self._timer_store, self._invoker, utc_now),
        )
        self._pumps = self._build(
            "serviceBusTrigger",
            lambda f: queue_pump(f, settings, host_json.service_bus, self._invoker),
        )
        endpoints = self._build(
            "httpTrigger", lambda f: endpoint_of(f, host_json.route_prefix, settings)
        )
        self._http = HttpTriggers(tuple(endpoints.values()), self._keys, self._invoker)

    async def run(self, stop: asyncio.Event) -> bool:
        """Serve until ``stop`` is set, then drain; whether every function came to its end.

        Raises OSError when the port cannot be had, and what a listener died of.
        """
        try:
            async with (
                _served(self._rpc_app(), 0) as rpc_port,
                _served(self._public_app(), self._options.port) as port,
            ):
                self._origin = f"http://{ADDRESS}:{port}"
                self._rpc_origin = f"http://{ADDRESS}:{rpc_port}"
                log.info("listening on %s", self._origin)
                await self._start(stop)
                await stop.wait()
                clean = await self._drain()
                if self._failure:
                    raise self._failure
                return clean
        finally:
            self._loop.close()
            self._hub.close()
            self._timer_store.close()

    async def _start(self, stop: asyncio.Event) -> None:
        background = [self._worker.run(), self._announce()]
        background += [timer.run() for timer in self._timers.values()]
        for work in background:
            self._spawn(work, stop)
        self._pump_tasks = [self._spawn(pump.run(), stop) for pump in self._pumps.values()]

    async def _announce(self) -> None:
        """Running, once every queue has been reached for the first time."""
        await asyncio.gather(*(pump.connected.wait() for pump in self._pumps.values()))
        self._state = "Running"
        names = ", ".join(f"{f.name} ({f.trigger.kind})" for f in self._functions)
        log.info("running: %s", names or "no functions")

    async def _drain(self) -> bool:
        """Take nothing new; wait for what runs. What does not end in time is abandoned."""
        self._state = "Stopping"
        log.info("stopping: %d invocations to wait for", self._invoker.in_flight)
        for pump in self._pumps.values():
            pump.stop()
        for task in set(self._tasks) - set(self._pump_tasks):
            task.cancel()
        ending = asyncio.gather(
            *self._pump_tasks,
            *(timer.drain() for timer in self._timers.values()),
            self._worker.drain(),
            self._invoker.idle(),
        )
        _, unfinished = await asyncio.wait({ending}, timeout=self._options.drain_seconds)
        if unfinished:
            log.warning("abandoned: %d invocations did not end", self._invoker.in_flight)
            ending.cancel()
            await self._worker.abandon()
            return False
        ending.result()
        log.info("stopped")
        return True

    def _spawn(self, work: Coroutine[Any, Any, None], stop: asyncio.Event) -> asyncio.Task[None]:
        """Run in the background; a listener that dies stops the host, loudly."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                log.critical("a listener died", exc_info=error)
                self._failure = error
                stop.set()

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        self._tasks.append(task)
        return task

    def _build(self, kind: str, make: Callable[[IndexedFunction], _T]) -> dict[str, _T]:
        """A listener a function of ``kind``; a function that cannot have one is in error.

        As in Azure, the others run all the same; ``/admin/host/status`` lists the errors.
        """
        listeners: dict[str, _T] = {}
        for function in self._functions:
            if function.trigger.kind != kind:
                continue
            try:
                listeners[function.name] = make(function)
            except SettingsError as error:
                self._errors[function.name] = str(error)
                log.error("function '%s' cannot start: %s", function.name, error)
        return listeners

    def _companion(self, binding: Binding) -> Datum:
        if binding.kind != "durableClient":
            raise TypeError(f"'{binding.kind}' is not an input binding of the local host")
        return Datum(self._links().client_binding(), "string")

    def _links(self) -> DurableLinks:
        return DurableLinks(
            origin=self._origin,
            rpc_origin=self._rpc_origin,
            hub_name=self._hub_name,
            key=self._keys.durable,
        )

    def _durable_api(self) -> DurableApi:
        return DurableApi(self._hub, self._worker.known, self._links, self._worker.wake)

    def _rpc_app(self) -> web.Application:
        """What the SDK in the function process talks to; loopback, so without keys."""
        app = _application()
        self._durable_api().add_routes(app, RPC_PATH, lambda handler: handler)
        return app

    def _public_app(self) -> web.Application:
        app = _application()
        disabled = {f.name for f in self._all_functions} - {f.name for f in self._functions}
        AdminApi(
            self._all_functions,
            disabled,
            self._timers,
            self._errors,
            self._keys,
            lambda: self._state,
        ).add_routes(app)
        self._durable_api().add_routes(app, WEBHOOK_PATH, self._guard_durable)
        app.router.add_route("*", "/{path:.*}", self._http.handle)
        return app

    def _guard_durable(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._keys.opens_durable(given_key(request)):
                return web.Response(status=401)
            return await handler(request)

        return guarded


def utc_now() -> datetime:
    """The host's only clock."""
    return datetime.now(UTC)


def _application() -> web.Application:
    return web.Application(client_max_size=_LARGEST_BODY_BYTES)


@asynccontextmanager
async def _served(app: web.Application, port: int) -> AsyncIterator[int]:
    """Serve ``app`` on loopback; the port, chosen by the system when 0 is asked for."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, ADDRESS, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
