"""The durable HTTP API: what the SDK's client, and people, talk to."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from local.host.durable.events import parse_time
from local.host.durable.hub import TaskHub
from local.host.durable.instances import (
    Instance,
    InstanceExistsError,
    InstanceQuery,
    NewInstance,
    Status,
)
from local.host.durable.links import DurableLinks
from local.host.durable.presentation import show_history, show_instance
from local.host.durable.replay import KnownFunctions, ReplayError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLL_SECONDS = 1.0


class DurableApi:
    """Handlers over one task hub; ``changed`` is called after each change."""

    def __init__(
        self,
        hub: TaskHub,
        known: KnownFunctions,
        links: Callable[[], DurableLinks],
        changed: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._known = known
        self._links = links
        self._changed = changed

    def add_routes(
        self, app: web.Application, prefix: str, guard: Callable[[Handler], Handler]
    ) -> None:
        """Serve the API under ``prefix``; ``guard`` wraps each handler (authorization)."""
        instance = f"{prefix}/instances/{{id}}"
        for method, path, handler in (
            ("POST", f"{prefix}/orchestrators/{{name}}", self._start),
            ("POST", f"{prefix}/orchestrators/{{name}}/{{id}}", self._start),
            ("GET", f"{prefix}/instances", self._list),
            ("GET", f"{prefix}/instances/", self._list),
            ("DELETE", f"{prefix}/instances", self._purge_many),
            ("DELETE", f"{prefix}/instances/", self._purge_many),
            ("GET", instance, self._status),
            ("DELETE", instance, self._purge),
            ("POST", f"{instance}/raiseEvent/{{event}}", self._raise_event),
            ("POST", f"{instance}/terminate", self._control(self._hub.terminate)),
            ("POST", f"{instance}/suspend", self._control(self._hub.suspend)),
            ("POST", f"{instance}/resume", self._control(self._hub.resume)),
            ("POST", f"{instance}/restart", self._restart),
            ("POST", f"{instance}/rewind", self._rewind),
            ("*", f"{prefix}/entities{{rest:.*}}", self._entities),
        ):
            app.router.add_route(method, path, guard(handler))

    async def _start(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        instance_id = request.match_info.get("id") or uuid.uuid4().hex
        text = await request.text()
        try:
            payload = json.dumps(json.loads(text)) if text.strip() else None
            self._known.check_orchestrator(name)
        except ValueError as error:
            return _problem(400, "Invalid JSON content", str(error))
        except ReplayError as error:
            return _problem(400, str(error), str(error))
        new = NewInstance(
            id=instance_id,
            name=name,
            payload=payload,
            version=request.query.get("version", ""),
            traceparent=request.headers.get("traceparent"),
            tracestate=request.headers.get("tracestate"),
        )
        return await self._create(request, new)

    async def _create(self, request: web.Request, new: NewInstance) -> web.Response:
        try:
            self._hub.create(new)
        except InstanceExistsError as error:
            return _problem(409, str(error), str(error))
        self._changed()
        if timeout := _seconds(request, "timeout"):
            ended = await self._wait(new.id, timeout, _seconds(request, "pollingInterval"))
            if ended and ended.status is Status.COMPLETED:
                return web.json_response(show_instance(ended)["output"])
            if ended:
                return web.json_response(show_instance(ended))
        links = self._links().management(new.id)
        headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
        return web.json_response(links, status=202, headers=headers)

    async def _wait(
        self, instance_id: str, timeout_seconds: float, poll_seconds: float | None
    ) -> Instance | None:
        """The instance once it has ended, or None if it has not within the timeout."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while True:
            instance = self._hub.find(instance_id)
            if instance and instance.status.is_terminal:
                return instance
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return None
            await asyncio.sleep(min(remaining, poll_seconds or _POLL_SECONDS))

    async def _status(self, request: web.Request) -> web.Response:
        instance = self._hub.find(request.match_info["id"])
        if instance is None:
            return web.Response(status=404)
        history = None
        if _flag(request, "showHistory"):
            with_output = _flag(request, "showHistoryOutput")
            history = show_history(self._hub.history(instance.id), with_output=with_output)
        body = show_instance(
            instance, history=history, show_input=_flag(request, "showInput", default=True)
        )
        if not instance.status.is_terminal:
            headers = {"Location": str(request.url), "Retry-After": "5"}
            return web.json_response(body, status=202, headers=headers)
        failed = instance.status is Status.FAILED
        as_error = failed and _flag(request, "returnInternalServerErrorOnFailure")
        return web.json_response(body, status=500 if as_error else 200)

    async def _list(self, request: web.Request) -> web.Response:
        show_input = _flag(request, "showInput", default=True)
        found = self._hub.query(_query(request))
        return web.json_response([show_instance(i, show_input=show_input) for i in found])

    async def _purge(self, request: web.Request) -> web.Response:
        instance = self._hub.find(request.match_info["id"])
        if instance is None:
            return web.Response(status=404)
        if not instance.status.is_terminal:
            return web.json_response(
                "Only orchestrations in a terminal state can be purged, but "
                f"{instance.id} has status {instance.status}",
                status=412,
            )
        return web.json_response({"instancesDeleted": self._hub.purge([instance.id])})

    async def _purge_many(self, request: web.Request) -> web.Response:
        wanted = _query(request)
        if wanted.created_from is None:
            return web.json_response(
                "Please provide value for 'createdTimeFrom' parameter.", status=400
            )
        deleted = self._hub.purge([instance.id for instance in self._hub.query(wanted)])
        if deleted == 0:
            return web.Response(status=404)
        return web.json_response({"instancesDeleted": deleted})

    async def _raise_event(self, request: web.Request) -> web.Response:
        text = await request.text()
        if refused := self._refuse(request.match_info["id"]):
            return refused
        if request.content_type.casefold() != "application/json":
            message = "Only application/json request content is supported"
            return _problem(400, message, message)
        try:
            payload = json.dumps(json.loads(text)) if text.strip() else "null"
        except ValueError as error:
            return _problem(400, "Invalid JSON content", str(error))
        self._hub.raise_event(request.match_info["id"], request.match_info["event"], payload)
        self._changed()
        return web.Response(status=202)

    def _control(self, operation: Callable[[str, str | None], None]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            if refused := self._refuse(request.match_info["id"]):
                return refused
            operation(request.match_info["id"], request.query.get("reason"))
            self._changed()
            return web.Response(status=202)

        return handle

    async def _restart(self, request: web.Request) -> web.Response:
        instance = self._hub.find(request.match_info["id"])
        if instance is None:
            message = "InstanceId does not match a valid orchestration instance."
            return _problem(400, message, message)
        afresh = _flag(request, "restartWithNewInstanceId", default=True)
        new = NewInstance(
            id=uuid.uuid4().hex if afresh else instance.id,
            name=instance.name,
            payload=instance.input_json,
            version=instance.version,
        )
        return await self._create(request, new)

    async def _rewind(self, _: web.Request) -> web.Response:
        message = "Rewind is not supported by the local host."
        return _problem(501, message, message)

    async def _entities(self, _: web.Request) -> web.Response:
        message = "Durable entities are not supported by the local host."
        return _problem(501, message, message)

    def _refuse(self, instance_id: str) -> web.Response | None:
        """404 for an unknown instance, 410 for one that has ended."""
        instance = self._hub.find(instance_id)
        if instance is None:
            return web.Response(status=404)
        return web.Response(status=410) if instance.status.is_terminal else None


def _problem(status: int, message: str, exception_message: str) -> web.Response:
    return web.json_response(
        {"Message": message, "ExceptionMessage": exception_message}, status=status
    )


def _query(request: web.Request) -> InstanceQuery:
    known = {status.casefold(): status for status in Status}
    asked = ",".join(request.query.getall("runtimeStatus", [])).split(",")
    return InstanceQuery(
        created_from=_time(request, "createdTimeFrom"),
        created_to=_time(request, "createdTimeTo"),
        statuses=tuple(known[text.casefold()] for text in asked if text.casefold() in known),
        id_prefix=request.query.get("instanceIdPrefix", ""),
    )


def _time(request: web.Request, name: str) -> datetime | None:
    """An unreadable time counts as absent, as in the extension.

    Python's strftime does not pad years below 1000, so those are read as the beginning of time.
    """
    text = request.query.get(name)
    if not text:
        return None
    if text.partition("-")[0].isdigit() and int(text.partition("-")[0]) < 1000:
        return datetime.min.replace(tzinfo=UTC)
    try:
        return parse_time(text.replace(" ", "+"))
    except ValueError:
        return None


def _flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    text = request.query.get(name, "").casefold()
    return text == "true" if text in ("true", "false") else default


def _seconds(request: web.Request, name: str) -> float | None:
    try:
        return float(request.query[name])
    except (KeyError, ValueError):
        return None
