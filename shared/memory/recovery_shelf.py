"""What a Recovery Services vault in memory holds, and how its work goes on by the clock.

Work is a row of events, each with its time; whoever looks at the vault first lets happen what was
due by then, in order. So a vault does its work, and its schedules', whether somebody looks or not.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal

from shared.model.errors import CANCELLED, ErrorDetail
from shared.model.ids import DiskUrl
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Status, SubTask
from shared.model.machine import Consistency
from shared.model.point import Tier
from shared.model.recovery import VaultItem, VaultItemState, VaultJob, VaultPoint

DAY = timedelta(days=1)
SOFT_DELETE = 14 * DAY
DEMAND = 30 * DAY
FROM_VAULT = "Transfer data from vault"

Stage = Literal["snapshot", "transfer", "restore", "change"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long the vault takes, in seconds: about what recordings show."""

    snapshot: float = 459.0
    unseen: float = 184.0
    """The transfer is under way and says NotStarted."""
    transfer: float = 1829.0
    restore: float = 70.0
    change: float = 30.0
    refresh: float = 12.0


@dataclass
class Kept:
    """A protected item with its points, by their names."""

    item: VaultItem
    points: dict[str, VaultPoint] = field(default_factory=dict)
    gone_at: datetime | None = None
    """Softly deleted: until then it can be had back."""

    def seen(self, now: datetime) -> VaultItem:
        """The item as the vault tells it now."""
        left = (self.gone_at - now).total_seconds() if self.gone_at else None
        return replace(self.item, kept_seconds=left)


