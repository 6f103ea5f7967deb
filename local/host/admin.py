"""The host's own endpoints: status, function listing, and triggering a function by hand."""

import asyncio
import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiohttp import web

from local.host.http_trigger import given_key
from local.host.keys import Keys
from local.host.loading import IndexedFunction
from local.host.timers import TimerListener

HOST_VERSION = "4.0.0-local"


class AdminApi:
    """``/admin``. Reading is open, as with Core Tools; acting needs the master key."""

    def __init__(
        self,
        functions: tuple[IndexedFunction, ...],
        disabled: Collection[str],
        timers: Mapping[str, TimerListener],
        errors: Mapping[str, str],
        keys: Keys,
        state: Callable[[], str],
    ) -> None:
        self._functions = functions
        self._disabled = disabled
        self._timers = timers
        self._errors = errors
        self._keys = keys
        self._state = state
        self._started = time.monotonic()
        self._by_hand: set[asyncio.Task[None]] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/admin/host/status", self._status)
        app.router.add_route("*", "/admin/host/ping", self._ping)
        app.router.add_get("/admin/functions", self._list)
        app.router.add_get("/admin/functions/{name}", self._show)
        app.router.add_post("/admin/functions/{name}", self._trigger)

    async def _status(self, _: web.Request) -> web.Response:
        state = self._state()
        body = {
            "id": f"local-{os.getpid()}",
            "state": state,
            "version": HOST_VERSION,
            "processId": os.getpid(),
            "processUptime": round((time.monotonic() - self._started) * 1000),
            "errors": [f"{name}: {reason}" for name, reason in self._errors.items()],
        }
        return web.json_response(body, status=200 if state == "Running" else 503)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response([self._describe(function) for function in self._functions])

    async def _show(self, request: web.Request) -> web.Response:
        function = self._find(request)
        return web.json_response(self._describe(function)) if function else _not_found()

    async def _trigger(self, request: web.Request) -> web.Response:
        if not self._keys.opens_admin(given_key(request)):
            return web.Response(status=401)
        function = self._find(request)
        if function is None:
            return _not_found()
        timer = self._timers.get(function.name)
        if timer is None:
            message = "The local host triggers only timer functions by hand."
            return web.json_response({"Message": message}, status=400)
        task = asyncio.create_task(timer.fire(past_due=False))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)
        return web.Response(status=202)

    def _find(self, request: web.Request) -> IndexedFunction | None:
        name = request.match_info["name"].casefold()
        return next((f for f in self._functions if f.name.casefold() == name), None)

    def _describe(self, function: IndexedFunction) -> dict[str, Any]:
        return {
            "name": function.name,
            "language": "python",
            "isDisabled": function.name in self._disabled,
            "error": self._errors.get(function.name),
            "config": {
                "name": function.name,
                "scriptFile": "function_app.py",
                "bindings": [dict(binding.options) for binding in function.bindings],
            },
        }


def _not_found() -> web.Response:
    return web.Response(status=404)
