"""One pool of connections and one patience for all requests to storage.

The SDKs' own patience does not suit a function: blobs would wait 15 s before the first repeat,
tables would obey any Retry-After. Here a call is tried four times within about 20 s; who waits
longer is a message in its queue.
"""

import random
from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ExponentialRetry

REPEATS = 3
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 4.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
"""The service gives itself 30 s for one request of pages."""


class Pool(AioHttpTransport):  # type: ignore[misc]  # exported by a module's __getattr__
    """Connections that all clients share. Waits between repeats go through here, so that none is
    longer than ours, whatever Retry-After says."""

    async def sleep(self, duration: float) -> None:
        await super().sleep(min(duration, LONGEST_WAIT_SECONDS))


def open_pool(connections: int) -> Pool:
    """A pool for up to `connections` requests at once. Call it on the running loop; whoever made
    it closes it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
    )
    return Pool(session=session, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)


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