class Shelf:
    """One vault. `scripted` are the failures that the next work of a stage meets."""

    def __init__(self, url: str, course: Course) -> None:
        self.url = url
        self.course = course
        self.kept: dict[DiskUrl, Kept] = {}
        self.jobs: dict[str, VaultJob] = {}
        self.policies: dict[str, Mapping[str, Any]] = {}
        self.scripted: list[tuple[Stage, ErrorDetail]] = []
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count(1)
        self.now = datetime.min.replace(tzinfo=UTC)

    def advance(self, now: datetime) -> None:
        """Lets happen what is due by then."""
        while self._events and self._events[0][0] <= now:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.now = now

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        self.at(self.now + timedelta(seconds=seconds), happen)

    def at(self, time: datetime, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), happen))

    def number(self) -> int:
        return next(self._numbers)

    # ------------------------------------------------------------ jobs

    def begin(self, operation: str, machine: DiskUrl, *tasks: str) -> VaultJob:
        job = VaultJob(
            id=f"vault-job-{self.number()}",
            operation=operation,
            machine=machine,
            status=Status.IN_PROGRESS,
            sub_tasks=tuple(SubTask(name=task) for task in tasks),
            started_at=self.now,
        )
        self.jobs[job.id] = job
        return job

    def task(self, id_: str, name: str, status: Status) -> None:
        job = self.jobs[id_]
        tasks = tuple(
            SubTask(name=name, status=status) if t.name == name else t for t in job.sub_tasks
        )
        self.jobs[id_] = replace(job, sub_tasks=tasks)

    def end(self, id_: str, status: Status, error: ErrorDetail | None = None) -> None:
        ended = replace(self.jobs[id_], status=status, ended_at=self.now, error=error)
        self.jobs[id_] = ended

    def open(self, id_: str) -> bool:
        return self.jobs[id_].status is Status.IN_PROGRESS

    def busy(self, machine: DiskUrl) -> bool:
        """Whether a job of the machine has not ended."""
        return any(job.machine == machine and not job.status.ended for job in self.jobs.values())

    def fails(self, stage: Stage) -> ErrorDetail | None:
        """The scripted failure of this stage, which is used up."""
        for number, (at, error) in enumerate(self.scripted):
            if at == stage:
                del self.scripted[number]
                return error
        return None

    # ------------------------------------------------------------ backups

    def back_up(self, machine: DiskUrl, until: datetime) -> VaultJob:
        """A backup: its snapshot, a gap, its transfer."""
        job = self.begin("Backup", machine, TAKE_SNAPSHOT, TRANSFER)
        self.task(job.id, TAKE_SNAPSHOT, Status.IN_PROGRESS)
        self.after(self.course.snapshot, lambda: self._snapshot_ends(machine, job.id, until))
        return self.jobs[job.id]

    def _snapshot_ends(self, machine: DiskUrl, id_: str, until: datetime) -> None:
        if not self.open(id_):
            return
        if error := self.fails("snapshot"):
            self.task(id_, TAKE_SNAPSHOT, Status.FAILED)
            self._backup_ends(machine, id_, Status.FAILED, error)
            return
        name = f"{10**14 + self.number()}"
        self.kept[machine].points[name] = VaultPoint(
            name=name,
            taken_at=self.jobs[id_].started_at + timedelta(seconds=4),
            consistency=Consistency.FILE_SYSTEM,
            tiers=(Tier.SNAPSHOT,),
            expires_at=until,
        )
        self.task(id_, TAKE_SNAPSHOT, Status.COMPLETED)
        self.after(self.course.unseen, lambda: self._transfer_shows(id_))
        seconds = self.course.unseen + self.course.transfer
        self.after(seconds, lambda: self._transfer_ends(machine, id_, name))

    def _transfer_shows(self, id_: str) -> None:
        if self.open(id_):
            self.task(id_, TRANSFER, Status.IN_PROGRESS)

    def _transfer_ends(self, machine: DiskUrl, id_: str, name: str) -> None:
        if not self.open(id_):
            return
        if error := self.fails("transfer"):
            self.task(id_, TRANSFER, Status.FAILED)
            self._backup_ends(machine, id_, Status.COMPLETED_WITH_WARNINGS, error)
            return
        points = self.kept[machine].points
        points[name] = replace(points[name], tiers=(Tier.SNAPSHOT, Tier.VAULT))
        self.task(id_, TRANSFER, Status.COMPLETED)
        self.jobs[id_] = replace(self.jobs[id_], backup_bytes=11390 << 20)
        self._backup_ends(machine, id_, Status.COMPLETED)

    def _backup_ends(
        self, machine: DiskUrl, id_: str, status: Status, error: ErrorDetail | None = None
    ) -> None:
        self.end(id_, status, error)
        kept = self.kept[machine]
        kept.item = replace(
            kept.item,
            state=VaultItemState.PROTECTED,
            healthy=status is Status.COMPLETED,
            health="" if error is None else error.message,
            last_backup_at=self.jobs[id_].started_at,
        )

    def cancel(self, id_: str) -> bool:
        """Whether the job can be cancelled: a backup only until its transfer shows."""
        job = self.jobs[id_]
        if job.status.ended or job.status is Status.CANCELLING:
            return True
        if any(t.name == TRANSFER and t.status is Status.IN_PROGRESS for t in job.sub_tasks):
            return False
        has_point = any(t.name == TAKE_SNAPSHOT and t.status.ended for t in job.sub_tasks)
        self.jobs[id_] = replace(job, status=Status.CANCELLING)
        status = Status.COMPLETED_WITH_WARNINGS if has_point else Status.CANCELLED
        self.after(self.course.change, lambda: self.end(id_, status, CANCELLED))
        return True

    # ------------------------------------------------------------ schedules

    def schedule(self, machine: DiskUrl) -> None:
        """The machine's next slot by the policy that it is under now."""
        policy = self.kept[machine].item.policy
        slot = next_run(self.policies[policy], self.now) if policy else None
        if slot is not None:
            self.at(slot, lambda: self._slot(machine, policy, slot))

    def _slot(self, machine: DiskUrl, policy: str, slot: datetime) -> None:
        kept = self.kept.get(machine)
        if kept is None or kept.item.policy != policy or kept.item.deleted:
            return
        if next_run(self.policies[policy], slot - timedelta(seconds=1)) == slot and not self.busy(
            machine
        ):
            self.back_up(machine, slot + timedelta(days=kept_days(self.policies[policy])))
        self.schedule(machine)

    def expire(self) -> None:
        """Points whose time is over go; the newest one stays."""
        for kept in self.kept.values():
            newest = max(kept.points.values(), key=lambda point: point.taken_at, default=None)
            kept.points = {
                name: point
                for name, point in kept.points.items()
                if point is newest or point.expires_at is None or point.expires_at > self.now
            }


def next_run(policy: Mapping[str, Any], after: datetime) -> datetime | None:
    """The policy's next slot: of daily and weekly ones in UTC. None for others, which therefore
    make no backups of their own here."""
    told = policy.get("properties", policy)
    schedule = told.get("schedulePolicy", {})
    if told.get("timeZone", "UTC") != "UTC" or "scheduleRunTimes" not in schedule:
        return None
    times = [datetime.fromisoformat(text).timetz() for text in schedule["scheduleRunTimes"]]
    days = schedule.get("scheduleRunDays")
    slots = [
        datetime.combine(after.date() + timedelta(days=ahead), time.replace(tzinfo=UTC))
        for ahead in range(8)
        for time in times
    ]
    return min(s for s in slots if s > after and (not days or f"{s:%A}" in days))


def kept_days(policy: Mapping[str, Any]) -> int:
    """How many days the policy keeps a point, by its daily rule; 30 where it has none."""
    told = policy.get("properties", policy)
    daily = told.get("retentionPolicy", {}).get("dailySchedule") or {}
    return int(daily.get("retentionDuration", {}).get("count", 30))
