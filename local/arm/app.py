"""The fake put together: core, providers, server."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local.arm.compute.kinds import Terms
from local.arm.compute.provider import Compute
from local.arm.compute.vhds import Vhds
from local.arm.core import Core, Provider, open_core
from local.arm.network import Network
from local.arm.recovery.exports import VhdExports
from local.arm.recovery.provider import RecoveryServices
from local.arm.recovery.throttling import HOURLY_READS
from local.arm.recovery.timing import Durations
from local.arm.resources import Resources
from local.arm.server import ArmServer
from local.arm.throttling import Limits
from local.storage.azurite import ACCOUNTS, STATE


@dataclass(frozen=True)
class Settings:
    """How a fake is run.

    `blob_endpoint` is the root of the local storage's blob service; managed disks live in
    `account`, by default one that is not searched for disks. `factor` is how much faster than the
    wall clock the service's time runs. Without `limits` nobody is throttled. `terms` are Compute's
    limits and pace, `durations` those of Recovery Services; without them, Azure's.
    """

    blob_endpoint: str
    data_dir: Path | None = None
    port: int = 0
    account: str = STATE.name
    keys: Mapping[str, str] | None = None
    factor: float = 1.0
    limits: Limits | None = None
    terms: Terms | None = None
    durations: Durations | None = None


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[ArmServer]:
    """A running fake for the time of the block."""
    core = open_core(settings.data_dir, factor=settings.factor, limits=settings.limits)
    async with ArmServer(core, _providers(core, settings), settings.port) as server:
        yield server


def _providers(core: Core, settings: Settings) -> Sequence[Provider]:
    keys = settings.keys or {account.name: account.key for account in ACCOUNTS}
    vhds = Vhds(settings.blob_endpoint, settings.account, keys)
    compute = Compute.over(core, vhds, settings.terms)
    recovery = RecoveryServices(
        core,
        compute.inventory,
        VhdExports(vhds, keys),
        durations=settings.durations,
        hourly_reads=HOURLY_READS if settings.limits else None,
    )
    # Recovery first: it may refuse what Compute would have begun to delete.
    others: list[Provider] = [recovery, compute, Network(core, compute.inventory)]
    return [Resources(core, others), *others]
