"""Recovery Services vaults in memory: their jobs advance with the clock, their schedules run."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.memory.faults import Faults
from shared.memory.machines import MemoryMachines
from shared.memory.recovery_shelf import (
    FROM_VAULT,
    SOFT_DELETE,
    Course,
    Kept,
    Shelf,
    Stage,
)
from shared.model.deferral import Deferred
from shared.model.errors import (
    Conflict,
    ErrorDetail,
    Invalid,
    NotFound,
    SourceGone,
    Transient,
    VaultGone,
)
from shared.model.ids import DiskUrl
from shared.model.job import Status
from shared.model.recovery import (
    VaultItem,
    VaultItemState,
    VaultJob,
    VaultOperation,
    VaultPoint,
    VaultRestore,
)
from shared.model.vault import Redundancy, Vault
from shared.ports import Clock

_RESTORE_TASKS = {
    "disks": (FROM_VAULT,),
    "alternate": (FROM_VAULT, "Create the restored virtual machine"),
    "original": (FROM_VAULT, "Update the virtual machine"),
}


class MemoryRecovery:
    """Vaults over the machines of memory: a vault knows one once discovery has found it. What was
    restored is noted, no more."""

    def __init__(
        self, clock: Clock, machines: MemoryMachines, faults: Faults | None = None
    ) -> None:
        self.course = Course()
        self.restored: list[VaultRestore] = []
        self._clock = clock
        self._machines = machines
        self._faults = faults or Faults()
        self._shelves: dict[str, Shelf] = {}
        self._redundancies: dict[str, Redundancy] = {}
        self._known: set[DiskUrl] = set()
        self._operations: dict[str, str] = {}
        self._refreshes: dict[str, datetime] = {}

    # ------------------------------------------------------------ what a test does

    def shelf(self, vault: Vault) -> Shelf:
        """The vault as it is now. Raises `VaultGone`."""
        if vault.url not in self._shelves:
            raise VaultGone(f"there is no vault {vault.url}")
        shelf = self._shelves[vault.url]
        shelf.advance(self._clock.now())
        shelf.expire()
        return shelf

    def fail_next(self, vault: Vault, stage: Stage, error: ErrorDetail) -> None:
        """The next work that comes to this stage fails there."""
        self.shelf(vault).scripted.append((stage, error))

    def forget_operations(self) -> None:
        """What was begun goes on; nobody can be told how."""
        self._operations.clear()

    def drop(self, vault: Vault, machine: DiskUrl) -> None:
        """Somebody removes the item, and all its points, for good."""
        self.shelf(vault).kept.pop(machine, None)

    def drop_vault(self, vault: Vault) -> None:
        """Somebody deletes the vault with all that is in it."""
        del self._shelves[vault.url]

    # ------------------------------------------------------------ vaults

    async def make(self, vault: Vault) -> None:
        async with self._faults.around("recovery.make"):
            self._shelves.setdefault(vault.url, Shelf(vault.url, self.course))
            known = self._redundancies.setdefault(vault.url, vault.redundancy)
            if known is not vault.redundancy:
                if self.shelf(vault).kept:
                    raise Invalid(f"the redundancy of vault {vault.name} is fixed: {known}")
                self._redundancies[vault.url] = vault.redundancy

    async def delete(self, vault: Vault) -> None:
        async with self._faults.around("recovery.delete"):
            if vault.url not in self._shelves:
                return
            kept = self.shelf(vault).kept
            if kept:
                raise Invalid(
                    f"vault {vault.name} holds {', '.join(sorted(kept))}", code="VaultNotEmpty"
                )
            del self._shelves[vault.url]

    async def put_policy(self, vault: Vault, name: str, policy: Mapping[str, Any]) -> None:
        async with self._faults.around("recovery.put_policy"):
            shelf = self.shelf(vault)
            known = shelf.policies.get(name)
            shelf.policies[name] = dict(policy)
            if known not in (None, policy):
                for machine, kept in shelf.kept.items():
                    if kept.item.policy == name:
                        shelf.schedule(machine)

    async def policy(self, vault: Vault, name: str) -> Mapping[str, Any] | None:
        async with self._faults.around("recovery.policy"):
            return self.shelf(vault).policies.get(name)

    async def protection_of(self, machine: DiskUrl, region: str) -> str:  # noqa: ARG002
        """Whatever the region: here all vaults are in the machines'."""
        async with self._faults.around("recovery.protection_of"):
            for url, shelf in self._shelves.items():
                shelf.advance(self._clock.now())
                kept = shelf.kept.get(machine)
                if kept is not None and not kept.item.deleted:
                    return url.lower()
            return ""

    # ------------------------------------------------------------ machines

    async def discover(self, vault: Vault) -> str:
        async with self._faults.around("recovery.discover"):
            shelf = self.shelf(vault)
            name = f"refresh-{shelf.number()}"
            self._refreshes[name] = shelf.now + timedelta(seconds=shelf.course.refresh)
            return name

    async def discovered(self, vault: Vault, operation: str) -> bool:
        """Whether the discovery has ended."""
        async with self._faults.around("recovery.discovered"):
            now = self.shelf(vault).now
            if self._refreshes.get(operation, now) > now:
                return False
            self._known |= self._machines.every()
            return True

    async def protectable(self, vault: Vault) -> AsyncIterator[list[DiskUrl]]:
        async with self._faults.around("recovery.protectable"):
            kept = self.shelf(vault).kept
            found = sorted((self._known & self._machines.every()) - kept.keys())
        yield found

    async def item(self, vault: Vault, machine: DiskUrl) -> VaultItem | None:
        async with self._faults.around("recovery.item"):
            shelf = self.shelf(vault)
            kept = shelf.kept.get(machine)
            return kept.seen(shelf.now) if kept else None

    async def items(self, vault: Vault) -> AsyncIterator[list[VaultItem]]:
        async with self._faults.around("recovery.items"):
            shelf = self.shelf(vault)
            found = [kept.seen(shelf.now) for _, kept in sorted(shelf.kept.items())]
        yield found

    async def enable(self, vault: Vault, machine: DiskUrl, policy: str) -> str:
        async with self._faults.around("recovery.enable"):
            shelf = self.shelf(vault)
            if machine not in self._machines.every():
                raise SourceGone(f"there is no machine {machine}")
            if policy not in shelf.policies:
                raise Invalid(f"vault {vault.name} has no policy '{policy}'")
            kept = shelf.kept.get(machine)
            self._check_usable(shelf, machine, kept)
            return self._change(
                shelf, "ConfigureBackup", machine, lambda: self._enabled(shelf, machine, policy)
            )

    def _enabled(self, shelf: Shelf, machine: DiskUrl, policy: str) -> None:
        id_ = f"{shelf.url}/items/{machine.rpartition('/')[2]}"
        fresh = VaultItem(id=id_, machine=machine, state=VaultItemState.INITIAL_BACKUP_PENDING)
        kept = shelf.kept.setdefault(machine, Kept(fresh))
        state = VaultItemState.PROTECTED if kept.points else fresh.state
        kept.item = replace(kept.item, state=state, policy=policy)
        shelf.schedule(machine)

    async def stop(self, vault: Vault, machine: DiskUrl) -> str:
        async with self._faults.around("recovery.stop"):
            shelf, kept = self._mine(vault, machine)
            return self._change(shelf, "DisableBackup", machine, lambda: self._stopped(kept))

    def _stopped(self, kept: Kept) -> None:
        kept.gone_at = None
        kept.item = replace(kept.item, state=VaultItemState.STOPPED, policy="", deleted=False)

    async def remove(self, vault: Vault, machine: DiskUrl) -> str:
        async with self._faults.around("recovery.remove"):
            kept_already = self.shelf(vault).kept.get(machine)
            if kept_already is None or kept_already.item.deleted:
                return ""
            shelf, kept = self._mine(vault, machine)
            return self._change(
                shelf, "DeleteBackupData", machine, lambda: self._removed(shelf, machine, kept)
            )

    def _removed(self, shelf: Shelf, machine: DiskUrl, kept: Kept) -> None:
        gone_at = shelf.now + SOFT_DELETE
        kept.gone_at = gone_at
        kept.item = replace(kept.item, state=VaultItemState.STOPPED, policy="", deleted=True)

        def purge() -> None:
            if shelf.kept.get(machine) is kept and kept.gone_at == gone_at:
                del shelf.kept[machine]

        shelf.at(gone_at, purge)

    async def undelete(self, vault: Vault, machine: DiskUrl) -> str:
        async with self._faults.around("recovery.undelete"):
            shelf = self.shelf(vault)
            kept = shelf.kept.get(machine)
            if kept is None:
                raise NotFound(f"vault {vault.name} does not protect {machine}")
            if shelf.busy(machine):
                raise _busy(machine)
            return self._change(shelf, "Undelete", machine, lambda: self._stopped(kept))

    # ------------------------------------------------------------ jobs

    async def backup(self, vault: Vault, machine: DiskUrl, retain_until: datetime) -> str:
        async with self._faults.around("recovery.backup"):
            shelf, kept = self._item_of(vault, machine)
            if kept.item.state is VaultItemState.STOPPED:
                raise Invalid(f"protection of {machine} is stopped")
            if shelf.busy(machine):
                raise Conflict(
                    f"another backup of {machine} is in progress",
                    code="UserErrorBackupOperationInProgress",
                )
            return self._named(shelf, shelf.back_up(machine, retain_until))

    async def restore(self, vault: Vault, wanted: VaultRestore) -> str:
        async with self._faults.around("recovery.restore"):
            shelf, kept = self._item_of(vault, wanted.machine)
            if wanted.point not in kept.points:
                raise NotFound(f"there is no point {wanted.point}")
            tasks = _RESTORE_TASKS[wanted.kind]
            job = shelf.begin("Restore", wanted.machine, *tasks)
            shelf.task(job.id, tasks[0], Status.IN_PROGRESS)
            shelf.after(shelf.course.restore, lambda: self._restored(shelf, job, wanted))
            return self._named(shelf, job)

    def _restored(self, shelf: Shelf, job: VaultJob, wanted: VaultRestore) -> None:
        if not shelf.open(job.id):
            return
        if error := shelf.fails("restore"):
            shelf.end(job.id, Status.FAILED, error)
            return
        for task in job.sub_tasks:
            shelf.task(job.id, task.name, Status.COMPLETED)
        self.restored.append(wanted)
        shelf.end(job.id, Status.COMPLETED)

    async def operation(self, vault: Vault, operation: str) -> VaultOperation:
        async with self._faults.around("recovery.operation"):
            shelf = self.shelf(vault)
            if operation not in self._operations:
                raise Transient(f"operation {operation} is unknown", code="OperationGone")
            job = shelf.jobs[self._operations[operation]]
            if job.operation in ("Backup", "Restore"):
                return VaultOperation(status=Status.COMPLETED, job=job.id)
            named = job.id if job.status.ended else ""
            return VaultOperation(status=job.status, job=named, error=job.error)

    async def job(self, vault: Vault, job: str) -> VaultJob:
        async with self._faults.around("recovery.job"):
            jobs = self.shelf(vault).jobs
            if job not in jobs:
                raise NotFound(f"there is no job {job}")
            return jobs[job]

    async def jobs(self, vault: Vault, since: datetime) -> AsyncIterator[list[VaultJob]]:
        async with self._faults.around("recovery.jobs"):
            found = [job for job in self.shelf(vault).jobs.values() if job.started_at >= since]
        yield [replace(job, sub_tasks=()) for job in found]

    async def cancel(self, vault: Vault, job: str) -> None:
        async with self._faults.around("recovery.cancel"):
            if not self.shelf(vault).cancel(job):
                raise Invalid(
                    f"job {job} cannot be cancelled any more", code="UserErrorJobNotCancellable"
                )

    async def points(self, vault: Vault, machine: DiskUrl) -> AsyncIterator[list[VaultPoint]]:
        async with self._faults.around("recovery.points"):
            kept = self.shelf(vault).kept.get(machine)
            found = sorted(kept.points.values(), key=lambda p: p.taken_at) if kept else []
        yield found

    # ------------------------------------------------------------ inside

    def _item_of(self, vault: Vault, machine: DiskUrl) -> tuple[Shelf, Kept]:
        shelf = self.shelf(vault)
        kept = shelf.kept.get(machine)
        if kept is None:
            raise NotFound(f"vault {vault.name} does not protect {machine}")
        if kept.item.deleted:
            raise Invalid(f"the item of {machine} is softly deleted", code="ItemSoftDeleted")
        return shelf, kept

    def _mine(self, vault: Vault, machine: DiskUrl) -> tuple[Shelf, Kept]:
        """The same, where nothing else is being done to the item."""
        shelf, kept = self._item_of(vault, machine)
        self._check_usable(shelf, machine, kept)
        return shelf, kept

    def _check_usable(self, shelf: Shelf, machine: DiskUrl, kept: Kept | None) -> None:
        if kept is not None and kept.item.deleted:
            raise Invalid(f"the item of {machine} is softly deleted", code="ItemSoftDeleted")
        if shelf.busy(machine):
            raise _busy(machine)

    def _change(self, shelf: Shelf, operation: str, machine: DiskUrl, apply: Any) -> str:
        """A change of protection: it takes its time, then it is so."""
        job = shelf.begin(operation, machine)

        def end() -> None:
            error = shelf.fails("change")
            if error is None:
                apply()
            shelf.end(job.id, Status.FAILED if error else Status.COMPLETED, error)

        shelf.after(shelf.course.change, end)
        return self._named(shelf, job)

    def _named(self, shelf: Shelf, job: VaultJob) -> str:
        name = f"operation-{shelf.number()}"
        self._operations[name] = job.id
        return name


def _busy(machine: DiskUrl) -> Deferred:
    return Deferred(
        f"another operation of {machine} is in progress", retry_after=60.0, code="VaultBusy"
    )
