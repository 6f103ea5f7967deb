"""The pipeline as a bench drives it: commands in, its own steps by its own messages, and what
that took."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from time import perf_counter, process_time

from bench.listening import Listener, Served
from bench.orchestra import conduct
from bench.requests import Log
from bench.servers import Servers
from bench.traffic import Traffic
from shared.contracts.policy import parse_policy
from shared.model.ids import ItemId, RequestId, VaultName, point_of
from shared.model.messages import (
    COPY,
    BackupNow,
    Command,
    Protect,
    Restore,
    RestoreTarget,
)
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.commands import obey
from shared.steps.commit import Outcome as Committed
from shared.steps.transact import the
from shared.steps.vaults import WantedVault, make_vault

POLICY = "bench"
VAULT = VaultName("bench")
POLICY_DOCUMENT = """
name: bench
schedule: {frequency: weekly, on: [sunday], at: ["03:00"]}
retention: {weekly: {keep: 4, on: [sunday]}}
checks: {initial: false}
"""
PATIENCE_SECONDS = 900.0
ENDS = {Committed.COMMITTED, Committed.FAILED}

_requests = count(1)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a backup or a restore took.

    `seconds` are from the command to the point (or the restored disk); `copy_seconds` from the
    beginning of its first part to the end of its last. `cpu_seconds` are of this process.
    """

    seconds: float
    copy_seconds: float
    cpu_seconds: float
    steps: dict[str, float]
    log: Log
    traffic: Traffic


class Pipeline:
    """One worker over real ports; `log` is what those ports tell."""

    def __init__(self, servers: Servers, ports: Ports, worker: Listener, log: Log) -> None:
        self._servers = servers
        self._worker = worker
        self._log = log
        self.ports = ports

    async def backup(self, item: ItemId) -> tuple[Work, Point]:
        """Backs up and waits for the point. Raises where the transfer fails or takes too long."""
        watch = _Watch(self._servers, self._log)
        job = (await self._obey(BackupNow(item_id=item, request_id=_request()))).job_id
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(each.result in ENDS for each in self._worker.served):
                self._worker.news.clear()
                await self._worker.news.wait()
        work = watch.read(self._worker.served)
        return work, (await the(self.ports, item, Point, point_of(job))).record

    async def restore(self, point: Point, target: str) -> Work:
        """Restores to a new blob, by the activities of the restore's own orchestration."""
        watch = _Watch(self._servers, self._log)
        wanted = RestoreTarget(kind="alternate", url=target)
        command = Restore(
            item_id=point.item_id, point=point.id, target=wanted, request_id=_request()
        )
        accepted = await self._obey(command)
        served = await conduct(self.ports, accepted)
        return watch.read(served)

    async def _obey(self, command: Command) -> Accepted:
        self._worker.served.clear()
        return await obey(self.ports, command)


class _Watch:
    """Reads clock, processor time and counters at the beginning and at the end."""

    def __init__(self, servers: Servers, log: Log) -> None:
        self._servers, self._log = servers, log
        log.taken()
        self._traffic = servers.traffic()
        self._began, self._cpu = perf_counter(), process_time()

    def read(self, served: Iterable[Served]) -> Work:
        ended, cpu = perf_counter(), process_time()
        parts = [each for each in served if each.queue == COPY]
        first = min((each.began for each in parts), default=ended)
        last = max((each.ended for each in parts), default=ended)
        return Work(
            seconds=ended - self._began,
            copy_seconds=last - first,
            cpu_seconds=cpu - self._cpu,
            steps=_steps(served),
            log=self._log.taken(),
            traffic=self._servers.traffic() - self._traffic,
        )


def _steps(served: Iterable[Served]) -> dict[str, float]:
    """Seconds within steps, by what they came to."""
    seconds: dict[str, float] = {}
    for each in served:
        name = f"{each.queue}: {each.result}" if isinstance(each.result, str) else each.queue
        seconds[name] = round(seconds.get(name, 0.0) + each.ended - each.began, 4)
    return seconds


async def set_up(ports: Ports, vault_url: str) -> None:
    """The policy and the vault."""
    await ports.catalog.put_policy(parse_policy(POLICY_DOCUMENT))
    await make_vault(ports, WantedVault(name=VAULT, url=vault_url))


async def protect(ports: Ports, disk_url: str, item: ItemId) -> None:
    """Puts a disk under the bench's policy."""
    command = Protect(
        source=disk_url, policy=POLICY, vault=VAULT, item_id=item, request_id=_request()
    )
    await obey(ports, command)


def _request() -> RequestId:
    return RequestId(f"bench-{next(_requests)}")
