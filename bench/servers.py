"""The servers that a bench measures against: the laptop's storage and Service Bus, its own ones."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from unittest.mock import patch

from bench.traffic import Traffic, traffic_of
from local import stack
from local.components import Component, StackConfig
from local.storage.controls import read_counters
from shared.config import read_settings
from shared.wiring import Wiring

SERVERS = (Component.STORAGE, Component.SERVICE_BUS)
LOOKUP = Path(__file__).parent / "azurite-lookup.js"
LIMITS = Path(__file__).parent / "azurite-limits.js"

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Servers:
    """A running storage and bus. No functions host: a bench calls the steps itself."""

    config: StackConfig

    def wiring(self) -> Wiring:
        """Ports of a process that has just started: real clients, nothing opened yet."""
        return Wiring(read_settings(self.settings))

    def requests(self) -> Counter[str]:
        """Requests to blobs and tables since the storage's start, by the service's name of the
        operation; a transaction of many rows is one request, as Azure bills it."""
        counted: Counter[str] = Counter()
        for row in read_counters(self.environment.storage_url):
            counted[row.operation] += row.requests
        return counted

    def traffic(self) -> Traffic:
        """All that SDKs have asked of the storage since its start."""
        return traffic_of(read_counters(self.environment.storage_url))

    @property
    def environment(self) -> stack.Environment:
        return stack.environment(self.config)

    @property
    def settings(self) -> Mapping[str, str]:
        """The app's settings against these servers."""
        return stack.settings(self.config)

    @contextmanager
    def storage_at_rest(self) -> Iterator[Path]:
        """While inside, the storage is stopped, and its tables lie in the file."""
        stack.down(self.config, only=[Component.STORAGE])
        yield self.config.data_dir / "storage" / "__azurite_db_table__.json"
        stack.up(self.config, only=[Component.STORAGE])


@asynccontextmanager
async def running_servers(
    preload: Path | None = LOOKUP,
    *,
    faults: bool = False,
    settings: Mapping[str, str] = NONE,
) -> AsyncIterator[Servers]:
    """On free ports and in a temporary folder; nothing of them is left afterwards.

    `preload` is loaded into the storage; `settings` are the app's.
    """
    with (
        TemporaryDirectory(prefix="vaultline-bench-") as folder,
        patch.dict(os.environ, _node(preload)),
    ):
        config = stack.stack_config(Path(folder), faults=faults, settings=settings)
        try:
            await asyncio.to_thread(stack.up, config, only=SERVERS)
            yield Servers(config)
        finally:
            stack.down(config)


def _node(preload: Path | None) -> dict[str, str]:
    """The environment in which Node loads `preload` first."""
    before = os.environ.get("NODE_OPTIONS", "")
    return {"NODE_OPTIONS": f'{before} --require "{preload}"'.strip()} if preload else {}
