"""HTTP triggers: match the route, check the key, call the function, write its response."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from local.host.invocation import Call, InvocationError, Invoker
from local.host.keys import Keys
from local.host.loading import IndexedFunction
from local.host.routes import Route, parse_route
from local.host.settings import AppSettings, SettingsError
from local.host.tracing import span_under


@dataclass(frozen=True)
class Endpoint:
    """One HTTP function; no ``methods`` means all of them."""

    function: IndexedFunction
    route: Route
    methods: frozenset[str]
    auth_level: str


def endpoint_of(function: IndexedFunction, prefix: str, settings: AppSettings) -> Endpoint:
    """Where an HTTP function is served. Raises SettingsError."""
    options = function.trigger.options
    route = settings.expand(str(options.get("route") or function.name))
    level = str(options.get("authLevel", "function")).casefold()
    if level not in ("anonymous", "function", "admin"):
        raise SettingsError(f"the local host does not support auth level '{level}'")
    return Endpoint(
        function=function,
        route=parse_route(f"{prefix}/{route.strip('/')}"),
        methods=frozenset(str(method).upper() for method in options.get("methods") or ()),
        auth_level=level,
    )


class HttpTriggers:
    """All HTTP functions of the app behind one handler."""

    def __init__(self, endpoints: tuple[Endpoint, ...], keys: Keys, invoker: Invoker) -> None:
        # The most literal template wins, as in the host's route precedence.
        self._endpoints = sorted(endpoints, key=lambda e: -e.route.literal_segments)
        self._keys = keys
        self._invoker = invoker

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The function's response.

        As in Azure, a path that exists for other methods only is 404, not 405.
        """
        endpoint, parameters = self._find(request)
        if endpoint is None:
            return web.Response(status=404)
        if not self._is_allowed(endpoint, request):
            return web.Response(status=401)
        call = Call(
            trigger=await _request_datum(request, parameters),
            span=span_under(request.headers.get("traceparent"), request.headers.get("tracestate")),
        )
        try:
            answer = await self._invoker.invoke(endpoint.function, call)
        except InvocationError:
            return web.Response(status=500)
        return _response(answer)

    def _find(self, request: web.Request) -> tuple[Endpoint | None, dict[str, str]]:
        path = request.path.strip("/")
        for endpoint in self._endpoints:
            if endpoint.methods and request.method not in endpoint.methods:
                continue
            parameters = endpoint.route.match(path)
            if parameters is not None:
                return endpoint, parameters
        return None, {}

    def _is_allowed(self, endpoint: Endpoint, request: web.Request) -> bool:
        key = given_key(request)
        match endpoint.auth_level:
            case "anonymous":
                return True
            case "function":
                return self._keys.opens_function(endpoint.function.name, key)
            case _:
                return self._keys.opens_admin(key)


def given_key(request: web.Request) -> str | None:
    """The key a request carries: header ``x-functions-key``, or ``code`` in the query."""
    return request.headers.get("x-functions-key") or request.query.get("code")


async def _request_datum(request: web.Request, parameters: Mapping[str, str]) -> Datum:
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": _strings(
                {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
            ),
            "query": _strings(
                {name: ",".join(request.query.getall(name)) for name in request.query}
            ),
            "params": _strings(parameters),
            "body": Datum(await request.read(), "bytes"),
        },
        "http",
    )


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _response(answer: Datum | None) -> web.Response:
    if answer is None:
        return web.Response(status=204)
    if answer.type != "http":
        return web.Response(text=str(answer.value))
    value: dict[str, Any] = answer.value
    response = web.Response(
        status=int(value["status_code"].value),
        headers={name: datum.value for name, datum in value["headers"].items()},
        body=value["body"].value,
    )
    for cookies in value["cookies"] or ():
        _set_cookies(response, cookies)
    return response


def _set_cookies(response: web.Response, cookies: SimpleCookie) -> None:
    for morsel in cookies.values():
        response.headers.add("Set-Cookie", morsel.OutputString())
