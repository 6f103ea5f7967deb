"""One pool of connections and one patience for all requests to storage.

The SDKs' own patience does not suit a function: blobs would wait 15 s before the first repeat,
tables would obey any Retry-After. Here a call is tried four times within about 20 s; who waits
longer is a message in its queue.
"""

import random
from collections.abc import MutableMapping
from typing import Any
from urllib.request import getproxies

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ExponentialRetry

REPEATS = 3
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 4.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 12.0
"""A silent service is asked twice: both take less than half a minute. Requests move 4 MiB at most,
and what is carried out after we stopped listening is fenced and repeatable."""
_ASKED_WAITS = {"Retry-After": 1.0, "retry-after-ms": 1000.0, "x-ms-retry-after-ms": 1000.0}
"""The headers that ask for a wait, with how many of their units a second has."""
ASKED_WAIT = "x-vaultline-asked-wait"
"""The header under which an answer keeps, in seconds, how long the service asked to wait."""


class Pool(AioHttpTransport):  # type: ignore[misc]  # exported by a module's __getattr__
    """Up to `connections` requests at once, for all clients together; opened by the first one, on
    its loop. Whoever made the pool closes it.

    How long the service asks to wait is set aside: the SDKs would sleep that long in the worker,
    however long it is. `shared.azure.errors` reads it; the caller decides.
    """

    def __init__(self, connections: int) -> None:
        super().__init__(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        self.session: aiohttp.ClientSession | None = None
        self._connections = connections

    async def open(self) -> None:
        if self.session is None and not self._has_been_opened:
            self.session = _session(self._connections)
        await super().open()

    async def send(self, request: Any, **config: Any) -> Any:
        response = await super().send(request, **config)
        _set_wait_aside(response.headers)
        return response


def _set_wait_aside(headers: MutableMapping[str, str]) -> None:
    """Renames what asks for a wait, the longest where several do; an HTTP date asks for none."""
    asked = [
        float(value) / units
        for header, units in _ASKED_WAITS.items()
        if (value := headers.pop(header, "").strip()).isdigit()
    ]
    if asked:
        headers[ASKED_WAIT] = str(max(asked))


def _session(connections: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # aiohttp would look for a proxy and a password before each request, in a thread of its own.
        trust_env=bool(getproxies().keys() - {"no"}),
    )
    # aiohttp repeats a PUT by itself where a kept connection breaks. Whether a request may be
    # repeated is for us to say: a second snapshot, or a refused resize, is not the first one.
    session._retry_connection = False
    return session


def wait_seconds(repeat: int) -> float:
    """How long to wait before the n-th repeat, from 1 on: doubling, bounded, jittered."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (repeat - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 (spreads load, guards nothing)


class BlobPatience(ExponentialRetry):
    """Four tries; two where the service took the request and never answered."""

    def __init__(self) -> None:
        super().__init__(retry_total=REPEATS, retry_read=1)

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        return wait_seconds(settings["count"])


def table_patience() -> dict[str, Any]:
    """The same for the tables' client, which takes options."""
    return {
        "retry_total": REPEATS,
        "retry_connect": REPEATS,
        "retry_read": 1,
        "retry_status": REPEATS,
        "retry_backoff_factor": FIRST_WAIT_SECONDS,
        "retry_backoff_max": LONGEST_WAIT_SECONDS,
    }
