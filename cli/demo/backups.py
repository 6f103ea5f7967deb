"""The demo asking the pipeline: protect, back up, restore. Everything by message or by schedule,
as anybody would ask."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.demo.asking import JobFailed, ask, ended
from cli.requests import Request
from cli.session import Session
from shared.model.ids import DiskUrl, ItemId, PointId, RequestId, VaultName, point_of, slot_job
from shared.model.job import Job, Operation
from shared.model.point import Point
from shared.model.policy import Policy
from shared.model.vault import Vault, VaultKind
from shared.steps.commands import BACKUP, PROTECT, RESTORE

ITEM = ItemId("demo")
VAULT = VaultName("demo")


@dataclass(frozen=True)
class Pipeline:
    """One protected disk, as its owner sees it."""

    session: Session
    source: DiskUrl
    vault_url: str

    async def protect(self, policy: Policy) -> None:
        """Puts the disk under the policy, in a vault of its own. Raises `JobFailed`."""
        ports, now = self.session.ports, self.session.ports.clock.now()
        vault = Vault(name=VAULT, kind=VaultKind.STORAGE, url=self.vault_url, created_at=now)
        await ports.catalog.put_vault(vault)
        await ports.catalog.put_policy(policy)
        named = {"policy": policy.name, "vault": VAULT}
        await self._ask(Operation.CONFIGURE_PROTECTION, PROTECT, source=self.source, **named)

    async def scheduled(self, slot: datetime) -> Point:
        """The point that the schedule makes at the slot; waits for both. Raises `JobFailed`."""
        left = slot - self.session.ports.clock.now()
        await asyncio.sleep(max(0.0, left.total_seconds()))
        job = slot_job(ITEM, slot)
        request = Request(
            item_id=ITEM, job_id=job, operation=Operation.BACKUP, request_id=RequestId(job)
        )
        return await self.point(point_of((await ended(self.session, request)).id))

    async def requested(self) -> Point:
        """The point that a `backup-now` message makes. Raises `JobFailed`."""
        job = await self._ask(Operation.BACKUP, BACKUP)
        return await self.point(point_of(job.id))

    async def restored(self, point: PointId, target: DiskUrl) -> Job:
        """The ended restore to a new blob. Raises `JobFailed`."""
        to = {"kind": "alternate", "url": target}
        return await self._ask(Operation.RESTORE, RESTORE, point=point, target=to)

    async def restored_original(self, point: PointId) -> tuple[Job, Point]:
        """The ended restore onto the disk itself, and the point that keeps what was there."""
        to = {"kind": "original", "confirm": True}
        job = await self._ask(Operation.RESTORE, RESTORE, point=point, target=to)
        return job, await self.point(point_of(job.id))

    async def point(self, id_: PointId) -> Point:
        """Raises `JobFailed` where there is no such point."""
        row = await self.session.ports.ledger.get(ITEM, Point, id_)
        if row is None:
            raise JobFailed(f"there is no point {id_}, though its job is done")
        return row.record

    async def _ask(self, operation: Operation, name: str, **fields: Any) -> Job:
        return await ask(self.session, ITEM, operation, name, **fields)
