"""What vaults were last asked for, shared by all jobs that wait: Azure answers 150 looks at jobs an
hour and vault, however many machines it backs up.

One listing tells of all jobs whether they have ended. A closer look, at one job's sub-tasks, is
taken while few are waiting, and where a job did not end well.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from shared.model.ids import ItemId, JobId
from shared.model.job import Job, Status
from shared.model.recovery import VaultJob
from shared.model.vault import Vault
from shared.ports import Ports
from shared.ports.recovery import RecoveryVaults

CLOSE_LOOKS_AN_HOUR = 60
"""Of one process; the rest of what Azure answers is for listings and for jobs that failed."""
HOUR = timedelta(hours=1)
BEFORE = timedelta(days=2)
"""So long a job of ours may have waited for its turn before the vault began its own."""
LISTED = timedelta(hours=6)
"""A listing goes back so far at least, so that it serves the next who asks as well."""


@dataclass(frozen=True, kw_only=True)
class _Listing:
    read_at: datetime
    since: datetime
    jobs: tuple[VaultJob, ...]


class VaultReads:
    """The reads of one vault by this process."""

    def __init__(self, ports: Ports, vault: Vault) -> None:
        self._ports = ports
        self._vault = vault
        self._listing: _Listing | None = None
        self._closely: deque[datetime] = deque()
        self._lock = asyncio.Lock()

    async def since(self, since: datetime, old_seconds: float | None = None) -> list[VaultJob]:
        """The vault's jobs since then, as they were a moment ago, or so long at most; without
        sub-tasks."""
        fresh = timedelta(seconds=old_seconds or self._ports.pace.vault_look_seconds)
        async with self._lock:
            if self._listing is None or not self._serves(self._listing, since, fresh):
                self._listing = await self._list(since)
            return [job for job in self._listing.jobs if job.started_at >= since]

    async def job(self, id_: str, since: datetime) -> VaultJob:
        """One job that started since: closely while there are looks to spare, and where it ended
        with anything to tell. Raises `NotFound`."""
        if self._may_look_closely():
            return await self._look(id_)
        listed = next((job for job in await self.since(since) if job.id == id_), None)
        if listed is not None and listed.status in (Status.IN_PROGRESS, Status.COMPLETED):
            return listed
        return await self._look(id_)

    async def _look(self, id_: str) -> VaultJob:
        self._closely.append(self._ports.clock.now())
        return await self._ports.recovery.job(self._vault, id_)

    def _may_look_closely(self) -> bool:
        hour_ago = self._ports.clock.now() - HOUR
        while self._closely and self._closely[0] <= hour_ago:
            self._closely.popleft()
        return len(self._closely) < CLOSE_LOOKS_AN_HOUR

    def _serves(self, listing: _Listing, since: datetime, fresh: timedelta) -> bool:
        return listing.since <= since and self._ports.clock.now() - listing.read_at < fresh

    async def _list(self, since: datetime) -> _Listing:
        now = self._ports.clock.now()
        start = min(since, now - LISTED)
        pages = self._ports.recovery.jobs(self._vault, start)
        jobs = tuple([job async for page in pages for job in page])
        return _Listing(read_at=now, since=start, jobs=jobs)


_READS: WeakKeyDictionary[RecoveryVaults, dict[str, VaultReads]] = WeakKeyDictionary()
"""By the port that is read: a process has one."""


def reads_of(ports: Ports, vault: Vault) -> VaultReads:
    """This process's reads of the vault."""
    reads = _READS.setdefault(ports.recovery, {})
    if vault.url not in reads:
        reads[vault.url] = VaultReads(ports, vault)
    return reads[vault.url]


async def taken_by_ours(
    ports: Ports, item: ItemId, since: datetime, besides: JobId | None = None
) -> dict[str, Job]:
    """The item's jobs from about then on that are about jobs of the vault, by the ids of those.
    `since` is by the vault's clock, which may be ahead of ours."""
    now = ports.clock.now()
    listed = ports.catalog.jobs(min(since, now) - BEFORE, now, item)
    ids = {id_ async for id_ in listed} - {besides}
    rows = [await ports.ledger.get(item, Job, id_) for id_ in sorted(id_ for id_ in ids if id_)]
    jobs = [row.record for row in rows if row is not None]
    return {job.mirrors: job for job in jobs if job.mirrors}
