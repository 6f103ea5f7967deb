"""What vaults were last asked for, shared by all jobs that wait: Azure answers 150 looks at jobs an
hour and vault, however many machines it backs up.

One listing tells of all jobs whether they have ended. A closer look, at one job's sub-tasks, is
taken while few are waiting, and where a job did not end well. Who is refused asks no more until
then, and less from then on: others ask as well.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from shared.model.deferral import Deferred
from shared.model.ids import ItemId, JobId
from shared.model.job import Job, Status
from shared.model.recovery import VaultJob, VaultOperation
from shared.model.vault import Vault
from shared.ports import Clock, Ports
from shared.ports.recovery import RecoveryVaults

CLOSE_LOOKS_AN_HOUR = 60
"""Of one process; the rest of what Azure answers is for listings and for jobs that failed."""
PAGE_LOOKS = 4
"""Each page of a listing serves for so many first waits: of one process, sixty pages an hour."""
REFUSED_LOOKS = 16
"""The same for an hour after a refusal: of whoever shares the vault with other processes."""
HOUR = timedelta(hours=1)
BEFORE = timedelta(days=2)
"""So long a job of ours may have waited for its turn before the vault began its own."""
LISTED = timedelta(hours=6)
"""A listing goes back so far at least, so that it serves the next who asks as well."""


@dataclass(frozen=True, kw_only=True)
class _Listing:
    read_at: datetime
    since: datetime
    pages: int
    jobs: tuple[VaultJob, ...]


class _Patience:
    """Keeps away from what the vault has refused to answer, until it may be asked again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused_at: datetime | None = None
        self._until: datetime | None = None

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Around a request. Raises `Deferred`, without asking while the last refusal holds."""
        now = self._clock.now()
        if self._until is not None and now < self._until:
            wait = (self._until - now).total_seconds()
            raise Deferred("the vault was asked too often", retry_after=wait)
        try:
            yield
        except Deferred as error:
            self._refused_at = now
            self._until = now + timedelta(seconds=error.retry_after or 0)
            raise

    @property
    def refused(self) -> bool:
        """Whether it was in the last hour."""
        return self._refused_at is not None and self._clock.now() < self._refused_at + HOUR


class VaultReads:
    """The reads of one vault by this process."""

    def __init__(self, ports: Ports, vault: Vault) -> None:
        self._ports = ports
        self._vault = vault
        self._listing: _Listing | None = None
        self._wanted: deque[tuple[datetime, datetime]] = deque()
        self._closely: deque[datetime] = deque()
        self._lock = asyncio.Lock()
        self._jobs = _Patience(ports.clock)
        self._operations = _Patience(ports.clock)

    async def operation(self, operation: str) -> VaultOperation:
        """As the port tells it."""
        async with self._operations.asking():
            return await self._ports.recovery.operation(self._vault, operation)

    async def since(self, since: datetime, old_seconds: float | None = None) -> list[VaultJob]:
        """The vault's jobs since then, without sub-tasks: as they were so long ago at most; or, if
        that is not said, when they could last be listed."""
        async with self._lock:
            self._wanted.append((self._ports.clock.now(), since))
            if not self._serves(since, old_seconds):
                self._listing = await self._list()
            assert self._listing is not None
            return [job for job in self._listing.jobs if job.started_at >= since]

    async def job(self, id_: str, since: datetime) -> VaultJob:
        """One job that started since: closely while there are looks to spare, and where it ended
        with anything to tell. Raises `NotFound`; `Deferred` where it began after the last listing,
        until the next."""
        if self._may_look_closely():
            return await self._look(id_)
        listed = next((job for job in await self.since(since) if job.id == id_), None)
        if listed is not None and listed.status in (Status.IN_PROGRESS, Status.COMPLETED):
            return listed
        if listed is None and self._age_seconds() >= self._ports.pace.vault_look_seconds:
            wait = self._fresh_seconds() - self._age_seconds()
            raise Deferred(f"job {id_} is not listed yet", retry_after=wait)
        return await self._look(id_)

    async def _look(self, id_: str) -> VaultJob:
        async with self._jobs.asking():
            self._closely.append(self._ports.clock.now())
            return await self._ports.recovery.job(self._vault, id_)

    def _may_look_closely(self) -> bool:
        if self._jobs.refused:
            return False
        hour_ago = self._ports.clock.now() - HOUR
        while self._closely and self._closely[0] <= hour_ago:
            self._closely.popleft()
        return len(self._closely) < CLOSE_LOOKS_AN_HOUR

    def _serves(self, since: datetime, old_seconds: float | None) -> bool:
        if self._listing is None or self._listing.since > since:
            return False
        fresh = self._fresh_seconds() if old_seconds is None else old_seconds
        return self._age_seconds() < fresh

    def _age_seconds(self) -> float:
        assert self._listing is not None
        return (self._ports.clock.now() - self._listing.read_at).total_seconds()

    def _fresh_seconds(self) -> float:
        """How long a listing of that many pages serves."""
        assert self._listing is not None
        looks = REFUSED_LOOKS if self._jobs.refused else PAGE_LOOKS
        return self._ports.pace.vault_look_seconds * looks * self._listing.pages

    async def _list(self) -> _Listing:
        """Back to whatever was wanted in the last hour, so that it serves who looks again."""
        now = self._ports.clock.now()
        while self._wanted[0][0] < now - HOUR:
            self._wanted.popleft()
        start = min(now - LISTED, *(since for _, since in self._wanted))
        async with self._jobs.asking():
            pages = [page async for page in self._ports.recovery.jobs(self._vault, start)]
        jobs = tuple(job for page in pages for job in page)
        return _Listing(read_at=now, since=start, pages=max(1, len(pages)), jobs=jobs)


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
