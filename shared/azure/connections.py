"""What is opened together on one event loop, and closed together."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from azure.core.credentials_async import AsyncTokenCredential
from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient

from shared.azure.accounts import Accounts, open_account
from shared.azure.arm import Arm
from shared.azure.dead_letters import AzureDeadLetters
from shared.azure.http import Pool, table_patience
from shared.azure.machines.opening import open_machines
from shared.azure.managed.opening import open_managed
from shared.azure.recovery.vaults import AzureRecoveryVaults
from shared.azure.service_bus import PATIENCE, AzureBus
from shared.azure.tables import Tables
from shared.model.cloud import Cloud
from shared.model.errors import Invalid
from shared.ports import Clock

ARM_REQUESTS = 16
"""At once to Resource Manager, which has a pool of its own: pages must not keep it waiting."""


class Identity:
    """The app's own identity, asked for only where a setting holds no key."""

    def __init__(self) -> None:
        self._credential: DefaultAzureCredential | None = None

    def __call__(self) -> AsyncTokenCredential:
        if self._credential is None:
            self._credential = DefaultAzureCredential()
        return self._credential

    async def aclose(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()


class Connections:
    """Storage accounts, tables and bus. Make it on the running loop, which it then belongs to;
    nothing is requested yet. Raises `Invalid`, naming the setting, where one makes no sense."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, str],
        state: str,
        service_bus: str,
        service_bus_namespace: str,
        parallel_requests: int,
        clock: Clock,
        cloud: Cloud | None = None,
    ) -> None:
        identity = Identity()
        pool = Pool(parallel_requests)
        arm_pool = Pool(ARM_REQUESTS)
        self.accounts = Accounts(
            open_account(name, setting, pool, identity, clock) for name, setting in accounts.items()
        )
        self.arm = Arm(cloud or Cloud(), identity, arm_pool, clock)
        self.managed = open_managed(self.arm, pool)
        self.machines = open_machines(self.arm, self.managed.grants)
        self.recovery = AzureRecoveryVaults(self.arm)
        self.tables = Tables(_open_tables(state, pool, identity))
        self.bus = AzureBus(lambda: _open_bus(service_bus, service_bus_namespace, identity))
        self.dead_letters = AzureDeadLetters(
            lambda: _open_bus(service_bus, service_bus_namespace, identity)
        )
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(identity.aclose)
        self._closing.push_async_callback(pool.close)
        self._closing.push_async_callback(arm_pool.close)
        self._closing.push_async_callback(self.managed.aclose)
        self._closing.push_async_callback(self.bus.aclose)

    async def aclose(self) -> None:
        await self._closing.aclose()


def _open_tables(
    setting: str, pool: Pool, identity: Callable[[], AsyncTokenCredential]
) -> TableServiceClient:
    options = {"transport": pool, **table_patience()}
    try:
        if setting.startswith("https://"):
            return TableServiceClient(setting, credential=identity(), **options)
        return TableServiceClient.from_connection_string(setting, **options)
    except ValueError:
        raise Invalid(
            "setting VAULTLINE_STATE is neither a connection string nor the https endpoint of a "
            "table service"
        ) from None


def _open_bus(
    connection: str, namespace: str, identity: Callable[[], AsyncTokenCredential]
) -> ServiceBusClient:
    try:
        if connection:
            return ServiceBusClient.from_connection_string(connection, **PATIENCE)
        return ServiceBusClient(namespace, identity(), **PATIENCE)
    except (ValueError, KeyError):
        raise Invalid("setting ServiceBusConnection is no connection string") from None
