"""The servers that a bench measures against: the laptop's storage and Service Bus, its own ones."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from local import stack
from local.components import Component, StackConfig
from local.storage.controls import read_counters
from shared.config import read_settings
from shared.wiring import Wiring

SERVERS = (Component.STORAGE, Component.SERVICE_BUS)
LOOKUP = Path(__file__).parent / "azurite-lookup.js"


@dataclass(frozen=True)
class Servers:
    """A running storage and bus. No functions host: a bench calls the steps itself."""

    config: StackConfig

    def wiring(self) -> Wiring:
        """Ports of a process that has just started: real clients, nothing opened yet."""
        return Wiring(read_settings(stack.settings(self.config)))

    def requests(self) -> Counter[str]:
        """Requests to blobs and tables since the storage's start, by the service's name of the
        operation; a transaction of many rows is one request, as Azure bills it."""
        counted: Counter[str] = Counter()
        for row in read_counters(stack.environment(self.config).storage_url):
            counted[row.operation] += row.requests
        return counted

    @contextmanager
    def storage_at_rest(self) -> Iterator[Path]:
        """While inside, the storage is stopped, and its tables lie in the file."""
        stack.down(self.config, only=[Component.STORAGE])
        yield self.config.data_dir / "storage" / "__azurite_db_table__.json"
        stack.up(self.config, only=[Component.STORAGE])


@asynccontextmanager
async def running_servers() -> AsyncIterator[Servers]:
    """On free ports and in a temporary folder; nothing of them is left afterwards."""
    with TemporaryDirectory(prefix="vaultline-bench-") as folder, _large_partitions():
        config = stack.stack_config(Path(folder))
        try:
            await asyncio.to_thread(stack.up, config, only=SERVERS)
            yield Servers(config)
        finally:
            stack.down(config)


@contextmanager
def _large_partitions() -> Iterator[None]:
    """Azurites that are started inside search large partitions by the rarer key."""
    before = os.environ.get("NODE_OPTIONS")
    os.environ["NODE_OPTIONS"] = f'{before or ""} --require "{LOOKUP}"'.strip()
    try:
        yield
    finally:
        if before is None:
            del os.environ["NODE_OPTIONS"]
        else:
            os.environ["NODE_OPTIONS"] = before
