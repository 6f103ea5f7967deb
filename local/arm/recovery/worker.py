"""Lets time pass: carries out what has fallen due, in its order, each as of its own time."""

from dataclasses import replace
from datetime import datetime

from local.arm.core import Core
from local.arm.recovery import backups, protection, restores
from local.arm.recovery.calendar_rules import next_run
from local.arm.recovery.cloud import Cloud, Exports, Vm
from local.arm.recovery.estate import Estate
from local.arm.recovery.failures import (
    AT_RESTORE,
    AT_SNAPSHOT,
    AT_TRANSFER,
    COLLECTION_DELETED,
    VM_GONE,
    Failure,
)
from local.arm.recovery.item import Item
from local.arm.recovery.job import Job, Operation, RestoreKind, Step
from local.arm.recovery.names import MachineRef
from local.arm.recovery.point import Point, Tier
from local.arm.recovery.restoring import Restoring
from local.arm.recovery.scripts import Scripts
from local.arm.recovery.snapshots import Snapshots
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault import Vault


class Worker:
    """The service at work, between requests."""

    def __init__(
        self,
        core: Core,
        cloud: Cloud,
        exports: Exports | None,
        estate: Estate,
        durations: Durations,
        scripts: Scripts,
    ) -> None:
        self._cloud = cloud
        self._estate = estate
        self._durations = durations
        self._scripts = scripts
        self._snapshots = Snapshots(core, cloud)
        self._restoring = Restoring(core, cloud, exports)
        self._steps = {
            Step.FREEZE: self._freeze,
            Step.END_SNAPSHOT: self._end_snapshot,
            Step.SHOW_TRANSFER: self._show_transfer,
            Step.END_TRANSFER: self._end_transfer,
            Step.RESTORE_DISKS: self._restore_disks,
            Step.PLACE_VM: self._place_vm,
            Step.CONFIGURE: self._configure,
            Step.DELETE: self._delete,
            Step.CANCEL: self._cancel,
            Step.FINISH: self._finish,
        }

    async def settle(self, now: datetime) -> None:
        """Does all that is due by `now`."""
        while await self._do_next(now):
            pass
        for point in list(self._estate.points.every()):
            await self._expire(point, now)
        for item in list(self._estate.items.every()):
            if item.deleted_until is not None and item.deleted_until <= now:
                await self._purge(item)
        for vault in list(self._estate.vaults.every()):
            self._move_on(vault, now)

    async def _do_next(self, now: datetime) -> bool:
        job, item = self._estate.next_job(now), self._estate.next_scheduled(now)
        if item is not None and (job is None or (item.next_run or now) < job.moment):
            self._start_scheduled(item, now)
        elif job is not None:
            assert job.step is not None
            await self._steps[job.step](job)
        return job is not None or item is not None

    def _start_scheduled(self, item: Item, now: datetime) -> None:
        """Only the latest of the times that were missed while nobody asked."""
        policy = self._estate.policy(item)
        run = item.next_run
        assert policy is not None
        assert run is not None
        while (later := next_run(policy, run)) <= now:
            run = later
        self._estate.put_item(replace(item, next_run=later))
        if not any(backups.takes_snapshot(job) for job in self._estate.running(item)):
            self._estate.put_job(backups.new_backup(item, run, self._durations, on_demand=False))

    # --- backups ------------------------------------------------------------------------------

    async def _freeze(self, job: Job) -> None:
        item = self._item(job)
        outcome: Point | Failure | None = self._scripts.take(job, AT_SNAPSHOT)
        if outcome is None:
            outcome = await self._snapshots.take(
                job,
                item,
                self._estate.policy(item),
                cleanup_pending=self._has_expired(item, job.moment),
            )
        if isinstance(outcome, Failure):
            self._end_backup(backups.not_frozen(job, outcome))
        else:
            self._estate.put_point(outcome)
            self._estate.put_job(backups.frozen(job, outcome.id, self._durations))

    async def _end_snapshot(self, job: Job) -> None:
        point = self._point(job)
        if self._cloud.vm(job.machine.id) is None:
            await self._forget(point)
            self._end_backup(backups.machine_vanished(job))
            return
        self._estate.put_point(point.ready())
        self._estate.put_item(replace(self._item(job), last_point_at=point.at))
        others = [each for each in self._estate.running(self._item(job)) if each.id != job.id]
        busy = any(backups.transfers(each) for each in others)
        ended = backups.snapshot_ended(job, another_transfers=busy, durations=self._durations)
        self._estate.put_job(ended)

    async def _show_transfer(self, job: Job) -> None:
        self._estate.put_job(backups.transfer_shown(job, self._durations))

    async def _end_transfer(self, job: Job) -> None:
        point = self._point(job)
        if failure := self._scripts.take(job, AT_TRANSFER) or self._why_not_transferred(point):
            self._end_backup(backups.not_transferred(job, failure))
            return
        self._estate.put_point(point.in_vault())
        self._estate.put_job(backups.transferred(job, point.size_bytes, self._durations))

    def _why_not_transferred(self, point: Point) -> Failure | None:
        """The machine is gone, or what was to be transferred."""
        if self._cloud.vm(point.machine) is None:
            return VM_GONE
        return None if self._cloud.point_vhds(point.compute_id) else COLLECTION_DELETED

    def _end_backup(self, job: Job) -> None:
        self._estate.put_job(job)
        self._estate.put_item(self._item(job).after_backup(backups.last_backup_of(job)))

    # --- restores -----------------------------------------------------------------------------

    async def _restore_disks(self, job: Job) -> None:
        outcome = self._scripts.take(job, AT_RESTORE) or await self._restoring.make_disks(
            job, self._point(job)
        )
        if isinstance(outcome, Failure):
            self._estate.put_job(restores.failed(job, outcome))
        else:
            self._estate.put_job(restores.disks_restored(job, outcome, self._durations))

    async def _place_vm(self, job: Job) -> None:
        assert job.order is not None
        outcome: Failure | str | None = None
        if job.order.kind is RestoreKind.ORIGINAL:
            outcome = await self._keep_what_is_there(job)
        outcome = outcome or await self._restoring.place(job, self._point(job))
        if isinstance(outcome, Failure):
            self._estate.put_job(restores.failed(job, outcome))
        else:
            self._estate.put_job(restores.machine_placed(job, outcome))

    async def _keep_what_is_there(self, job: Job) -> Failure | None:
        """Disks that are about to be replaced leave a recovery point (recorded by its number)."""
        item = self._item(job)
        policy = self._estate.policy(item)
        outcome = await self._snapshots.take(job, item, policy, cleanup_pending=False)
        if isinstance(outcome, Failure):
            return outcome
        self._estate.put_point(outcome.ready())
        return None

    # --- protection ---------------------------------------------------------------------------

    async def _configure(self, job: Job) -> None:
        self._estate.put_job(protection.changed(job))

    async def _delete(self, job: Job) -> None:
        item, vault = self._item(job), self._vault(job)
        points = len(self._estate.points_of(item))
        for other in self._estate.running(item):
            if other.id != job.id:
                self._estate.put_job(other.cancelled(job.moment))
        for point in [each for each in self._estate.points.under(item.id) if not each.is_ready]:
            await self._forget(point)
        self._estate.put_job(protection.deleted(job, points))
        if vault.soft_delete.is_on:
            gone = protection.softly_deleted(item, vault.soft_delete, job.moment)
            self._estate.put_item(gone)
        else:
            await self._purge(item)

    # --- the ends -----------------------------------------------------------------------------

    async def _cancel(self, job: Job) -> None:
        if job.operation is not Operation.BACKUP:
            self._estate.put_job(job.cancelled(job.moment))
            return
        point = self._estate.points.get(job.subject or "")
        if point is not None and not point.is_ready:
            await self._forget(point)
        has_point = point is not None and point.is_ready
        self._end_backup(backups.cancelled(job, has_point=has_point))

    async def _finish(self, job: Job) -> None:
        if job.operation is Operation.BACKUP:
            self._end_backup(backups.finished(job))
        else:
            self._estate.put_job(restores.finished(job))

    # --- upkeep -------------------------------------------------------------------------------

    async def _expire(self, point: Point, now: datetime) -> None:
        """Out of its tiers when its time is over. The newest point survives its expiry."""
        over = point.expires_at <= now
        leaves = point.instant_until <= now and point.instant_tier is Tier.VALID
        if not (over or leaves) or not point.is_ready or self._is_kept(point):
            return
        if over:
            await self._forget(point)
        else:
            await self._snapshots.release(point)
            self._estate.put_point(point.out_of_instant_tier())

    def _is_kept(self, point: Point) -> bool:
        """The newest stays, and one that a restore reads or a lock holds."""
        jobs = self._estate.jobs.every()
        in_use = any(job.subject == point.id and not job.is_over for job in jobs)
        locked = point.instant_tier is Tier.VALID and self._snapshots.is_locked(point)
        return in_use or locked or self._is_newest(point)

    def _is_newest(self, point: Point) -> bool:
        siblings = self._estate.points.under(point.item)
        return all(each.at <= point.at for each in siblings if each.is_ready)

    def _has_expired(self, item: Item, now: datetime) -> bool:
        """Whether an older point is still in the instant tier although its time is over there."""
        return any(
            point.instant_tier is Tier.VALID and point.instant_until <= now
            for point in self._estate.points_of(item)[1:]
        )

    async def _forget(self, point: Point) -> None:
        await self._snapshots.drop(point)
        self._estate.points.delete(point.id)

    async def _purge(self, item: Item) -> None:
        """The item and its points are gone for good."""
        for point in list(self._estate.points.under(item.id)):
            await self._forget(point)
        self._estate.items.delete(item.id)

    def _move_on(self, vault: Vault, now: datetime) -> None:
        if vault.gone_at is not None and vault.gone_at <= now:
            self._estate.forget_vault(vault)
        elif vault.refresh_at is not None and vault.refresh_at <= now:
            self._estate.put_vault(vault.discovered(self.machines_for(vault)))

    def machines_for(self, vault: Vault) -> tuple[MachineRef, ...]:
        """What a discovery finds: the machines of the vault's subscription and region."""
        region = vault.location.casefold()
        return tuple(
            MachineRef(vault.ref.subscription, vm.group, vm.name)
            for vm in self._cloud.vms(vault.ref.subscription)
            if vm.location.casefold() == region
        )

    def machine(self, machine: MachineRef) -> Vm | None:
        return self._cloud.vm(machine.id)

    @property
    def makes_vhds(self) -> bool:
        """Whether disks can be restored as VHDs."""
        return self._restoring.exports is not None

    # --- the records of a job -----------------------------------------------------------------

    def _item(self, job: Job) -> Item:
        item = self._estate.items.get(job.item)
        assert item is not None
        return item

    def _vault(self, job: Job) -> Vault:
        vault = self._estate.vaults.get(job.vault)
        assert vault is not None
        return vault

    def _point(self, job: Job) -> Point:
        point = self._estate.points.get(job.subject or "")
        assert point is not None
        return point
