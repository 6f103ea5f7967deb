"""The one seam between the commands and the world: how a command gets its ports.

Settings come from the environment; where it names no state, from the laptop stack that was
started in this folder, so that commands work right after `vaultline local up`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import typer

from shared.config import read_settings
from shared.ports import Ports

T = TypeVar("T")

_FILE_TELEMETRY = "file:"


@dataclass(frozen=True, kw_only=True)
class Session:
    """What one command works with. `endpoints` are the blob endpoints of the accounts that are
    ours to use, by name; `spans` the folder of local telemetry, if telemetry goes to one."""

    ports: Ports
    endpoints: Mapping[str, str] = field(default_factory=dict)
    spans: Path | None = None
    poll_seconds: float = 0.5


OpenSession = Callable[[], AbstractAsyncContextManager[Session]]


def run(context: typer.Context, work: Callable[[Session], Awaitable[T]]) -> T:
    """Does `work` in a session: the one that the context brings (tests), or the live one."""
    open_session: OpenSession = context.obj or live_session

    async def whole() -> T:
        async with open_session() as session:
            return await work(session)

    return asyncio.run(whole())


@asynccontextmanager
async def live_session() -> AsyncIterator[Session]:
    """The ports over Azure's services, or over the laptop stack. Raises `Invalid` where a setting
    is missing."""
    # The SDKs take a second to import, which `--help` and bad usage need not wait for.
    from shared.wiring import Wiring

    settings = read_settings(environment())
    async with Wiring(settings) as wiring:
        yield Session(
            ports=wiring.ports(),
            endpoints={name: blob_endpoint(text) for name, text in settings.accounts.items()},
            spans=_span_folder(settings.telemetry),
        )


def environment() -> Mapping[str, str]:
    """This process's settings, completed by the laptop stack's where they name no state."""
    return os.environ if os.environ.get("VAULTLINE_STATE") else {**_stack(), **os.environ}


def blob_endpoint(account: str) -> str:
    """The blob endpoint in an account's setting: a connection string, or the endpoint itself."""
    if "=" not in account:
        return account.rstrip("/")
    parts = dict(part.split("=", 1) for part in account.split(";") if "=" in part)
    protocol = parts.get("DefaultEndpointsProtocol", "https")
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    usual = f"{protocol}://{parts.get('AccountName', '')}.blob.{suffix}"
    return parts.get("BlobEndpoint", usual).rstrip("/")


def _stack() -> dict[str, str]:
    """The settings of the stack in this folder; none where none was started."""
    from local import stack
    from local.errors import NotStarted

    try:
        return dict(stack.settings(stack.stack_config()))
    except NotStarted:
        return {}


def _span_folder(telemetry: str) -> Path | None:
    if not telemetry.startswith(_FILE_TELEMETRY):
        return None
    return Path(telemetry.removeprefix(_FILE_TELEMETRY))
