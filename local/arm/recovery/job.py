"""Jobs and their sub-tasks over time.

A job knows what it does next and when (`step`); whoever lets time pass carries the steps out in
their order, each as of its own time. So a job's times do not depend on who looks when.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from local.arm.recovery.failures import CANCELLED, Failure
from local.arm.recovery.names import MachineRef


class Operation(StrEnum):
    """What a job is about, as `properties.operation` says it."""

    CONFIGURE = "ConfigureBackup"
    BACKUP = "Backup"
    RESTORE = "Restore"
    DISABLE = "DisableBackup"
    DELETE = "DeleteBackupData"
    UNDELETE = "Undelete"


class Status(StrEnum):
    """Of a job or of a task of it."""

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    WARNED = "CompletedWithWarnings"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"


TAKE_SNAPSHOT = "Take Snapshot"
TO_VAULT = "Transfer data to vault"
FROM_VAULT = "Transfer data from vault"
UPDATE_VM = "Update the virtual machine"
CREATE_VM = "Create the restored virtual machine"


class Step(StrEnum):
    """What happens to a job when its time has come."""

    FREEZE = "freeze"
    END_SNAPSHOT = "end-snapshot"
    SHOW_TRANSFER = "show-transfer"
    END_TRANSFER = "end-transfer"
    RESTORE_DISKS = "restore-disks"
    PLACE_VM = "place-vm"
    CONFIGURE = "configure"
    DELETE = "delete"
    CANCEL = "cancel"
    FINISH = "finish"


@dataclass(frozen=True)
class Task:
    """A sub-task; a time of None shows as year 1."""

    name: str
    status: Status = Status.NOT_STARTED
    started_at: datetime | None = None
    ended_at: datetime | None = None


class RestoreKind(StrEnum):
    """`recoveryType` of a restore."""

    DISKS = "RestoreDisks"
    ORIGINAL = "OriginalLocation"
    ALTERNATE = "AlternateLocation"


@dataclass(frozen=True)
class RestoreOrder:
    """What a restore was asked for; ids as the request spells them.

    Disks go to `target_group` as managed disks; without one, to `storage_account` as VHDs. `luns`
    are the data disks wanted, None all of them.
    """

    kind: RestoreKind
    storage_account: str
    target_group: str | None = None
    target_machine: MachineRef | None = None
    network: str | None = None
    luns: tuple[int, ...] | None = None

    @property
    def makes_vhds(self) -> bool:
        return self.kind is RestoreKind.DISKS and self.target_group is None

    @property
    def account_name(self) -> str:
        return self.storage_account.rpartition("/")[2]


@dataclass(frozen=True)
class RestoredDisk:
    """A disk that a restore has made; `lun` is None for the OS disk."""

    id: str
    lun: int | None


@dataclass(frozen=True)
class Job:
    """A job under `vault` (its ARM id). `facts` is its property bag, `inner` the internal one.

    `step` and `due` are None once it has ended. `subject` is the recovery point that it makes or
    restores; `order` a restore's request.
    """

    id: str
    vault: str
    item: str
    machine: MachineRef
    operation: Operation
    started_at: datetime
    activity: str
    status: Status = Status.IN_PROGRESS
    tasks: tuple[Task, ...] = ()
    facts: Mapping[str, str | None] = field(default_factory=dict)
    inner: Mapping[str, str] = field(default_factory=dict)
    step: Step | None = None
    due: datetime | None = None
    ended_at: datetime | None = None
    error: Failure | None = None
    subject: str | None = None
    order: RestoreOrder | None = None
    restored: tuple[RestoredDisk, ...] = ()
    size_bytes: int = 0
    keep_until: datetime | None = None
    on_demand: bool = False

    @property
    def key(self) -> str:
        return f"{self.vault}/backupJobs/{self.id}"

    @property
    def moment(self) -> datetime:
        """As of when its step is done. Only a job that is not over has one."""
        assert self.due is not None
        return self.due

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    def task(self, name: str) -> Task:
        return next(task for task in self.tasks if task.name == name)

    def then(self, step: Step, seconds: float) -> Self:
        """The same with the next step so many seconds after the one that is being done."""
        base = self.due or self.started_at
        return replace(self, step=step, due=base + timedelta(seconds=seconds))

    def with_task(
        self,
        name: str,
        status: Status,
        *,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
    ) -> Self:
        """The same with a task moved on; times that are not given stay."""
        known = self.task(name)
        moved = Task(name, status, started_at or known.started_at, ended_at or known.ended_at)
        return replace(self, tasks=tuple(moved if t is known else t for t in self.tasks))

    def knowing(self, facts: Mapping[str, str | None]) -> Self:
        """The same with more in its property bag."""
        return replace(self, facts={**self.facts, **facts})

    def ended(self, status: Status, at: datetime, error: Failure | None = None) -> Self:
        return replace(
            self, status=status, ended_at=at, step=None, due=None, error=error or self.error
        )

    def cancelling(self, now: datetime, seconds: float) -> Self:
        """Asked to stop: the job and its tasks say Cancelling until it has."""
        tasks = tuple(
            task if task.status is Status.COMPLETED else replace(task, status=Status.CANCELLING)
            for task in self.tasks
        )
        due = now + timedelta(seconds=seconds)
        return replace(self, status=Status.CANCELLING, tasks=tasks, step=Step.CANCEL, due=due)

    def cancelled(self, at: datetime, status: Status = Status.CANCELLED) -> Self:
        """Stopped: what had not ended is Cancelled."""
        tasks = tuple(
            task if task.status is Status.COMPLETED else replace(task, status=Status.CANCELLED)
            for task in self.tasks
        )
        return replace(self, tasks=tasks).ended(status, at, CANCELLED)
