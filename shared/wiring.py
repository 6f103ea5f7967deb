"""The one composition root: settings in, ports over Azure (or the laptop's stack) out."""

import asyncio
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self

from shared.azure.catalog import AzureCatalog
from shared.azure.clock import SystemClock
from shared.azure.connections import Connections
from shared.azure.containers import AzureContainers
from shared.azure.disks import AzureDisks
from shared.azure.due import AzureDueIndex
from shared.azure.groups import AzureGroups
from shared.azure.images import AzureImages
from shared.azure.inventory import AzureInventory
from shared.azure.ledger import AzureLedger
from shared.azure.machines.inspection import ArmInspection
from shared.azure.plans import AzurePlans
from shared.azure.routing import RoutedDisks, RoutedImages
from shared.config import Settings, read_settings
from shared.ports import Ports


@dataclass(frozen=True)
class _Live:
    """Ports, and the loop and connections that they live on."""

    loop: asyncio.AbstractEventLoop
    connections: Connections
    ports: Ports


class Wiring:
    """Ports for one process: opened on first use, kept across invocations, closed by `aclose`.

    Connections belong to the event loop that they were opened on; asked for on another one,
    ports are made anew there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._live: _Live | None = None

    def ports(self) -> Ports:
        """The ports. Call it on the running loop. Raises `Invalid` for settings that make no
        sense; requests nothing yet."""
        loop = asyncio.get_running_loop()
        if self._live is None or self._live.loop is not loop:
            self._live = _open(self._settings, loop)
        return self._live.ports

    async def aclose(self) -> None:
        """Closes what was opened; asking for ports opens it again."""
        live, self._live = self._live, None
        if live is not None:
            await live.connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


@cache
def process_wiring() -> Wiring:
    """The wiring of this process, from its environment; read on the first call, not on import."""
    return Wiring(read_settings())


def _open(settings: Settings, loop: asyncio.AbstractEventLoop) -> _Live:
    clock = SystemClock()
    connections = Connections(
        accounts=settings.accounts,
        state=settings.state,
        service_bus=settings.service_bus,
        service_bus_namespace=settings.service_bus_namespace,
        parallel_requests=settings.pace.account_requests,
        clock=clock,
        cloud=settings.cloud,
    )
    managed = connections.managed
    ports = Ports(
        clock=clock,
        ledger=AzureLedger(connections.tables),
        catalog=AzureCatalog(connections.tables),
        inventory=AzureInventory(connections.tables),
        groups=AzureGroups(connections.tables),
        due=AzureDueIndex(connections.tables),
        bus=connections.bus,
        dead_letters=connections.dead_letters,
        disks=RoutedDisks(
            AzureDisks(connections.accounts), managed.disks, connections.machines.sources
        ),
        images=RoutedImages(AzureImages(connections.accounts), managed.images),
        plans=AzurePlans(connections.accounts),
        containers=AzureContainers(connections.accounts),
        machines=connections.machines.machines,
        inspection=ArmInspection(connections.arm),
        recovery=connections.recovery,
        pace=settings.pace,
        guard=settings.guard,
        staging_account=settings.cloud.staging_account,
    )
    return _Live(loop, connections, ports)
