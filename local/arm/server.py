"""The HTTP server around the front."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self
from uuid import uuid4

from aiohttp import web

from local.arm.answers import Answer
from local.arm.core import Core, Provider
from local.arm.front import ConnectionCut, Front, Incoming
from local.arm.routing import split_path

HOST = "127.0.0.1"
_MAX_BODY_BYTES = 4 * 1024 * 1024


class ArmServer(AbstractAsyncContextManager["ArmServer"]):
    """The fake on a port of the loopback, for the time of the block; it closes its providers.

    Entering raises OSError where the port is taken.
    """

    def __init__(self, core: Core, providers: Sequence[Provider], port: int = 0) -> None:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._front = Front(core, providers)
        self._port = port
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    @property
    def port(self) -> int:
        return self._port

    @property
    def origin(self) -> str:
        """What the SDKs take as their endpoint."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self._close()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._front.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        incoming = Incoming(
            origin=self.origin,
            method=request.method,
            segments=split_path(request.rel_url.raw_path),
            query=request.query,
            headers=request.headers,
            raw_body=await request.read(),
        )
        try:
            return _response(await self._front.answer(incoming))
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()


def _response(answer: Answer) -> web.Response:
    request_id = str(uuid4())
    headers = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request_id,
        "Cache-Control": "no-cache",
        **answer.headers,
    }
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    return web.json_response(answer.body, status=answer.status, headers=headers)
