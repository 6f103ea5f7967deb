"""Protected items: a virtual machine in a vault, under a policy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self

from local.arm.recovery.failures import Failure
from local.arm.recovery.names import MachineRef

SCHEDULED_A_DAY = 1
ON_DEMAND_A_DAY = 9
"""The hard stop, by UTC day; Azure advises three."""


class Protection(StrEnum):
    """`protectionState`: after a failed first backup it says Protected, too."""

    PENDING = "IRPending"
    PROTECTED = "Protected"
    STOPPED = "ProtectionStopped"


@dataclass(frozen=True)
class LastBackup:
    """The last backup that has ended; `failure` is its error, also beside a warning."""

    status: str
    at: datetime
    failure: Failure | None = None


@dataclass(frozen=True)
class Item:
    """A protected item. `policy` is None after protection was stopped.

    `deleted_until` is set while it is softly deleted: it goes for good then. `next_run` is its next
    scheduled backup. `on_demand` counts today's. `excluded` is the request's disk exclusion.
    """

    id: str
    vault: str
    machine: MachineRef
    policy: str | None
    state: Protection
    data_id: str
    collection: str
    source_id: str
    next_run: datetime | None = None
    last_backup: LastBackup | None = None
    last_point_at: datetime | None = None
    deleted_until: datetime | None = None
    on_demand: tuple[date, int] | None = None
    extended: Mapping[str, Any] | None = None
    backups_failed: int = 0

    @property
    def is_deleted(self) -> bool:
        return self.deleted_until is not None

    def on_demand_on(self, day: date) -> int:
        return self.on_demand[1] if self.on_demand and self.on_demand[0] == day else 0

    def counting_on_demand(self, day: date) -> Self:
        return replace(self, on_demand=(day, self.on_demand_on(day) + 1))

    def selects(self, lun: int | None) -> bool:
        """Whether a disk is backed up. The OS disk always is."""
        exclusion = (self.extended or {}).get("diskExclusionProperties")
        if lun is None or not exclusion:
            return True
        return (lun in exclusion["diskLunList"]) is bool(exclusion["isInclusionList"])

    def after_backup(self, last: LastBackup) -> Self:
        """A first backup leaves it Protected, a failed one too; not one that was cancelled."""
        is_first = self.state is Protection.PENDING and last.status != "Cancelled"
        state = Protection.PROTECTED if is_first else self.state
        failed = self.backups_failed + 1 if last.status == "Failed" else 0
        return replace(self, state=state, last_backup=last, backups_failed=failed)
