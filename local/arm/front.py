"""What every request goes through before and after its handler."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.arm.answers import (
    Answer,
    ArmError,
    JsonObject,
    not_supported,
    resource_not_found,
    throttled,
)
from local.arm.controls_api import control_routes
from local.arm.core import Core, Provider
from local.arm.faults import Fault
from local.arm.principals import principal_of
from local.arm.routing import Call, Match, Router, joined
from local.arm.throttling import READ_METHODS, Taken

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_INTERNAL = ArmError(500, "InternalServerError", "The fake itself failed; its log says how.")
_log = logging.getLogger(__name__)


class ConnectionCut(Exception):
    """A fault wants the caller to hear nothing."""


@dataclass(frozen=True)
class Incoming:
    """A request before it is known what it asks for; `origin` is the server's own URL."""

    origin: str
    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw_body: bytes

    @property
    def path(self) -> str:
        return joined(self.segments)

    @property
    def path_and_query(self) -> str:
        """What a fault's `path` is matched against."""
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        return f"{self.path}?{query}"


class Front:
    """The way to the providers: checks, limits and faults in front, counters behind."""

    def __init__(self, core: Core, providers: Sequence[Provider]) -> None:
        self._core = core
        self._providers = providers
        self._router = Router([route for each in providers for route in each.routes()])
        own = control_routes(core, self._router)
        extra = [route for each in providers for route in each.controls()]
        self._controls = Router([*own, *extra])
        self._turn = asyncio.Lock()

    async def answer(self, incoming: Incoming) -> Answer:
        """The answer to any request; raises ConnectionCut and nothing else."""
        if incoming.segments[0].startswith("__"):
            return await self._control(incoming)
        return await self._counted(incoming)

    async def close(self) -> None:
        """Closes the providers and the state."""
        for provider in self._providers:
            await provider.close()
        self._core.store.close()

    async def _control(self, incoming: Incoming) -> Answer:
        match = self._controls.match(incoming.method, incoming.segments)
        try:
            if match is None:
                raise not_supported(f"{incoming.method} {incoming.path}")
            async with self._turn:
                return await match.route.handler(self._call(incoming, match, "", ""))
        except ArmError as error:
            return Answer(error.status, error.body)
        except ValueError as error:
            return Answer(400, ArmError(400, "InvalidControlRequest", str(error)).body)

    async def _counted(self, incoming: Incoming) -> Answer:
        match = self._router.match(incoming.method, incoming.segments)
        operation = match.route.operation if match else "Unsupported"
        status = 0
        try:
            answer = await self._admitted(incoming, match)
            status = answer.status
        except ArmError as error:
            status = error.status
            answer = self._refusal(error)
        except ConnectionCut:
            raise
        except Exception:
            # Ours, not the caller's: the caller gets what Azure says of its own.
            _log.exception("%s %s failed", incoming.method, incoming.path)
            status = 500
            answer = Answer(500, _INTERNAL.body)
        finally:
            # A cut connection is counted, too: as status 0.
            self._core.counters.count(operation, incoming.method, status)
        return answer

    async def _admitted(self, incoming: Incoming, match: Match | None) -> Answer:
        """The order of Resource Manager: the caller, the version, the rate, then the resource."""
        principal = principal_of(incoming.headers.get("Authorization"))
        version = _api_version(incoming.query)
        if match is None:
            raise not_supported(f"{incoming.method} {incoming.path}")
        taken = self._core.throttle.take(
            principal, match.params.get("subscription", ""), incoming.method, self._core.clock.now()
        )
        if taken and taken.wait_seconds:
            raise _over_the_rate(incoming, match, taken)
        call = self._call(incoming, match, principal, version)
        answer = await self._with_faults(incoming, match, call)
        return Answer(
            answer.status, answer.body, {**answer.headers, **_rate_headers(call.method, taken)}
        )

    async def _with_faults(self, incoming: Incoming, match: Match, call: Call) -> Answer:
        fault = self._core.faults.take(call.operation, call.method, incoming.path_and_query)
        if fault is None:
            return await self._handled(match, call)
        await asyncio.sleep((fault.delay_ms or 0) / 1000)
        if fault.drop == "before":
            raise ConnectionCut
        if fault.status is not None:
            return _scripted(fault)
        answer = await self._handled(match, _fated(call, fault))
        if fault.hidden_gets:
            self._core.faults.hide(call.path, fault.hidden_gets)
        if fault.drop == "after":
            raise ConnectionCut
        return answer

    async def _handled(self, match: Match, call: Call) -> Answer:
        async with self._turn:
            # Whoever waited for his turn is served at the time it came.
            call = replace(call, now=self._core.clock.now())
            for provider in self._providers:
                await provider.settle(call.now)
            if match.route.checks_group and "group" in match.params:
                self._core.groups.require(call.subscription, call.group)
            self._core.locks.check(call.method, call.path)
            if call.method == "GET" and self._core.faults.hides(call.path):
                raise _hidden(call)
            return await match.route.handler(call)

    def _call(self, incoming: Incoming, match: Match, principal: str, version: str) -> Call:
        return Call(
            operation=match.route.operation,
            method=incoming.method,
            path=incoming.path,
            params=match.params,
            query=incoming.query,
            body=_json_body(incoming.raw_body),
            api_version=version,
            principal=principal,
            now=self._core.clock.now(),
            origin=incoming.origin,
        )

    def _refusal(self, error: ArmError) -> Answer:
        headers = {}
        if error.retry_after_seconds is not None:
            wait = self._core.clock.to_wall_seconds(error.retry_after_seconds)
            headers["Retry-After"] = str(wait)
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return Answer(error.status, error.body, headers)


def _api_version(query: Mapping[str, str]) -> str:
    version = query.get("api-version", "")
    if not version:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _VERSION.fullmatch(version):
        raise ArmError(
            400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid."
        )
    return version


def _json_body(raw: bytes) -> JsonObject:
    """The body as an object; nothing at all is an empty one. A control may send a list."""
    if not raw.strip():
        return {}
    try:
        body: Any = json.loads(raw)
    except ValueError as error:
        raise ArmError(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{error}'.",
        ) from error
    return body if isinstance(body, dict) else {"value": body}


def _over_the_rate(incoming: Incoming, match: Match, taken: Taken) -> ArmError:
    literal = [each for each in match.route.template.split("/") if not each.startswith("{")]
    action = f"{incoming.method}{'/'.join(literal)}/".upper()
    return throttled(match.params.get("subscription", ""), action, taken.wait_seconds)


def _rate_headers(method: str, taken: Taken | None) -> dict[str, str]:
    if taken is None:
        return {}
    kind = "reads" if method in READ_METHODS else "writes"
    return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(taken.remaining)}


def _scripted(fault: Fault) -> Answer:
    assert fault.status is not None
    wait = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    if fault.status < 400:
        return Answer(fault.status, None, wait)
    code = fault.error_code or "InternalServerError"
    return Answer(fault.status, ArmError(fault.status, code, fault.message or "").body, wait)


def _fated(call: Call, fault: Fault) -> Call:
    if fault.operation_fate is None:
        return call
    failure = {"code": fault.error_code or "InternalServerError", "message": fault.message or ""}
    return replace(call, fate=fault.operation_fate, failure=failure)


def _hidden(call: Call) -> ArmError:
    provider_and_name = call.path.rpartition("/providers/")[2]
    return resource_not_found(provider_and_name, call.params.get("group", ""))
