"""The resource provider: its routes, its tests' controls, and time."""

from collections.abc import Sequence
from datetime import datetime

from local.arm.answers import Answer, ArmError, JsonObject
from local.arm.core import Core
from local.arm.groups import group_id
from local.arm.recovery.cloud import Cloud, Exports
from local.arm.recovery.estate import Estate
from local.arm.recovery.item_routes import ItemRoutes
from local.arm.recovery.job_routes import JobRoutes
from local.arm.recovery.point_routes import PointRoutes
from local.arm.recovery.policy_routes import PolicyRoutes
from local.arm.recovery.scripts import Scripts
from local.arm.recovery.throttling import HOURLY_READS, HourlyReads
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault_routes import VaultRoutes
from local.arm.recovery.worker import Worker
from local.arm.routing import Call, Route

_SCRIPTS = "/__recovery/failures"


class RecoveryServices:
    """Microsoft.RecoveryServices over the machines of a cloud."""

    def __init__(
        self,
        core: Core,
        cloud: Cloud,
        exports: Exports | None = None,
        *,
        durations: Durations | None = None,
        hourly_reads: int | None = HOURLY_READS,
    ) -> None:
        """Without `exports`, restoring disks as VHDs is 501.

        `hourly_reads`: how often jobs or operations may be read an hour; None: for ever.
        """
        durations = durations or Durations()
        self._core = core
        self._scripts = Scripts()
        self._estate = Estate(core.store)
        self._worker = Worker(core, cloud, exports, self._estate, durations, self._scripts)
        self._parts = (
            VaultRoutes(core, self._estate, self._worker, durations),
            PolicyRoutes(self._estate),
            ItemRoutes(core, self._estate, self._worker, durations),
            PointRoutes(core, self._estate, self._worker, durations),
            JobRoutes(core, self._estate, durations, HourlyReads(hourly_reads)),
        )

    def routes(self) -> Sequence[Route]:
        return [route for part in self._parts for route in part.routes()]

    def controls(self) -> Sequence[Route]:
        """`/__recovery/failures`: failures that the next jobs are to end with."""
        return [
            Route("GET", _SCRIPTS, "recovery failures", self._scripted),
            Route("POST", _SCRIPTS, "recovery failures", self._script),
            Route("DELETE", _SCRIPTS, "recovery failures", self._unscript),
        ]

    async def settle(self, now: datetime) -> None:
        await self._worker.settle(now)

    async def drop_group(self, subscription: str, group: str) -> None:
        """A group with a vault in use stays; one of Azure Backup's takes the instant tier along."""
        scope = group_id(subscription, group)
        vaults = list(self._estate.vaults.under(scope))
        if any(self._estate.items_of(vault) for vault in vaults):
            raise ArmError(
                409,
                "ResourceGroupDeletionBlocked",
                f"Deletion of resource group '{group}' failed: a vault in it has backup items.",
            )
        for vault in vaults:
            self._estate.forget_vault(vault)
        for point in list(self._estate.points.every()):
            if point.compute_id.casefold().startswith(scope.casefold() + "/"):
                self._estate.put_point(point.out_of_instant_tier())

    async def close(self) -> None:
        """Nothing is open."""

    def script(self, document: JsonObject) -> None:
        """One scripted failure, as `POST /__recovery/failures` takes them. Raises ValueError."""
        self._scripts.add(document)

    async def _scripted(self, _: Call) -> Answer:
        return Answer(200, self._scripts.counts())

    async def _script(self, call: Call) -> Answer:
        for document in call.body["value"]:
            self.script(document)
        return Answer(200, self._scripts.counts())

    async def _unscript(self, _: Call) -> Answer:
        counts = self._scripts.counts()
        self._scripts.clear()
        return Answer(200, counts)
